//go:build linux && netns

package failover_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/failover"
)

// A router that does not accept is found and forwards, and drops what is for
// the address itself. It leaves nothing behind.
func TestNetnsNoAccept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, vip, more, own, beyond, net string
	}{
		{"IPv4", "192.0.2.100/32", "192.0.2.101/32", "192.0.2.1", "198.51.100.9", "0.0.0.0/0"},
		{"IPv6", "fe80::100/64", "2001:db8::101/128", "2001:db8::1", "2001:db8:1::9", "::/0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			host, client := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
			beyond := w.Namespace("beyond")
			w.Veth(host.Namespace, "eth1", beyond, eth0)
			for _, s := range []string{"198.51.100.1/24", "2001:db8:1::1/64"} {
				host.Addr("eth1", netip.MustParsePrefix(s))
			}
			for _, s := range []string{"198.51.100.9/24", "2001:db8:1::9/64"} {
				beyond.Addr(eth0, netip.MustParsePrefix(s))
			}
			beyond.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("198.51.100.1"))
			beyond.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("2001:db8:1::1"))
			host.Forward()
			host.serve()
			(&peer{box: box{beyond}, w: w}).serve()
			vip, more := netip.MustParsePrefix(tt.vip), netip.MustParsePrefix(tt.more)
			owned := []failover.VirtualAddress{{Prefix: vip, Device: eth0}, {Prefix: more, Device: eth0}}
			r, _, stop := runRouter(t, host, func(c *failover.RouterConfig) { c.NoAccept = true }, tt.vip)
			within(t, patience, "start", func() bool { return r.Status().Serving })
			must(t, r.SetAddresses(t.Context(), []netip.Addr{vip.Addr(), more.Addr()}, owned))
			table := "lvskit-" + failover.VirtualDevice(eth0, 7, more.Addr().Is6())
			if rules := host.Run("nft", "list", "ruleset"); !strings.Contains(rules, table) || !strings.Contains(rules, more.Addr().String()) {
				t.Errorf("rules:\n%s", rules)
			}

			// The address is the gateway: it is resolved, and forwards.
			if vip.Addr().Is4() {
				client.Route(netip.MustParsePrefix(tt.net), vip.Addr())
			} else {
				client.Run("ip", "-6", "route", "add", "default", "via", vip.Addr().String(), "dev", eth0)
			}
			if got := client.ask(netip.MustParseAddr(tt.beyond)); got != "beyond" {
				t.Errorf("through the address: %q", got)
			}
			if got := client.neighbour(vip.Addr()); got != host.mac() {
				t.Errorf("the neighbour has %q, want %q", got, host.mac())
			}
			// To it nothing goes.
			if got := client.ask(more.Addr()); got == "d1" {
				t.Error("the address answers although it does not accept")
			}
			if got := client.neighbour(more.Addr()); got != host.mac() {
				t.Errorf("the neighbour has %q for the address that came later, want %q", got, host.mac())
			}
			if got := client.ask(netip.MustParseAddr(tt.own)); got != "d1" {
				t.Errorf("at the machine's own address: %q", got)
			}
			stop()
			if rules := host.Run("nft", "list", "ruleset"); strings.Contains(rules, table) {
				t.Errorf("left behind:\n%s", rules)
			}
		})
	}
}

// Two routers that are the same one by mistake do not share the table, and the
// second one says so.
func TestNetnsNoAcceptTwice(t *testing.T) {
	t.Parallel()
	host := newWire(t).host("d1", "2001:db8::1/64")
	r, _, _ := runRouter(t, host, func(c *failover.RouterConfig) { c.NoAccept = true }, "fe80::100/64")
	within(t, patience, "start", func() bool { return r.Status().Serving })
	var many []netip.Addr // so that the refusals do not fit into the socket
	for a := netip.MustParseAddr("fe80::100"); len(many) < 255; a = a.Next() {
		many = append(many, a)
	}
	second, err := failover.NewRouter(&failover.RouterConfig{
		VRID: 7, Device: eth0, NoAccept: true, Addresses: many, Transport: failover.RawIP{Namespace: host.Path()},
		Owner: failover.NoAddresses{},
	})
	must(t, err)
	if err := second.Run(t.Context()); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "nft list table ip6 lvskit-vrrp6-7-eth0") {
		t.Errorf("got %v", err)
	}
}

// By default everything is accepted, and an owner does so in any case.
func TestNetnsAcceptIsTheDefault(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*failover.RouterConfig){
		"default":  func(*failover.RouterConfig) {},
		"an owner": func(c *failover.RouterConfig) { c.NoAccept, c.Priority = true, 255 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			host, client := w.host("d1", "192.0.2.1/24"), w.host("cl", "192.0.2.9/24")
			host.serve()
			r, _, _ := runRouter(t, host, set, "192.0.2.100/32")
			within(t, patience, "start", func() bool { return r.Status().Serving })
			client.answeredBy(host, netip.MustParseAddr("192.0.2.100"))
		})
	}
}
