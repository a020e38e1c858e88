//go:build linux && netns

package failover_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// quiet announces nothing.
type quiet struct{}

func (quiet) Announce(context.Context, []failover.VirtualAddress) error { return nil }

func onEth0(list ...string) (out []failover.VirtualAddress) {
	for _, s := range list {
		out = append(out, failover.VirtualAddress{Prefix: netip.MustParsePrefix(s), Device: "eth0"})
	}
	return out
}

// newDevice makes a namespace with an eth0 and an owner of addresses on it.
func newDevice(t *testing.T, promote string, addrs ...string) (*lab.Namespace, *failover.Addresses) {
	t.Helper()
	l := lab.New(t)
	ns := l.Namespace("router")
	l.Veth(ns, "eth0", l.Namespace("peer"), "eth0")
	// A namespace may inherit the settings of the machine.
	ns.Sysctl("net.ipv4.conf.all.promote_secondaries", promote)
	ns.Sysctl("net.ipv4.conf.eth0.promote_secondaries", promote)
	return ns, newOwner(t, ns, addrs...)
}

func newOwner(t *testing.T, ns *lab.Namespace, addrs ...string) *failover.Addresses {
	t.Helper()
	o, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: onEth0(addrs...), Namespace: ns.Path(), Announcer: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func addressesOf(t *testing.T, ns *lab.Namespace) (netlink.Link, []netlink.Addr) {
	t.Helper()
	link, err := ns.Handle().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ns.Handle().AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	return link, list
}

// listed returns the addresses of eth0 without the link-local ones, sorted.
func listed(t *testing.T, ns *lab.Namespace) []string {
	t.Helper()
	_, list := addressesOf(t, ns)
	out := []string{}
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	slices.Sort(out)
	return out
}

func wantListed(t *testing.T, ns *lab.Namespace, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), listed(t, ns)); diff != "" {
		t.Errorf("addresses on eth0 (-want +got):\n%s", diff)
	}
}

// describe returns all of an address that an administrator chose.
func describe(t *testing.T, ns *lab.Namespace, ip string) string {
	t.Helper()
	_, list := addressesOf(t, ns)
	for _, a := range list {
		if a.IP.String() == ip {
			limited := uint32(a.ValidLft) < 1<<31 // all bits set is for ever
			return fmt.Sprintf("%v label %s scope %d flags %#x peer %v broadcast %v limited %v preferred %v",
				a.IPNet, a.Label, a.Scope, a.Flags&^unix.IFA_F_SECONDARY, a.Peer, a.Broadcast, limited, a.PreferedLft > 0)
		}
	}
	return "none"
}

func TestNetnsReleaseLeavesTheOthersOfTheNetwork(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		t.Run("promote_secondaries "+promote, func(t *testing.T) {
			ns, o := newDevice(t, promote, "192.0.2.100/24", "192.0.2.101/24", "198.51.100.100/24", "2001:db8::100/64")
			if err := o.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			link, _ := addressesOf(t, ns)
			parse := func(s string) *net.IPNet {
				n, err := netlink.ParseIPNet(s)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			for _, a := range []*netlink.Addr{
				{IPNet: parse("192.0.2.7/24"), Label: "eth0:adm", Flags: unix.IFA_F_NOPREFIXROUTE},
				{IPNet: parse("192.0.2.8/24"), Broadcast: net.IPv4zero, ValidLft: 6000, PreferedLft: 3000},
				{IPNet: parse("192.0.2.9/24"), Broadcast: net.IPv4(192, 0, 2, 63)},
				{IPNet: parse("10.9.9.9/32"), Peer: parse("192.0.2.10/24")},
				{IPNet: parse("198.51.100.7/25")}, // another network: stays by itself
				{IPNet: parse("2001:db8::7/64"), Flags: unix.IFA_F_NODAD},
			} {
				if err := ns.Handle().AddrAdd(link, a); err != nil {
					t.Fatal(a, err)
				}
			}
			foreign := []string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "10.9.9.9", "198.51.100.7", "2001:db8::7"}
			before := map[string]string{}
			for _, ip := range foreign {
				before[ip] = describe(t, ns, ip)
			}
			if err := o.Release(t.Context()); err != nil {
				t.Error(err)
			}
			for _, ip := range foreign {
				if diff := cmp.Diff(before[ip], describe(t, ns, ip)); diff != "" {
					t.Errorf("%s (-before +after):\n%s", ip, diff)
				}
			}
			wantListed(t, ns, "192.0.2.7/24", "192.0.2.8/24", "192.0.2.9/24", "10.9.9.9/32", "198.51.100.7/25", "2001:db8::7/64")
			if err := o.Release(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestNetnsSetKeepsTheOthersOfTheNetwork(t *testing.T) {
	ns, o := newDevice(t, "0", "192.0.2.100/24", "192.0.2.101/24")
	// Left by an earlier process, and not decided on: the set changes before
	// the addresses are acquired.
	ns.Addr("eth0", netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("192.0.2.101/24"), netip.MustParsePrefix("192.0.2.7/24"))
	if err := o.Set(t.Context(), onEth0("192.0.2.101/24")); err != nil {
		t.Fatal(err)
	}
	wantListed(t, ns, "192.0.2.101/24", "192.0.2.7/24")
	if err := o.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.Set(t.Context(), onEth0("192.0.2.102/24")); err != nil {
		t.Fatal(err)
	}
	wantListed(t, ns, "192.0.2.102/24", "192.0.2.7/24")
}

func TestNetnsAnotherPrefixLengthIsOurs(t *testing.T) {
	tests := []struct {
		name       string
		left, ours []string
	}{
		{"wider than left", []string{"192.0.2.100/32", "2001:db8::100/128"}, []string{"192.0.2.100/24", "2001:db8::100/64"}},
		{"narrower than left", []string{"192.0.2.100/24", "2001:db8::100/64"}, []string{"192.0.2.100/32", "2001:db8::100/128"}},
		{"both lengths left", []string{"192.0.2.100/24", "192.0.2.100/32"}, []string{"192.0.2.100/32"}},
		{"a new one would go with the old one", []string{"192.0.2.100/25"}, []string{"192.0.2.100/24", "192.0.2.101/25"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns, o := newDevice(t, "0", tt.ours...)
			for _, s := range tt.left {
				ns.Addr("eth0", netip.MustParsePrefix(s))
			}
			foreign := []string{"192.0.2.7/24", "192.0.2.8/25"}
			for _, s := range foreign {
				ns.Addr("eth0", netip.MustParsePrefix(s))
			}
			for range 2 { // the second time there is nothing to do
				if err := o.Acquire(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantListed(t, ns, append(slices.Clone(foreign), tt.ours...)...)
			}
			if err := o.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantListed(t, ns, foreign...)
			// And an owner that never held them removes them as they are.
			for _, s := range tt.left {
				ns.Addr("eth0", netip.MustParsePrefix(s))
			}
			if err := newOwner(t, ns, tt.ours...).Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantListed(t, ns, foreign...)
		})
	}
}

func TestNetnsSetChangesThePrefixLength(t *testing.T) {
	ns, o := newDevice(t, "0", "192.0.2.100/24", "2001:db8::100/64")
	if err := o.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns.Addr("eth0", netip.MustParsePrefix("192.0.2.7/24"))
	if err := o.Set(t.Context(), onEth0("192.0.2.100/32", "2001:db8::100/128")); err != nil {
		t.Fatal(err)
	}
	wantListed(t, ns, "192.0.2.100/32", "2001:db8::100/128", "192.0.2.7/24")
}
