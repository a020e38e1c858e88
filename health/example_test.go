package health_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/health"
)

// listen stands for a real server of the reader's.
func listen() (netip.AddrPort, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), func() { l.Close() }
}

// One question, asked once.
func ExampleTCP() {
	addr, closeServer := listen()
	defer closeServer()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	r := new(health.TCP).Check(ctx, health.Target{Addr: addr})
	fmt.Println(r.Verdict, "-", r.Reason)
	closeServer()
	r = new(health.TCP).Check(ctx, health.Target{Addr: addr})
	fmt.Println(r.Verdict, "-", r.Reason)
	// Output:
	// ok - connect: accepted
	// fail - connect: refused; nothing listens there
}

// A server is watched, and dies.
func ExampleMonitor() {
	addr, closeServer := listen()
	changes := make(chan health.Event, 10)
	m := health.NewMonitor(&health.Config{OnEvent: func(e health.Event) { changes <- e }})
	err := m.Set([]health.Watch{{
		ID:      "web-1",
		Target:  health.Target{Addr: addr},
		Checker: new(health.TCP),
		Policy:  health.Policy{Interval: 50 * time.Millisecond, Timeout: time.Second, Fall: 2},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()

	e := <-changes
	fmt.Printf("%d %s: %v -> %v\n", e.Seq, e.ID, e.Old, e.New)
	closeServer()
	e = <-changes
	fmt.Printf("%d %s: %v -> %v (%s)\n", e.Seq, e.ID, e.Old, e.New, e.Reason)

	cancel()
	fmt.Println(<-done)
	// Output:
	// 1 web-1: unknown -> up
	// 2 web-1: up -> down (connect: refused; nothing listens there)
	// <nil>
}

// The check that an lvs.cf without send, expect and send_program means.
func ExampleNewPiranha() {
	c, err := health.NewPiranha(health.PiranhaConfig{VirtualPort: 80})
	fmt.Println(c.Identity(), err)
	// Output: send-expect tcp send="GET / HTTP/1.0\r\n\r\n" expect="HTTP" <nil>
}

// The load of a server, as its node_exporter tells it.
func ExampleLoadHTTP() {
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1.6e+04\nnode_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 1.6e+04\n"+
			"node_load1 2.5\nnode_load15 1.25\nnode_load5 1.75\n")
	}))
	defer exporter.Close()
	c, err := health.NewLoadHTTP(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := c.Check(context.Background(), health.Target{Addr: netip.MustParseAddrPort(exporter.Listener.Addr().String())})
	fmt.Println(r.Verdict, "-", r.Reason)
	fmt.Printf("%.2f tasks for each processor\n", r.Load.One/float64(r.Load.Cores))
	// Output:
	// ok - read: load 2.50 1.75 1.25 on 2 cores
	// 1.25 tasks for each processor
}

// The loads of many servers by their rwhods: one listener, and a check that
// answers from what it heard.
func ExampleRWho() {
	who, err := health.NewRWho(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := health.NewRuptime(&health.RuptimeConfig{RWho: who})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	go func() { _ = who.Run(ctx) }()
	for range time.Tick(20 * time.Second) {
		r := c.Check(ctx, health.Target{Addr: netip.MustParseAddrPort("192.0.2.1:80")})
		fmt.Println(r.Reason, r.Load)
	}
}

// How long a dead server may keep getting connections.
func ExamplePolicy_WorstDetection() {
	p := health.Policy{Interval: 10 * time.Second, FastInterval: 2 * time.Second, Timeout: 3 * time.Second, Fall: 3}
	fmt.Println(p.WorstDetection())
	// Output: 19s
}

// Servers are asked at once when the kernel tells of a change on the way to
// them, and not only at the next turn.
func ExampleHints() {
	m := health.NewMonitor(nil)
	// One name for each server; a program with several watches of one address
	// keeps a list.
	names := map[netip.Addr]string{netip.MustParseAddr("192.0.2.21"): "web1"}
	hints, err := health.NewHints(health.HintsConfig{OnHint: func(h health.Hint) {
		// What is known to be down need not be asked because it is unreachable.
		if st, ok := m.State(names[h.Addr]); ok && (st.State == health.Down) == h.Back {
			m.Trigger(st.ID)
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	hints.Set(slices.Collect(maps.Keys(names)))
	go func() {
		if err := hints.Run(context.Background()); err != nil {
			log.Print(err)
		}
	}()
}
