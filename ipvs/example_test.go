package ipvs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// A table that is wanted is compared with the one that is there, and only the
// difference is applied. With ipvs.Dial instead of ipvstest.New it is the
// kernel's.
func Example() {
	ctx := context.Background()
	web := ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))
	want := ipvs.Table{{
		Service: ipvs.Service{Key: web, Scheduler: "wlc", Persistence: 5 * time.Minute},
		Destinations: []ipvs.Destination{
			{Key: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1},
			{Key: netip.MustParseAddrPort("10.0.0.2:80"), Weight: 2},
		},
	}}
	owned := func(k ipvs.ServiceKey) bool { return k == web }

	kernel := ipvstest.New()
	apply := func() {
		have, err := kernel.Snapshot(ctx)
		if err != nil {
			log.Fatal(err)
		}
		changes := ipvs.Diff(have.Table(), want, owned)
		for _, c := range changes {
			fmt.Println(c)
		}
		if err := kernel.Apply(ctx, changes); err != nil {
			log.Fatal(err)
		}
	}
	apply()
	want[0].Destinations[0].Weight = 0 // drain it
	fmt.Println("then")
	apply()
	// Output:
	// add service tcp/192.0.2.1:80: scheduler wlc, persistence 5m0s
	// add destination 10.0.0.2:80 of tcp/192.0.2.1:80: masquerade, weight 2
	// add destination 10.0.0.1:80 of tcp/192.0.2.1:80: masquerade, weight 1
	// then
	// set destination 10.0.0.1:80 of tcp/192.0.2.1:80: weight 1 -> 0
}

// The kernel of this machine; it needs root, and ip_vs.
func ExampleClient() {
	ctx := context.Background()
	client, err := ipvs.Dial(ctx, nil)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		log.Print("no IPVS here: ", err) // the text says what may help
		return
	case err != nil:
		log.Fatal(err)
	}
	defer client.Close()
	for service, err := range client.Services(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(service.Key, service.Scheduler, service.Stats.Connections)
		for d, err := range client.Destinations(ctx, service.Key) {
			if errors.Is(err, ipvs.ErrServiceNotFound) {
				break // deleted meanwhile
			}
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("  ", d.Key, d.Forward, d.Weight, d.Active)
		}
	}
}

// What is wrong is told by errors.Is, with the standard library's errors too.
func ExampleOpError() {
	kernel := ipvstest.New()
	service := ipvs.Service{Key: ipvs.MarkService(7)}
	_ = kernel.AddService(context.Background(), service)
	err := kernel.AddService(context.Background(), service)
	fmt.Println(errors.Is(err, ipvs.ErrServiceExists))
	if failed, ok := errors.AsType[*ipvs.OpError](err); ok {
		fmt.Println(failed.Op, "of", failed.Service)
	}
	// Output:
	// true
	// add service of fwmark/7
}
