// Floating-address keeps an address over a service: package failover inside a
// program that balances nothing. Run it on two or more machines beside what
// serves; the address is with one whose service answers.
//
//	floating-address -device eth0 -address 192.0.2.100/32 -service 127.0.0.1:80
//
// The routers find each other by multicast, with -peer by unicast; any of them
// may be keepalived. The service has to listen on all addresses.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/failover"
)

func main() {
	failover.BeatMain() // the process that beats is a second run of this program

	device := flag.String("device", "eth0", "device that carries the address")
	vrid := flag.Uint("vrid", 51, "number of the virtual router, the same on all machines")
	priority := flag.Uint("priority", 100, "who serves if several can: the highest, 1 to 254")
	vip := flag.String("address", "", "the address that floats, as 192.0.2.100/32")
	peer := flag.String("peer", "", "address of the other machine, where multicast does not work")
	virtualMAC := flag.Bool("virtual-mac", false, "the address has one MAC on all machines")
	service := flag.String("service", "", "address and port that has to answer; empty: this machine can always serve")
	flag.Parse()
	if *vrid < 1 || *vrid > 255 || *priority < 1 || *priority > 254 {
		log.Fatalf("-vrid %d -priority %d: want 1 to 255 and 1 to 254", *vrid, *priority)
	}
	if err := run(*device, uint8(*vrid), uint8(*priority), *vip, *peer, *virtualMAC, *service); err != nil {
		log.Fatal(err)
	}
}

func run(device string, vrid, priority uint8, vip, peer string, virtualMAC bool, service string) error {
	prefix, err := netip.ParsePrefix(vip)
	if err != nil {
		return fmt.Errorf("-address %q: want one such as 192.0.2.100/32: %w", vip, err)
	}
	var peers []netip.Addr
	if peer != "" {
		a, err := netip.ParseAddr(peer)
		if err != nil {
			return fmt.Errorf("-peer: %w", err)
		}
		peers = append(peers, a)
	}
	owner, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: []failover.VirtualAddress{{Prefix: prefix, Device: device}}})
	if err != nil {
		return err
	}
	beat, err := failover.NewBeat(nil)
	if err != nil {
		return err
	}
	router, err := failover.NewRouter(&failover.RouterConfig{
		VRID: vrid, Device: device, Priority: priority, Interval: 100 * time.Millisecond, VirtualMAC: virtualMAC,
		Addresses: []netip.Addr{prefix.Addr()}, Peers: peers, Owner: owner, Beat: beat,
		OnEvent: func(e failover.Event) { log.Print(e) },
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop() // the watch ends, too, when the router could not begin
	all.Go(func() { watch(ctx, service, router.SetFault) })
	beatCtx, stopBeat := context.WithCancel(context.Background())
	defer stopBeat() // after the router has handed over
	all.Go(func() { _ = beat.Run(beatCtx) })
	return router.Run(ctx)
}

// watch tells every second what keeps the service from answering.
func watch(ctx context.Context, service string, fault func(reason string)) {
	for service != "" && ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", service, time.Second)
		if err == nil {
			_ = conn.Close()
			fault("")
		} else {
			fault("the service does not answer: " + err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
