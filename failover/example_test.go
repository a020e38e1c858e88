package failover_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/track"
)

// A primary with two channels and one virtual address, as a daemon runs it.
func Example() {
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.100/32"), Device: "eth0", Label: "eth0:1"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	node, err := failover.New(&failover.Config{
		Primary: true,
		Channels: []failover.Channel{
			{Name: "public", Local: netip.MustParseAddrPort("192.0.2.1:539"), Peer: netip.MustParseAddrPort("192.0.2.2:539")},
			{Name: "private", Local: netip.MustParseAddrPort("10.0.0.1:539"), Peer: netip.MustParseAddrPort("10.0.0.2:539")},
		},
		Key:     []byte("32 random bytes, same on both..."),
		Owner:   owner,
		OnEvent: func(e failover.Event) { fmt.Println(e) },
		OnRole: func(ctx context.Context, r failover.Role) error {
			fmt.Println("fill or empty the table for role", r)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := node.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// A router of VRRP beside others, of which any may be keepalived: the virtual
// router 51 on eth0, with version 3 and adverts every 100 ms.
func ExampleRouter() {
	vip := netip.MustParsePrefix("192.0.2.100/24")
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{{Prefix: vip, Device: "eth0"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	router, err := failover.NewRouter(&failover.RouterConfig{
		VRID: 51, Device: "eth0", Priority: 150, Interval: 100 * time.Millisecond,
		Addresses: []netip.Addr{vip.Addr()},
		Owner:     owner,
		OnEvent:   func(e failover.Event) { fmt.Println(e) },
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := router.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// The two sides of a balancer that move together, with a priority that falls
// while the uplink has no carrier, and a fault while the disk is full.
func ExampleGroup() {
	var routers []*failover.Router
	for device, vip := range map[string]string{"eth0": "192.0.2.100", "eth1": "10.0.0.100"} {
		r, err := failover.NewRouter(&failover.RouterConfig{
			VRID: 51, Device: device, Priority: 150, Addresses: []netip.Addr{netip.MustParseAddr(vip)},
		})
		if err != nil {
			log.Fatal(err)
		}
		routers = append(routers, r)
	}
	group, err := failover.NewGroup("balancer", routers...)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := track.New(&track.Config{
		Priority: 150, Targets: []track.Target{group},
		Tracks: []track.Track{
			{Name: "uplink", Source: track.Device{Device: "eth2"}, Weight: -100},
			{Name: "disk", Source: track.Program{Path: "/usr/local/sbin/disk-is-free"}, Interval: 10 * time.Second, Fall: 3},
		},
		OnChange: func(s track.Status) { fmt.Println(s.Reason, s.Fault) },
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tracker.Hold()
	var work errgroup.Group
	work.Go(func() error { return tracker.Run(ctx) })
	for _, r := range routers {
		work.Go(func() error { return r.Run(ctx) })
	}
	if err := work.Wait(); err != nil {
		log.Fatal(err)
	}
}

// Two nodes in one process over an in-memory network: the primary stops, and
// the backup takes over at once.
func Example_pair() {
	network := failovertest.NewNetwork(1)
	a, b := netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("192.0.2.2:539")
	start := func(name string, primary bool, local, peer netip.AddrPort) (roles <-chan failover.Role, stop func()) {
		told := make(chan failover.Role, 16)
		node, err := failover.New(&failover.Config{
			Primary: primary, Key: []byte("32 random bytes, same on both..."), Interval: 20 * time.Millisecond, DeadAfter: time.Second,
			Channels:  []failover.Channel{{Name: "only", Local: local, Peer: peer}},
			Transport: network.Host(name),
			OnRole:    func(_ context.Context, r failover.Role) error { told <- r; return nil },
		})
		if err != nil {
			log.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- node.Run(ctx) }()
		return told, func() { cancel(); <-done }
	}
	first, stopFirst := start("first", true, a, b)
	second, stopSecond := start("second", false, b, a)
	fmt.Println("first:", <-first)
	fmt.Println("second:", <-second)
	stopFirst()
	fmt.Println("first:", <-first)
	fmt.Println("second:", <-second)
	stopSecond()
	// Output:
	// first: active
	// second: backup
	// first: leaving
	// second: active
}

// A router in a process of its own. The program calls BeatMain before anything
// else, as it is the same program that runs there.
func ExampleBeat() {
	failover.BeatMain() // first in main

	beat, err := failover.NewBeat(&failover.BeatConfig{
		OnEvent: func(e failover.Event) { fmt.Println(e) }, // a process that died, a privilege that is missing
	})
	if err != nil {
		log.Fatal(err)
	}
	vip := netip.MustParsePrefix("192.0.2.100/24")
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{{Prefix: vip, Device: "eth0"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	router, err := failover.NewRouter(&failover.RouterConfig{
		VRID: 51, Device: "eth0", Priority: 150, Interval: 10 * time.Millisecond,
		Addresses: []netip.Addr{vip.Addr()},
		Owner:     owner,
		Beat:      beat,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- beat.Run(ctx) }() // the router's Run waits for it
	if err := router.Run(ctx); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}

// Two routers of VRRP in one process over a link in memory: the better one
// serves until it stops, and the other one says why it takes over.
func Example_routers() {
	link := new(failovertest.Segment)
	start := func(source string, priority uint8) (told <-chan string, stop func()) {
		lines := make(chan string, 16)
		router, err := failover.NewRouter(&failover.RouterConfig{
			VRID: 51, Device: "eth0", Priority: priority, Interval: 20 * time.Millisecond, DownAdverts: 25,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
			Transport: link.Station(netip.MustParseAddr(source)),
			OnEvent: func(e failover.Event) {
				if e.Kind == failover.EventRole {
					lines <- fmt.Sprintf("%v: %s", e.Role, e.Reason)
				}
			},
		})
		if err != nil {
			log.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- router.Run(ctx) }()
		return lines, func() { cancel(); <-done }
	}
	high, stopHigh := start("192.0.2.1", 200)
	fmt.Println("high is", <-high)
	low, stopLow := start("192.0.2.2", 100)
	fmt.Println("low is", <-low)
	stopHigh()
	fmt.Println("high is", <-high)
	fmt.Println("low is", <-low)
	stopLow()
	// Output:
	// high is active: no active router was heard
	// low is backup: another router is active: 192.0.2.1 with priority 200
	// high is leaving: stopping
	// low is active: the active router stops
}
