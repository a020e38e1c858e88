//go:build linux && netns

package health

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// listenTo runs hints about addresses in a namespace.
func listenTo(t *testing.T, n *lab.Namespace, addrs []netip.Addr, onHint func(Hint)) *Hints {
	t.Helper()
	h, err := NewHints(HintsConfig{OnHint: onHint, Namespace: n.Path()})
	if err != nil {
		t.Fatal(err)
	}
	h.Set(addrs)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h
}

// A server is cut off. Its watch has an interval of an hour, and yet goes
// down: the check is asked when the kernel finds out.
func TestNetnsHintsAskAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		// cut takes the server away.
		cut  func(server, middle *lab.Namespace)
		want string
	}{
		{"the neighbour fails", func(server, _ *lab.Namespace) { server.Down("eth0") }, "neighbour 10.0.0.21 does not answer any more"},
		{"the link goes down", func(_, middle *lab.Namespace) { middle.Down("p1") }, "link eth0 is down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lab.New(t)
			director, middle, server := l.Namespace("director"), l.Namespace("switch"), l.Namespace("server")
			middle.Bridge("br0")
			l.Veth(director, "eth0", middle, "p1")
			l.Veth(server, "eth0", middle, "p2")
			middle.Attach("p1", "br0")
			middle.Attach("p2", "br0")
			director.Addr("eth0", netip.MustParsePrefix("10.0.0.1/24"))
			server.Addr("eth0", netip.MustParsePrefix("10.0.0.21/24"))
			for key, value := range map[string]string{"base_reachable_time_ms": "500", "delay_first_probe_time": "1", "retrans_time_ms": "100"} {
				director.Sysctl("net.ipv4.neigh.eth0."+key, value)
			}
			ln, err := server.Listen("tcp", "10.0.0.21:80")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			tcp, err := NewTCP(&TCPConfig{Dial: Dial{Namespace: director.Path()}})
			if err != nil {
				t.Fatal(err)
			}
			events := make(chan Event, 10)
			m := NewMonitor(&Config{OnEvent: func(e Event) { events <- e }})
			if err := m.Set([]Watch{{
				ID: "web", Target: Target{Addr: netip.MustParseAddrPort("10.0.0.21:80")}, Checker: tcp,
				Policy: Policy{Interval: time.Hour, Timeout: time.Second},
			}}); err != nil {
				t.Fatal(err)
			}
			hints := make(chan Hint, 10)
			listenTo(t, director, addrs("10.0.0.21"), func(h Hint) {
				hints <- h
				m.Trigger("web")
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- m.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			if e := <-events; e.New != Up {
				t.Fatalf("at first: %+v", e)
			}
			// Somebody has to miss it: the kernel asks a neighbour only when
			// there is something to send.
			hears, err := server.ListenPacket("udp", "10.0.0.21:9")
			if err != nil {
				t.Fatal(err)
			}
			defer hears.Close()
			pc, err := director.ListenPacket("udp", "10.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			go func() {
				for ctx.Err() == nil {
					_, _ = pc.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.21:9")))
					time.Sleep(20 * time.Millisecond)
				}
			}()
			tt.cut(server, middle)
			select {
			case e := <-events:
				if e.New != Down {
					t.Errorf("after the cut: %+v", e)
				}
			case <-time.After(30 * time.Second):
				t.Error("the watch was not asked within 30 s")
			}
			// Another hint may come before it, as both are of one cut.
			var told []string
			for late := time.After(10 * time.Second); !slices.Contains(told, tt.want); {
				select {
				case h := <-hints:
					told = append(told, h.Reason)
				case <-late:
					t.Fatalf("hints %q, want %q", told, tt.want)
				}
			}
		})
	}
}

// An answer of "unreachable" to any program of this machine is a hint about
// the address, and the next ones are none for a while.
func TestNetnsHintsOfUnreachableDestinations(t *testing.T) {
	l := lab.New(t)
	director, router := l.Namespace("director"), l.Namespace("router")
	router.Forward()
	l.Veth(director, "eth0", router, "eth0")
	director.Addr("eth0", netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64"))
	router.Addr("eth0", netip.MustParsePrefix("10.0.0.254/24"), netip.MustParsePrefix("fd00::fe/64"))
	director.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.0.254"))
	director.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("fd00::fe"))
	hints := make(chan Hint, 100)
	h := listenTo(t, director, addrs("10.9.0.1", "fd09::1", "10.0.0.254"), func(h Hint) { hints <- h })
	for _, tt := range []struct{ to, want string }{
		{"10.9.0.1:9", "10.0.0.254 says: network unreachable"},
		{"[fd09::1]:9", "fd00::fe says: no route"},
		{"10.0.0.254:9", "10.0.0.254 says: port unreachable"},
	} {
		deadline := time.After(20 * time.Second)
		for got := false; !got; {
			c, err := director.DialContext(t.Context(), "udp", tt.to)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("x"))
			c.Close()
			select {
			case hint := <-hints:
				got = true
				if at := netip.MustParseAddrPort(tt.to); hint.Addr != at.Addr() || !strings.HasPrefix(hint.Reason, tt.want) {
					t.Errorf("%s: hint %+v, want %q", tt.to, hint, tt.want)
				}
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				t.Fatalf("%s: no hint; %+v", tt.to, h.Stats())
			}
		}
	}
	// A flood of them is no flood of hints.
	before := h.Stats()
	c, err := director.DialContext(t.Context(), "udp", "10.0.0.254:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(20 * time.Second); h.Stats().ICMP < before.ICMP+3 && time.Now().Before(end); {
		_, _ = c.Write([]byte("x"))
		time.Sleep(10 * time.Millisecond)
	}
	if after := h.Stats(); after.ICMP < before.ICMP+3 || after.Hints > before.Hints+2 {
		t.Errorf("from %+v to %+v: want many messages and few hints", before, after)
	}
}
