//go:build linux && netns

package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// A router between us and the servers: what it says of them is their failure,
// what our own routes say is ours.
func TestNetnsRouterSaysSo(t *testing.T) {
	l := lab.New(t)
	client, router, server := l.Namespace("client"), l.Namespace("router"), l.Namespace("server")
	l.Veth(client, "eth0", router, "eth0")
	l.Veth(router, "eth1", server, "eth0")
	client.Addr("eth0", netip.MustParsePrefix("10.0.0.1/24"))
	router.Addr("eth0", netip.MustParsePrefix("10.0.0.254/24"))
	router.Addr("eth1", netip.MustParsePrefix("10.0.1.254/24"))
	server.Addr("eth0", netip.MustParsePrefix("10.0.1.1/24"))
	for n, links := range map[*lab.Namespace][]string{client: {"eth0"}, router: {"eth0", "eth1"}, server: {"eth0"}} {
		for _, link := range links {
			n.Up(link)
		}
	}
	router.Forward()
	router.Sysctl("net.ipv4.icmp_ratelimit", "0")
	anywhere := netip.MustParsePrefix("0.0.0.0/0")
	client.Route(anywhere, netip.MustParseAddr("10.0.0.254"))
	server.Route(anywhere, netip.MustParseAddr("10.0.1.254"))
	for n, hosts := range map[*lab.Namespace]map[string]int{
		router: {"192.0.2.1": unix.RTN_UNREACHABLE, "192.0.2.2": unix.RTN_PROHIBIT, "192.0.2.3": unix.RTN_BLACKHOLE},
		client: {"192.0.2.11": unix.RTN_UNREACHABLE, "192.0.2.12": unix.RTN_PROHIBIT, "192.0.2.13": unix.RTN_BLACKHOLE},
	} {
		for host, kind := range hosts {
			if err := n.Handle().RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.ParseIP(host).To4(), Mask: net.CIDRMask(32, 32)}, Type: kind}); err != nil {
				t.Fatalf("route to %s: %v", host, err)
			}
		}
	}
	server.Sysctl("net.ipv4.icmp_echo_ignore_all", "1")

	d := Dial{Namespace: client.Path()}
	text, err := NewSendExpect(&SendExpectConfig{Transport: OverUDP, Send: "x", Dial: d})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := NewTCP(&TCPConfig{Dial: d})
	if err != nil {
		t.Fatal(err)
	}
	echo, err := NewICMP(&ICMPConfig{Dial: d})
	if err != nil {
		t.Fatal(err)
	}
	for host, tt := range map[string]struct {
		want   Verdict
		reason string
	}{
		"192.0.2.1":  {Fail, "a router says so"},
		"192.0.2.2":  {Fail, "a router says so"},
		"192.0.2.3":  {Fail, "no answer within"},
		"192.0.2.11": {NoResult, "from this machine"},
		"192.0.2.12": {NoResult, "from this machine"},
		"192.0.2.13": {NoResult, "cannot be used from here"},
		"10.0.1.1":   {Fail, ""}, // nothing listens, and no echo comes back
		"10.0.1.77":  {Fail, ""}, // nobody is there, and the router may be slow to say so
	} {
		for name, c := range map[string]Checker{"tcp": tcp, "udp": text, "icmp": echo} {
			t.Run(fmt.Sprint(host, " over ", name), func(t *testing.T) {
				t.Parallel()
				var r Result
				// A router tells one host of five packets at once, and then of
				// one a second (net.ipv4.route.error_burst and error_cost).
				for range 8 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					r = c.Check(ctx, Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(host), 80)})
					cancel()
					if r.Verdict == tt.want && strings.Contains(r.Reason, tt.reason) {
						return
					}
				}
				t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, tt.want, tt.reason)
			})
		}
	}
}

// Link-local addresses are asked by the interface that their zone names, in the
// namespace that is asked from: two have one of the same name here.
func TestNetnsLinkLocal(t *testing.T) {
	l := lab.New(t)
	server := l.Namespace("server")
	for i, n := range []*lab.Namespace{l.Namespace("one"), l.Namespace("two")} {
		if i == 1 {
			l.Veth(n, "before", server, "spare") // so that the interface has another number
		}
		peer := fmt.Sprint("eth", i)
		l.Veth(n, "inside", server, peer)
		addr := netip.MustParseAddr(fmt.Sprintf("fe80::1:%d", i))
		server.Addr(peer, netip.PrefixFrom(addr, 64))
		n.Up("inside")
		server.Up(peer)
		d := Dial{Namespace: n.Path()}
		echo, err := NewICMP(&ICMPConfig{Dial: d})
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := NewTCP(&TCPConfig{Dial: d})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(c Checker, zone string) Result {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return c.Check(ctx, Target{Addr: netip.AddrPortFrom(addr.WithZone(zone), 80)})
		}
		// Addresses are tentative for a while (RFC 4862, section 5.4).
		deadline := time.Now().Add(20 * time.Second)
		for r := ask(echo, "inside"); r.Verdict != OK; r = ask(echo, "inside") {
			if time.Now().After(deadline) {
				t.Fatalf("echo: %v, %q", r.Verdict, r.Reason)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if r := ask(tcp, "inside"); r.Verdict != Fail || !strings.Contains(r.Reason, "refused") {
			t.Errorf("tcp in %d: %v, %q", i, r.Verdict, r.Reason)
		}
		for _, c := range []Checker{tcp, echo} {
			for _, zone := range []string{"", "elsewhere"} {
				if r := ask(c, zone); r.Verdict != NoResult {
					t.Errorf("%s with zone %q: %v, %q", c.Identity(), zone, r.Verdict, r.Reason)
				}
			}
		}
	}
}

// A source has a zone of the namespace, too: in the second one the interface has
// another number than in the first.
func TestNetnsLinkLocalSource(t *testing.T) {
	l := lab.New(t)
	server := l.Namespace("server")
	for i, n := range []*lab.Namespace{l.Namespace("one"), l.Namespace("two")} {
		if i == 1 {
			l.Veth(n, "before", server, "spare")
		}
		peer := fmt.Sprint("eth", i)
		l.Veth(n, "inside", server, peer)
		n.Run("ip", "addr", "add", "fe80::2/64", "dev", "inside", "nodad")
		n.Up("inside")
		server.Up(peer)
		d := Dial{Namespace: n.Path(), Source: netip.MustParseAddr("fe80::2%inside")}
		echo, err := NewICMP(&ICMPConfig{Dial: d})
		if err != nil {
			t.Fatal(err)
		}
		ntp, err := NewNTP(&NTPConfig{Dial: d})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []Checker{ntp, echo} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			// Nobody has the address: that the question could be asked is enough.
			r := c.Check(ctx, Target{Addr: netip.MustParseAddrPort("[fe80::9%inside]:123")})
			cancel()
			if r.Verdict != Fail {
				t.Errorf("%s in %d: %v, %q", c.Identity(), i, r.Verdict, r.Reason)
			}
		}
	}
}
