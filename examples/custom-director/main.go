// Custom-director is a load balancer with its own source of configuration:
// the command line. It checks its servers and keeps the table as the verdicts
// say, in the kernel with -kernel, over ordinary sockets without.
//
//	custom-director -listen 127.0.0.1:8089 127.0.0.1:9001 127.0.0.1:9002
package main

import (
	"context"
	"flag"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

// table is all that this program needs of a data plane.
type table interface {
	Apply(context.Context, []ipvs.Change) error
	Close() error
}

func main() {
	var vip netip.AddrPort
	flag.TextVar(&vip, "listen", netip.MustParseAddrPort("127.0.0.1:8089"), "virtual address and port")
	kernel := flag.Bool("kernel", false, "balance in the kernel")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, vip, flag.Args(), *kernel); err != nil {
		log.Fatal(err)
	}
}

func open(ctx context.Context, kernel bool) (table, error) {
	if kernel {
		return ipvs.Dial(ctx, nil)
	}
	return userspace.New(nil)
}

func run(ctx context.Context, vip netip.AddrPort, servers []string, kernel bool) error {
	plane, err := open(ctx, kernel)
	if err != nil {
		return err
	}
	defer plane.Close()

	var watches []health.Watch
	for _, s := range servers {
		addr, err := netip.ParseAddrPort(s)
		if err != nil {
			return err
		}
		watches = append(watches, health.Watch{
			ID: s, Target: health.Target{Addr: addr},
			Checker: new(health.TCP), Policy: health.Policy{Interval: time.Second},
		})
	}
	// Verdicts come one after another, so a bell and the states are enough.
	bell := make(chan struct{}, 1)
	bell <- struct{}{}
	monitor := health.NewMonitor(&health.Config{OnEvent: func(health.Event) {
		select {
		case bell <- struct{}{}:
		default:
		}
	}})
	if err := monitor.Set(watches); err != nil {
		return err
	}
	go monitor.Run(ctx)

	for have := ipvs.Table(nil); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-bell:
		}
		want := ipvs.Table{{Service: ipvs.Service{Key: ipvs.TCPService(vip), Scheduler: "rr"}}}
		for _, w := range monitor.States() {
			if w.State == health.Up {
				want[0].Destinations = append(want[0].Destinations, ipvs.Destination{Key: w.Target.Addr, Weight: 1})
			}
		}
		changes := ipvs.Diff(have, want, nil)
		log.Println(changes)
		if err := plane.Apply(ctx, changes); err != nil {
			return err
		}
		have = want
	}
}
