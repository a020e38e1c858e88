//go:build linux && netns

package failover_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// routesOf lists the routes of a table that the kernel did not make by itself,
// sorted.
func routesOf(t *testing.T, ns *lab.Namespace, table int) (out []string) {
	t.Helper()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list := dump(t, func() ([]netlink.Route, error) {
			return ns.Handle().RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
		})
		for _, r := range list {
			if r.Protocol == 2 || r.Dst.IP.IsMulticast() || r.Dst.IP.IsLinkLocalUnicast() {
				continue
			}
			s := fmt.Sprintf("%v proto %d", r.Dst, r.Protocol)
			if r.Gw != nil {
				s += " via " + r.Gw.String()
			}
			if r.Src != nil {
				s += " src " + r.Src.String()
			}
			out = append(out, fmt.Sprintf("%s metric %d", s, r.Priority))
		}
	}
	slices.Sort(out)
	return out
}

func wantRoutes(t *testing.T, what string, ns *lab.Namespace, table int, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string(nil), want...), routesOf(t, ns, table)); diff != "" {
		t.Errorf("%s: routes of table %d (-want +got):\n%s", what, table, diff)
	}
}

func route(prefix, gateway string) (r failover.VirtualRoute) {
	r.Prefix = netip.MustParsePrefix(prefix)
	if gateway != "" {
		r.Gateway = netip.MustParseAddr(gateway)
	} else {
		r.Device = "eth0"
	}
	return r
}

func TestNetnsRoutesMoveWithTheAddresses(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, peer := l.Namespace("router"), l.Namespace("peer")
	l.Veth(ns, "eth0", peer, "eth0")
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	hand := func(prefix, gateway string, metric int) *netlink.Route {
		_, dst, err := net.ParseCIDR(prefix)
		must(t, err)
		return &netlink.Route{Dst: dst, Gw: net.ParseIP(gateway), Priority: metric, LinkIndex: link.Attrs().Index, Protocol: 4}
	}

	// The address has no network of its own: the first route makes one.
	inner := route("10.9.0.0/16", "10.0.0.1")
	inner.Source, inner.Table, inner.Metric = netip.MustParseAddr("192.0.2.100"), 1000, 7
	all := []failover.VirtualRoute{
		route("192.0.2.254/32", ""), route("0.0.0.0/0", "192.0.2.254"), route("10.0.0.0/24", ""), inner,
		route("::/0", "2001:db8::1"), route("2001:db8:9::/48", "2001:db8::2"),
	}
	owner := func(routes ...failover.VirtualRoute) *failover.Addresses {
		o, err := failover.NewAddresses(&failover.AddressesConfig{
			Addresses: onEth0("192.0.2.100/32", "2001:db8::100/64"), Routes: routes, Namespace: ns.Path(), Announcer: quiet{},
		})
		must(t, err)
		return o
	}
	o := owner(all...)
	ns.Addr("eth0", netip.MustParsePrefix("198.51.100.1/24"))
	byHand := hand("10.77.0.0/16", "198.51.100.254", 0)
	must(t, ns.Handle().RouteAdd(byHand))
	const kept = "10.77.0.0/16 proto 4 via 198.51.100.254 metric 0"
	main := []string{
		kept, "192.0.2.254/32 proto 112 metric 0", "0.0.0.0/0 proto 112 via 192.0.2.254 metric 0", "10.0.0.0/24 proto 112 metric 0",
		"::/0 proto 112 via 2001:db8::1 metric 1024", "2001:db8:9::/48 proto 112 via 2001:db8::2 metric 1024",
	}
	const ninth = "10.9.0.0/16 proto 112 via 10.0.0.1 src 192.0.2.100 metric 7"
	for range 2 { // the second time there is nothing to do
		must(t, o.Acquire(t.Context()))
		wantRoutes(t, "acquired", ns, 254, main...)
		wantRoutes(t, "acquired", ns, 1000, ninth)
	}

	// What others remove is seen, and comes back.
	w := look(t, o)
	for _, r := range routesOfOurs(t, ns) {
		must(t, ns.Handle().RouteDel(&r))
	}
	w.want("removed route to 0.0.0.0/0 on ")
	w.want("removed route to 10.9.0.0/16 on ")
	w.want("removed route to 2001:db8:9::/48 on ")
	must(t, o.Acquire(t.Context()))
	wantRoutes(t, "removed by others", ns, 254, main...)
	wantRoutes(t, "removed by others", ns, 1000, ninth)
	w.clear()

	// With the device go its routes, without a word, and come with it.
	ns.Down("eth0")
	ns.Up("eth0")
	w.want("restored on eth0")
	must(t, o.Acquire(t.Context()))
	must(t, ns.Handle().RouteReplace(byHand)) // the kernel took it, too
	wantRoutes(t, "after the device was down", ns, 254, main...)
	wantRoutes(t, "after the device was down", ns, 1000, ninth)
	if got := w.all(); slices.ContainsFunc(got, func(s string) bool { return s != "restored on eth0" }) {
		t.Errorf("a device that was down is nobody's removal: %q", got)
	}

	// Another process of the same configuration finds and removes them; what is
	// not ours stays.
	must(t, owner(all...).Release(t.Context()))
	wantRoutes(t, "released", ns, 254, kept)
	wantRoutes(t, "released", ns, 1000)
	wantListed(t, ns, "198.51.100.1/24")

	// What an administrator made, and leads the same way, is left alone, also
	// with several hands on it.
	same := owner(route("10.77.0.0/16", "198.51.100.254"))
	must(t, same.Acquire(t.Context()))
	wantRoutes(t, "equal", ns, 254, kept)
	must(t, same.Release(t.Context()))
	wantRoutes(t, "equal, released", ns, 254, kept)

	// And what leads another way is a trouble with a name, not ours to change.
	other := owner(route("10.77.0.0/16", "198.51.100.253"))
	if err := other.Acquire(t.Context()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another gateway: %v", err)
	}
	must(t, other.Release(t.Context()))
	wantRoutes(t, "in the way", ns, 254, kept)

	// Left from another configuration, it is replaced.
	must(t, owner(route("10.78.0.0/16", "198.51.100.254")).Acquire(t.Context()))
	next := owner(route("10.78.0.0/16", "198.51.100.253"))
	must(t, next.Acquire(t.Context()))
	wantRoutes(t, "another configuration", ns, 254, kept, "10.78.0.0/16 proto 112 via 198.51.100.253 metric 0")
	must(t, next.SetRoutes(t.Context(), nil))
	wantRoutes(t, "fell out", ns, 254, kept)

	lost := owner(route("10.78.0.0/16", "203.0.113.1"))
	if err := lost.Acquire(t.Context()); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("a gateway that is nowhere: %v", err)
	} else {
		t.Log(err)
	}
}

func routesOfOurs(t *testing.T, ns *lab.Namespace) (out []netlink.Route) {
	t.Helper()
	for _, table := range []int{1000, 254} {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			out = append(out, dump(t, func() ([]netlink.Route, error) {
				return ns.Handle().RouteListFiltered(family, &netlink.Route{Table: table, Protocol: failover.RouteProtocol}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
			})...)
		}
	}
	return out
}
