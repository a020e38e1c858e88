//go:build linux && netns

package failover_test

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// addresses returns what eth0 carries, without the kernel's own link-local.
func (p *peer) addresses() (out []string) {
	p.w.t.Helper()
	for _, a := range p.kernelAddresses() {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, strings.TrimSpace(a.IPNet.String()+" "+a.Label))
		}
	}
	return out
}

var (
	vip4 = failover.VirtualAddress{Prefix: netip.MustParsePrefix("192.0.2.100/24"), Device: eth0, Label: "eth0:1"}
	vip6 = failover.VirtualAddress{Prefix: netip.MustParsePrefix("2001:db8::100/128"), Device: eth0}
)

type nobody struct{}

func (nobody) Announce(context.Context, []failover.VirtualAddress) error { return nil }

func director(t *testing.T, b *peer, i int, announcer failover.Announcer) *side {
	t.Helper()
	return directorOf(t, b, i, announcer, nil)
}

// directorOf is a director that asks gateways whether they believe it.
func directorOf(t *testing.T, b *peer, i int, announcer failover.Announcer, gateways []netip.Addr) *side {
	t.Helper()
	locals := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("192.0.2.2:539")}
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{vip4, vip6}, Namespace: b.Path(), Announcer: announcer, Gateways: gateways,
	})
	must(t, err)
	s := &side{Recorder: new(failovertest.Recorder)}
	s.cfg = failover.Config{
		Primary: i == 0, Key: key, Interval: 50 * time.Millisecond, DeadAfter: 300 * time.Millisecond,
		Channels: []failover.Channel{{Name: "public", Local: locals[i], Peer: locals[1-i]}},
		Owner:    owner, OnEvent: s.OnEvent, Transport: b,
	}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func TestNetnsTakeOverMovesTheNeighbourAndTheTraffic(t *testing.T) {
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("d2", "192.0.2.2/24", "2001:db8::2/64")
	client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
	b1.serve()
	b2.serve()
	a4, a6 := vip4.Prefix.Addr(), vip6.Prefix.Addr()

	d1, d2 := director(t, b1, 0, nil), director(t, b2, 1, nil)
	within(t, patience, "the primary serves", func() bool {
		return d1.node.Status().Serving && d2.node.Status().Partner.Role == failover.RoleActive
	})
	want := []string{"192.0.2.1/24 eth0", "192.0.2.100/24 eth0:1", "2001:db8::100/128", "2001:db8::1/64"}
	if diff := cmp.Diff(want, b1.addresses()); diff != "" {
		t.Errorf("addresses of the active node (-want +got):\n%s", diff)
	}
	check := func(what string, owner, loser *peer) {
		t.Helper()
		moved := within(t, patience, what+": the neighbour's entries move", func() bool {
			return client.neighbour(a4) == owner.mac() && client.neighbour(a6) == owner.mac()
		})
		client.answeredBy(owner, a4, a6)
		if loser != nil {
			within(t, patience, what+": the loser lets go", func() bool { return len(loser.addresses()) == 2 })
		}
		t.Logf("%s: entries at the new owner %v after it serves", what, moved)
	}
	// The client learns both before anything moves.
	client.answeredBy(b1, a4, a6)
	check("start", b1, nil)

	must(t, d1.node.Yield())
	within(t, patience, "the backup serves", func() bool { return d2.node.Status().Serving })
	check("hand-over", b2, b1)

	within(t, patience, "hand back", func() bool { return d2.node.Yield() == nil }) // once the partner has heard of it
	within(t, patience, "the primary serves", func() bool { return d1.node.Status().Serving })
	check("hand-over back", b1, b2)

	// The primary falls off the wire and keeps the addresses, as a machine
	// does whose daemon was killed.
	b1.plug(false)
	took := within(t, patience, "the backup takes over", func() bool { return d2.node.Status().Serving })
	t.Logf("taken over after %v", took)
	check("take-over", b2, nil)

	// Both are active now; when the wire heals the primary wins and must
	// teach the neighbours again.
	b1.plug(true)
	within(t, patience, "the backup gives way", func() bool { return d2.role() == failover.RoleBackup })
	check("healed", b1, b2)

	// Stopping leaves nothing behind and hands over.
	d1.stop(t)
	within(t, patience, "the backup serves", func() bool { return d2.node.Status().Serving })
	check("stopped", b2, b1)
}

// Without announcements the neighbour keeps the old entry: what the test
// above proves is their work.
func TestNetnsWithoutAnnouncementTheNeighbourKeepsTheOldEntry(t *testing.T) {
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
	client := w.host("cl", "192.0.2.9/24")
	b1.serve()
	a4 := vip4.Prefix.Addr()
	d1, d2 := director(t, b1, 0, nobody{}), director(t, b2, 1, nobody{})
	within(t, patience, "the primary serves", func() bool {
		return d1.node.Status().Serving && d2.node.Status().Partner.Role == failover.RoleActive
	})
	client.answeredBy(b1, a4)
	must(t, d1.node.Yield())
	within(t, patience, "the backup serves", func() bool { return d2.node.Status().Serving && len(b1.addresses()) == 1 })
	time.Sleep(2 * time.Second)
	if got := client.neighbour(a4); got != b1.mac() {
		t.Errorf("the neighbour has %q, want the old %q", got, b1.mac())
	}
}

func TestNetnsAddresses(t *testing.T) {
	w := newWire(t)
	b := w.host("d1", "192.0.2.1/24")
	ctx := t.Context()
	stranger := "192.0.2.50/24 eth0"
	b.Addr(eth0, netip.MustParsePrefix("192.0.2.50/24"))
	// The lab does without the look for doubles; the owner has to do so itself.
	b.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")

	// Two addresses of a network that is not there: the second depends on the
	// first in the kernel, and must survive its removal.
	other := func(s string) failover.VirtualAddress {
		return failover.VirtualAddress{Prefix: netip.MustParsePrefix(s), Device: eth0}
	}
	first, second := other("198.51.100.1/24"), other("198.51.100.2/24")
	o, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{vip4, vip6, first, second}, Namespace: b.Path(),
	})
	must(t, err)
	want := func(what string, list ...string) {
		t.Helper()
		if diff := cmp.Diff(list, b.addresses()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
	must(t, o.Release(ctx))
	want("release before anything", "192.0.2.1/24 eth0", stranger)
	must(t, o.Acquire(ctx))
	must(t, o.Acquire(ctx))
	must(t, o.Announce(ctx))
	want("acquired", "192.0.2.1/24 eth0", "198.51.100.1/24 eth0", stranger, "192.0.2.100/24 eth0:1", "198.51.100.2/24 eth0", "2001:db8::100/128")
	for _, a := range b.kernelAddresses() {
		if a.IP.Equal(vip6.Prefix.Addr().AsSlice()) && a.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Error("the IPv6 address is tentative")
		}
	}
	must(t, o.Set(ctx, []failover.VirtualAddress{vip4, second}))
	want("set by difference", "192.0.2.1/24 eth0", "198.51.100.2/24 eth0", stranger, "192.0.2.100/24 eth0:1")

	b.RemoveAddr(eth0, second.Prefix)
	must(t, o.Acquire(ctx))
	want("put back", "192.0.2.1/24 eth0", "198.51.100.2/24 eth0", stranger, "192.0.2.100/24 eth0:1")

	// Another owner, as after a crash, removes what the first left.
	again, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{vip4, second}, Namespace: b.Path(),
	})
	must(t, err)
	must(t, again.Release(ctx))
	want("released by another", "192.0.2.1/24 eth0", stranger)

	missing := vip4
	missing.Device, missing.Label = "eth9", ""
	must(t, o.Release(ctx))
	must(t, o.Set(ctx, []failover.VirtualAddress{missing, second}))
	err = o.Acquire(ctx)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `device "eth9" for 192.0.2.100/24`) || !strings.Contains(err.Error(), "eth0, lo") {
		t.Errorf("missing device: %v", err)
	}
	want("the others are there all the same", "192.0.2.1/24 eth0", "198.51.100.2/24 eth0", stranger)
	must(t, o.Release(ctx))

	nowhere, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: []failover.VirtualAddress{vip4}, Namespace: "/run/netns/nowhere"})
	must(t, err)
	if err := nowhere.Acquire(ctx); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/run/netns/nowhere") {
		t.Errorf("missing namespace: %v", err)
	}
}

// A thousand addresses are announced in a burst that a switch can take.
func TestNetnsManyAddressesAreSpread(t *testing.T) {
	w := newWire(t)
	b := w.host("d1")
	var many []failover.VirtualAddress
	addr := netip.MustParseAddr("10.1.0.0")
	for range 1000 {
		addr = addr.Next()
		many = append(many, failover.VirtualAddress{Prefix: netip.PrefixFrom(addr, 32), Device: eth0})
	}
	o, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: many, Namespace: b.Path()})
	must(t, err)
	begin := time.Now()
	must(t, o.Acquire(t.Context()))
	added := time.Since(begin)
	begin = time.Now()
	must(t, o.Announce(t.Context()))
	announced := time.Since(begin)
	if announced < 100*time.Millisecond {
		t.Errorf("announced in %v: not spread", announced)
	}
	if n := len(b.addresses()); n != 1000 {
		t.Errorf("%d addresses", n)
	}
	begin = time.Now()
	must(t, o.Release(t.Context()))
	t.Logf("1000 addresses: added in %v, announced in %v, removed in %v", added, announced, time.Since(begin))
	if n := len(b.addresses()); n != 0 {
		t.Errorf("%d addresses stayed", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("acquire with an ended context: %v", err)
	}
}
