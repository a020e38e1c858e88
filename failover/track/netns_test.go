//go:build linux && netns

package track_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover/track"
	"github.com/lvskit/lvskit/internal/lab"
)

// Devices and routes are found gone and back at once, long before the next look.
func TestNetnsHearsOfChanges(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	host, other := l.Namespace("host"), l.Namespace("other")
	const eth0 = "eth0"
	l.Veth(host, eth0, other, eth0)
	host.Addr(eth0, netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	way := netip.MustParsePrefix("198.51.100.0/24")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tr := runTracker(t, &track.Config{
		Targets: []track.Target{new(fed)},
		Tracks: []track.Track{
			{Name: "uplink", Source: track.Device{Device: eth0, Namespace: host.Path()}, Weight: -10, Interval: time.Hour},
			{Name: "route", Source: track.Route{Prefix: way, Namespace: host.Path()}, Weight: -20, Interval: time.Hour},
			{Name: "via", Source: track.Route{Prefix: way, Via: netip.MustParseAddr("192.0.2.9"), Device: eth0, Namespace: host.Path()}, Weight: -40, Interval: time.Hour},
			{Name: "default", Source: track.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Namespace: host.Path()}, Weight: 1, Interval: time.Hour},
			{Name: "default six", Source: track.Route{Prefix: netip.MustParsePrefix("::/0"), Namespace: host.Path()}, Weight: 2, Interval: time.Hour},
			{Name: "table", Source: track.Route{Prefix: way, Table: 77, Namespace: host.Path()}, Weight: 4, Interval: time.Hour},
		},
	})
	is := func(what string, want uint8, reason string) {
		t.Helper()
		took := within(t, 20*time.Second, what, func() bool {
			st := tr.Status()
			return st.Known && st.Priority == want && strings.Contains(st.Reason, reason)
		})
		t.Logf("%s: %v", what, took)
	}
	is("no route", 40, "track route: no route 198.51.100.0/24; track via: no route 198.51.100.0/24 via 192.0.2.9 dev eth0")
	host.Route(way, netip.MustParseAddr("192.0.2.8"))
	is("a route over another gateway", 60, "track via")
	link, err := host.Handle().LinkByName(eth0)
	must(err)
	route := func(dst string, via string, table int) *netlink.Route {
		p := netip.MustParsePrefix(dst)
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(via).AsSlice(), Table: table, Priority: 5}
		ip, err := netlink.ParseIPNet(p.String())
		must(err)
		r.Dst = ip
		return r
	}
	must(host.Handle().RouteAdd(route(way.String(), "192.0.2.9", 0)))
	is("both", 100, "")
	must(host.Handle().RouteAdd(route("0.0.0.0/0", "192.0.2.9", 0)))
	is("a default route", 101, "track default: good")
	must(host.Handle().RouteAdd(route("::/0", "2001:db8::9", 0)))
	is("that of IPv6", 103, "track default six: good")
	must(host.Handle().RouteAdd(route(way.String(), "192.0.2.9", 77)))
	is("a route of another table", 107, "track table: good")
	must(host.Handle().RouteDel(route(way.String(), "192.0.2.9", 77)))
	is("it is gone", 103, "")

	other.Down(eth0)
	is("unplugged", 30, "track uplink: no carrier; track route: the device of route 198.51.100.0/24 has no carrier")
	other.Up(eth0)
	is("plugged", 103, "")
	host.Down(eth0) // which takes the routes of IPv4 along
	is("down", 30, "track uplink: eth0 is down; track route: no route")
	host.Up(eth0)
	is("up", 40, "track route: no route")
	must(host.Handle().LinkDel(link))
	is("gone", 30, "track uplink: no device eth0")
}
