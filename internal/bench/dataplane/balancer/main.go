// Command balancer carries one virtual service over ordinary sockets, with
// the defaults of package userspace for everything: what the benchmark of the
// data plane measures as ours.
//
//	balancer tcp|udp VIP:PORT SERVER:PORT...
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "balancer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: balancer tcp|udp VIP:PORT SERVER:PORT")
	}
	vip, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	// What package userspace advises to a program whose main work it is: with
	// none to spare the runtime takes its processors from loops that wait, and
	// its monitor wakes up every 20 us, an eighth of all that is used.
	runtime.GOMAXPROCS(2 * runtime.NumCPU())
	want := ipvs.Entry{Service: ipvs.Service{Key: ipvs.TCPService(vip), Scheduler: "rr"}}
	if args[0] == "udp" {
		want.Service.Key = ipvs.UDPService(vip)
	}
	for _, arg := range args[2:] {
		addr, err := netip.ParseAddrPort(arg)
		if err != nil {
			return err
		}
		want.Destinations = append(want.Destinations, ipvs.Destination{Key: addr, Weight: 1})
	}
	balancer, err := userspace.New(nil)
	if err != nil {
		return err
	}
	if err := balancer.Apply(ctx, ipvs.Diff(nil, ipvs.Table{want}, nil)); err != nil {
		return err
	}
	<-ctx.Done()
	return balancer.Close()
}
