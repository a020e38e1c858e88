//go:build linux && netns

package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// A namespace without any route: we cannot ask, whatever the check.
func TestNetnsNoRouteIsNoResult(t *testing.T) {
	text, err := NewSendExpect(&SendExpectConfig{Transport: OverUDP, Send: "x"})
	if err != nil {
		t.Fatal(err)
	}
	web, err := NewHTTP(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := lab.New(t).Namespace("nowhere")
	n.RemoveAddr("lo", netip.MustParsePrefix("127.0.0.1/8"))
	n.Down("lo")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// A check dials on the thread that it is called on.
	err = n.Do(func() error {
		for _, addr := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "127.0.0.1:80"} {
			for _, c := range []Checker{new(TCP), text, web} {
				r := c.Check(ctx, Target{Addr: netip.MustParseAddrPort(addr)})
				if r.Verdict != NoResult || !strings.HasPrefix(r.Reason, "connect: ") {
					t.Errorf("%s %s: %v, %q", c.Identity(), addr, r.Verdict, r.Reason)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A check asks from the namespace, by the device and with the mark that it is
// told, and is no result where those are not to be had.
func TestNetnsDial(t *testing.T) {
	l := lab.New(t)
	inside := l.Namespace("inside")
	listening := make(chan net.Listener, 1)
	if err := inside.Do(func() error {
		ln, err := net.Listen("tcp", "127.0.0.1:8000")
		listening <- ln
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ln := <-listening
	defer ln.Close()
	addr := netip.MustParseAddrPort("127.0.0.1:8000")
	here := lab.New(t).Namespace("here")
	// Its table of routes is not the one of here, which knows the way.
	empty := l.Namespace("empty")
	empty.RemoveAddr("lo", netip.MustParsePrefix("127.0.0.1/8"))
	empty.Down("lo")
	ask := func(d Dial) (r Result) {
		t.Helper()
		c, err := NewTCP(&TCPConfig{Dial: d})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := here.Do(func() error { r = c.Check(ctx, Target{Addr: addr}); return nil }); err != nil {
			t.Fatal(err)
		}
		return r
	}
	tests := map[string]struct {
		dial    Dial
		verdict Verdict
		reason  string
	}{
		"where nothing listens":     {Dial{}, Fail, "refused"},
		"in the namespace":          {Dial{Namespace: inside.Path()}, OK, "accepted"},
		"by its loopback, marked":   {Dial{Namespace: inside.Path(), Device: "lo", Mark: 7}, OK, "accepted"},
		"by a device it lacks":      {Dial{Namespace: inside.Path(), Device: "eth9"}, NoResult, "cannot bind the socket to device eth9: no such device"},
		"in one without a route":    {Dial{Namespace: empty.Path()}, NoResult, "network unreachable from this machine"},
		"in a namespace of nowhere": {Dial{Namespace: "/nowhere"}, NoResult, "cannot enter network namespace /nowhere: no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if r := ask(tt.dial); r.Verdict != tt.verdict || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, tt.verdict, tt.reason)
			}
		})
	}
	// The threads of the namespace are gone, or are nobody else's.
	if r := ask(Dial{}); r.Verdict != Fail {
		t.Errorf("afterwards: %v, %q", r.Verdict, r.Reason)
	}
}

// A check in another namespace that waits for an answer holds no thread there:
// a Go program may not have 10,000.
func TestNetnsDialHoldsNoThreads(t *testing.T) {
	l := lab.New(t)
	n := l.Namespace("dark")
	l.Veth(n, "wire", l.Namespace("deaf"), "wire") // nobody there has an address
	n.Addr("wire", netip.MustParsePrefix("192.0.2.1/24"))
	dial := Dial{Namespace: n.Path()}
	connect, err := NewTCP(&TCPConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	ask, err := NewHTTP(&HTTPConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	threads := func() int {
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	const checks = 200
	before := threads()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var asking sync.WaitGroup
	for i := range checks {
		c := []Checker{connect, ask}[i%2]
		asking.Go(func() {
			if r := c.Check(ctx, Target{Addr: netip.MustParseAddrPort("192.0.2.77:80")}); r.Verdict != Fail || !strings.Contains(r.Reason, "connect: no answer within") {
				t.Errorf("%v, %q", r.Verdict, r.Reason)
			}
		})
	}
	time.Sleep(time.Second)
	if during := threads(); during-before > checks/4 {
		t.Errorf("%d threads before, %d while %d checks wait", before, during, checks)
	}
	asking.Wait()
}

// With one local port to choose from, a connection to the same number where
// nobody listens meets itself.
func TestNetnsConnectToItself(t *testing.T) {
	for way, connect := range connectPaths {
		for _, addr := range []string{"127.0.0.1:40000", "[::1]:40000"} {
			// Of their own, as package net may leave a TIME_WAIT at the port.
			n := lab.New(t).Namespace("narrow")
			n.Sysctl("net.ipv4.ip_local_port_range", "40000 40000")
			met := 0
			err := n.Do(func() error {
				for range 64 {
					r := connectBy(t.Context(), connect, Dial{}, netip.MustParseAddrPort(addr))
					if r.Verdict == OK {
						t.Errorf("%s: %v, %q", way, r.Verdict, r.Reason)
					}
					if strings.Contains(r.Reason, errSelfConnect.Error()) {
						met++
					}
				}
				return nil
			})
			// Package net tries twice more itself when that happens.
			if err != nil || met == 0 && way == "of this system" {
				t.Errorf("%s to %s met itself %d times, %v", way, addr, met, err)
			}
		}
	}
}

// Checks leave nothing behind, and more of them go from one source than it
// has ports.
func TestNetnsConnectLeavesNothing(t *testing.T) {
	n := lab.New(t).Namespace("narrow")
	n.Sysctl("net.ipv4.ip_local_port_range", "40000 40099")
	source := Dial{Source: netip.MustParseAddr("127.0.0.9")}
	for way, connect := range connectPaths {
		ln, err := n.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		addr := ln.Addr().(*net.TCPAddr).AddrPort()
		if err := n.Do(func() error {
			for i := range 1000 {
				d := Dial{}
				if i%2 == 0 {
					d = source
				}
				if r := connectBy(t.Context(), connect, d, addr); r.Verdict != OK {
					t.Fatalf("%s, check %d: %v, %q", way, i, r.Verdict, r.Reason)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		ln.Close()
		var table string
		if err := n.Do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/tcp")
			table = string(b)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		const timeWait = " 06 " // TCP_TIME_WAIT, include/net/tcp_states.h
		if strings.Contains(table, timeWait) {
			t.Errorf("%s leaves TIME_WAIT behind:\n%s", way, table)
		}
	}
}
