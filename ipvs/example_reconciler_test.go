package ipvs_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// Converge does once what a Reconciler does all the time.
func ExampleConverge() {
	want := ipvs.Table{{
		Service:      ipvs.Service{Key: ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))},
		Destinations: []ipvs.Destination{{Key: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1}},
	}}
	kernel := ipvstest.New() // or ipvs.Dial
	for range 2 {
		report, err := ipvs.Converge(context.Background(), kernel, want, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(report.Changes), "changes")
	}
	// Output:
	// 2 changes
	// 0 changes
}

// A reconciler keeps a table in force: the program says what it wants, and
// changes one service at a time.
func ExampleReconciler() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	owned, err := ipvs.OpenOwnership("") // a file such as /run/NAME/state.json
	if err != nil {
		log.Fatal(err)
	}
	r := ipvs.NewReconciler(ipvstest.New(), &ipvs.ReconcilerConfig{
		Drain:     5 * time.Minute,
		Ownership: owned,
		OnEvent: func(e ipvs.Event) {
			for _, c := range e.Changes {
				fmt.Printf("%v: %v\n", e.Kind, c)
			}
		},
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx) // nil: it ends with its context
	}()

	web := ipvs.Entry{
		Service: ipvs.Service{Key: ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))},
		Destinations: []ipvs.Destination{
			{Key: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1},
			{Key: netip.MustParseAddrPort("10.0.0.2:80"), Weight: 1},
		},
	}
	if err := r.Set(ctx, ipvs.Table{web}); err != nil {
		log.Fatal(err)
	}
	web.Destinations = web.Destinations[:1] // 10.0.0.2 leaves when it has no connections any more
	if err := r.Put(ctx, web); err != nil {
		log.Fatal(err)
	}
	for _, d := range r.Status().Drains {
		fmt.Println("drains:", d.Destination)
	}
	cancel()
	<-ended
	// Output:
	// changed: add service tcp/192.0.2.1:80: scheduler wlc
	// changed: add destination 10.0.0.2:80 of tcp/192.0.2.1:80: masquerade, weight 1
	// changed: add destination 10.0.0.1:80 of tcp/192.0.2.1:80: masquerade, weight 1
	// changed: set destination 10.0.0.2:80 of tcp/192.0.2.1:80: weight 1 -> 0
	// drains: 10.0.0.2:80
}
