//go:build linux && netns

package failover_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// An address that cannot be added says why, and neither keeps the others from
// being announced nor counts as removed by someone.
func TestNetnsAnAddressThatCannotBe(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, peer := netnsHost{l.Namespace("router")}, netnsHost{l.Namespace("peer")}
	l.Veth(ns.Namespace, "eth0", peer.Namespace, "eth0")
	ns.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "1")
	o := ns.owner(t, "192.0.2.100/24", "2001:db8::100/64")
	w, other := look(t, o), look(t, peer.owner(t, "192.0.2.100/24", "2001:db8::100/64"))
	err := o.Acquire(t.Context())
	if err == nil || !strings.Contains(err.Error(), "2001:db8::100/64 dev eth0") || !strings.Contains(err.Error(), "set the sysctl net.ipv6.conf.eth0.disable_ipv6 to 0") {
		t.Errorf("got %v", err)
	}
	for _, a := range o.Status() {
		if a.Held != a.Prefix.Addr().Is4() {
			t.Errorf("held: %+v", a)
		}
	}
	within(t, patience, "the other one is announced", func() bool {
		must(t, o.Announce(t.Context()))
		return slices.Contains(other.all(), "claimed 192.0.2.100 on eth0 by "+ns.MAC("eth0"))
	})
	if got := strings.Join(other.all(), " "); strings.Contains(got, "2001:db8::100") {
		t.Errorf("heard %s", got)
	}
	ns.RemoveAddr("eth0", netip.MustParsePrefix("192.0.2.100/24"))
	w.want("removed 192.0.2.100 on eth0")
	if got := strings.Join(w.all(), " "); strings.Contains(got, "2001:db8::100") {
		t.Errorf("seen %s", got)
	}
}

// A frame that the device does not take keeps none of the others from being
// sent.
func TestNetnsAFrameThatCannotBeSent(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, peer := netnsHost{l.Namespace("router")}, netnsHost{l.Namespace("peer")}
	l.Veth(ns.Namespace, "eth0", peer.Namespace, "eth0")
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	must(t, ns.Handle().LinkSetMTU(link, 68)) // too little for IPv6
	other := look(t, peer.owner(t, "192.0.2.100/24"))
	o := ns.owner(t, "2001:db8::100/64", "192.0.2.100/24", "2001:db8::101/64")
	within(t, patience, "the one that fits is announced", func() bool {
		err := o.Announce(t.Context())
		if err == nil || !errors.Is(err, unix.EMSGSIZE) || !strings.Contains(err.Error(), "2 of 3 frames") {
			t.Fatalf("got %v", err)
		}
		return slices.Contains(other.all(), "claimed 192.0.2.100 on eth0 by "+ns.MAC("eth0"))
	})
}

// The kernel knows a device by an alternative name, which half of what is done
// with it does not, and a path that is no namespace is named.
func TestNetnsADeviceOrNamespaceThatIsMeantOtherwise(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns := netnsHost{l.Namespace("router")}
	l.Veth(ns.Namespace, "eth0", l.Namespace("peer"), "eth0")
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	must(t, ns.Handle().LinkAddAltName(link, "wan0"))
	other := failover.VirtualAddress{Prefix: netip.MustParsePrefix("192.0.2.100/24"), Device: "wan0"}
	for namespace, want := range map[string]string{ns.Path(): `device "wan0" for 192.0.2.100/24 is another name of "eth0": give that one`, "/etc/passwd": "in the network namespace /etc/passwd"} {
		o, err := failover.NewAddresses(&failover.AddressesConfig{Namespace: namespace, Addresses: []failover.VirtualAddress{other}})
		must(t, err)
		if err := o.Acquire(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What it takes to let go is kept while the addresses are held: a namespace may
// lose its name, and a process its last descriptor.
func TestNetnsReleaseWithNothingToOpen(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns := netnsHost{l.Namespace("router")}
	l.Veth(ns.Namespace, "eth0", l.Namespace("peer"), "eth0")
	ns.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"))
	name := filepath.Join(t.TempDir(), "blue")
	must(t, os.Symlink(ns.Path(), name))
	o, err := failover.NewAddresses(&failover.AddressesConfig{
		Namespace: name, Addresses: onEth0("192.0.2.100/24", "2001:db8::100/64"),
		Routes: []failover.VirtualRoute{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Device: "eth0"}},
	})
	must(t, err)
	there := func() (addresses, routes int) {
		t.Helper()
		link, err := ns.Handle().LinkByName("eth0")
		must(t, err)
		for _, a := range dump(t, func() ([]netlink.Addr, error) { return ns.Handle().AddrList(link, netlink.FAMILY_ALL) }) {
			if a.IP.Equal(net.IPv4(192, 0, 2, 100)) || a.IP.Equal(net.ParseIP("2001:db8::100")) {
				addresses++
			}
		}
		filter := netlink.Route{Protocol: failover.RouteProtocol}
		return addresses, len(dump(t, func() ([]netlink.Route, error) {
			return ns.Handle().RouteListFiltered(netlink.FAMILY_V4, &filter, netlink.RT_FILTER_PROTOCOL)
		}))
	}
	for range 2 { // and what was kept before is of no harm
		must(t, o.Acquire(t.Context()))
		must(t, o.Announce(t.Context()))
		must(t, o.Acquire(t.Context()))
		if a, r := there(); a != 2 || r != 1 {
			t.Fatalf("%d addresses and %d routes are held", a, r)
		}
		must(t, os.Remove(name))
		must(t, o.Release(t.Context()))
		if a, r := there(); a != 0 || r != 0 {
			t.Errorf("%d addresses and %d routes are left", a, r)
		}
		if err := o.Release(t.Context()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a second time: %v", err)
		}
		must(t, os.Symlink(ns.Path(), name))
	}
}
