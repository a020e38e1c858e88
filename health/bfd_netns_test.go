//go:build linux && netns

package health

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// standBFD leaves a session open, which ends with the test.
func standBFD(t *testing.T, c *BFD, peer netip.Addr) <-chan Result {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reports, ended := make(chan Result, 100), make(chan error, 1)
	go func() {
		ended <- c.Stand(ctx, Target{Addr: netip.AddrPortFrom(peer, 0)}, func(r Result) { reports <- r })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return reports
}

// reported waits for a verdict and a part of its reason.
func reported(t *testing.T, reports <-chan Result, verdict Verdict, reason string) {
	t.Helper()
	select {
	case r := <-reports:
		if r.Verdict != verdict || !strings.Contains(r.Reason, reason) {
			t.Fatalf("%v, %q; want %v with %q", r.Verdict, r.Reason, verdict, reason)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("no report; want %v with %q", verdict, reason)
	}
}

// A session that falls because we cannot send says nothing about the server,
// until we can send again.
func TestNetnsBFDWithoutARoute(t *testing.T) {
	l := lab.New(t)
	here, there := l.Namespace("here"), l.Namespace("there")
	l.Veth(here, "eth0", there, "eth0")
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	here.Addr("eth0", netip.PrefixFrom(a, 24))
	there.Addr("eth0", netip.PrefixFrom(b, 24))
	session := func(n *lab.Namespace) *BFD {
		c, err := NewBFD(&BFDConfig{Interval: 100 * time.Millisecond, Dial: Dial{Namespace: n.Path()}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ours := standBFD(t, session(here), b)
	peer := session(there)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	theirs, err := peer.join(ctx, Target{Addr: netip.AddrPortFrom(a, 0)})
	if err != nil {
		t.Fatal(err)
	}
	reported(t, ours, OK, "Up")
	here.Down("eth0")
	reported(t, ours, NoResult, "its own routing table says so")
	here.Up("eth0")
	reported(t, ours, OK, "Up")
	here.Down("eth0")
	reported(t, ours, NoResult, "its own routing table says so")
	peer.leave(theirs)
	here.Up("eth0")
	reported(t, ours, Fail, "no packet")
}

// The zone of an address is one of the namespace, and may have another number
// there than here, or than in another one.
func TestNetnsBFDLinkLocal(t *testing.T) {
	l := lab.New(t)
	server := l.Namespace("server")
	for i, n := range []*lab.Namespace{l.Namespace("one"), l.Namespace("two")} {
		if i == 1 {
			l.Veth(n, "before", server, "spare") // so that the interface has another number
		}
		outside := fmt.Sprint("eth", i)
		l.Veth(n, "inside", server, outside)
		inner, outer := netip.MustParseAddr(fmt.Sprintf("fe80::2:%d", i)), netip.MustParseAddr(fmt.Sprintf("fe80::1:%d", i))
		n.Addr("inside", netip.PrefixFrom(inner, 64))
		server.Addr(outside, netip.PrefixFrom(outer, 64))
		n.Up("inside")
		server.Up(outside)
		session := func(n *lab.Namespace, own netip.Addr) *BFD {
			c, err := NewBFD(&BFDConfig{Interval: 100 * time.Millisecond, Dial: Dial{Source: own, Namespace: n.Path()}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		// Addresses are tentative for a while (RFC 4862, section 5.4).
		echo, err := NewICMP(&ICMPConfig{Dial: Dial{Source: inner.WithZone("inside"), Namespace: n.Path()}})
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r := echo.Check(ctx, Target{Addr: netip.AddrPortFrom(outer.WithZone("inside"), 0)})
			cancel()
			if r.Verdict == OK {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("echo: %v, %q", r.Verdict, r.Reason)
			}
			time.Sleep(50 * time.Millisecond)
		}
		theirs := session(server, outer.WithZone(outside))
		line, err := theirs.join(t.Context(), Target{Addr: netip.AddrPortFrom(inner.WithZone(outside), 0)})
		if err != nil {
			t.Fatal(err)
		}
		r := session(n, inner.WithZone("inside")).Check(t.Context(), Target{Addr: netip.AddrPortFrom(outer.WithZone("inside"), 0)})
		theirs.leave(line)
		if r.Verdict != OK {
			t.Errorf("in %d: %v, %q", i, r.Verdict, r.Reason)
		}
	}
}
