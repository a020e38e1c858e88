//go:build linux && netns

package failover_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/internal/lab"
)

// unmoved lets entries of the neighbour table live for ever, and keeps them
// from being replaced by hearsay for a minute after each change.
func unmoved(client *peer) {
	for _, family := range []string{"ipv4", "ipv6"} {
		for key, value := range map[string]string{
			"base_reachable_time_ms": "3600000", "gc_stale_time": "3600", "delay_first_probe_time": "600", "locktime": "6000",
		} {
			if family == "ipv6" && key == "locktime" {
				continue // of ARP alone
			}
			client.Sysctl("net."+family+".neigh.eth0."+key, value)
		}
	}
}

// losing makes the client lose announcements: the first ones, or all if first
// is 0. What asks for a neighbour or answers passes.
func losing(client *peer, first int) {
	if client.lossy {
		client.Run("nft", "delete table netdev lossy")
	}
	client.lossy = true
	which := ""
	if first > 0 {
		which = "numgen inc mod 1000000 < " + strconv.Itoa(first)
	}
	client.Run("nft", `add table netdev lossy;
		add chain netdev lossy in { type filter hook ingress device "eth0" priority 0; };
		add rule netdev lossy in arp saddr ip 192.0.2.100 arp daddr ip 192.0.2.100 `+which+` drop;
		add rule netdev lossy in ip6 daddr ff02::1 icmpv6 type nd-neighbor-advert `+which+` drop`)
}

// Each client follows every move of two addresses between two directors: its
// neighbour entry is that of the loser before and that of the winner after.
func TestNetnsEveryNeighbourFollowsEveryMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(client *peer)
		before  func(client *peer) // each move
		asked   bool               // the client is a gateway of the directors
	}{
		{"a Linux client", nil, nil, false},
		{"one whose entries do not move by hearsay", unmoved, nil, false},
		{"one that loses the first three announcements", unmoved, func(c *peer) { losing(c, 3) }, false},
		{"a gateway that hears no announcement at all", unmoved, func(c *peer) { losing(c, 0) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("d2", "192.0.2.2/24", "2001:db8::2/64")
			client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
			b1.serve()
			b2.serve()
			if tt.prepare != nil {
				tt.prepare(client)
			}
			var gateways []netip.Addr
			if tt.asked {
				gateways = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
			}
			a4, a6 := vip4.Prefix.Addr(), vip6.Prefix.Addr()
			d1, d2 := directorOf(t, b1, 0, nil, gateways), directorOf(t, b2, 1, nil, gateways)
			within(t, patience, "the primary serves", func() bool {
				return d1.node.Status().Serving && d2.node.Status().Partner.Role == failover.RoleActive
			})
			client.answeredBy(b1, a4, a6)
			move := func(what string, from, to *peer, winner *side, how func()) {
				t.Helper()
				if got := []string{client.neighbour(a4), client.neighbour(a6)}; got[0] != from.mac() || got[1] != from.mac() {
					t.Fatalf("before the %s the client has %q, want %s", what, got, from.mac())
				}
				if tt.before != nil {
					tt.before(client)
				}
				how()
				within(t, patience, what+": the other one serves", func() bool { return winner.node.Status().Serving })
				took := within(t, patience, what+": the client's entries move", func() bool {
					return client.neighbour(a4) == to.mac() && client.neighbour(a6) == to.mac()
				})
				client.answeredBy(to, a4, a6)
				t.Logf("%s: followed %v after the other one serves", what, took)
			}
			move("hand-over", b1, b2, d2, func() { must(t, d1.node.Yield()) })
			move("hand-over back", b2, b1, d1, func() {
				within(t, patience, "hand back", func() bool { return d2.node.Yield() == nil })
			})
			move("take-over", b1, b2, d2, func() { b1.plug(false) })
		})
	}
}

// replyForm announces by replies with a broadcast target, as some other
// programs do.
type replyForm struct{ ns *lab.Namespace }

func (r replyForm) Announce(context.Context, []failover.VirtualAddress) error {
	var mac net.HardwareAddr
	err := r.ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			mac = ifi.HardwareAddr
		}
		return err
	})
	if err != nil {
		return err
	}
	all := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	vip := vip4.Prefix.Addr().AsSlice()
	f := append(append([]byte(nil), all...), mac...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2)
	f = append(append(f, mac...), vip...)
	f = append(append(f, all...), vip...)
	return sendOn(r.ns, f)
}

// What moves the entries in the test above is the form of our announcements: by
// another one the same client keeps what it has, and goes on asking the loser.
func TestNetnsAnotherFormDoesNotMoveTheNeighbour(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("d2", "192.0.2.2/24", "2001:db8::2/64")
	client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
	unmoved(client)
	b1.serve()
	a4 := vip4.Prefix.Addr()
	d1, d2 := directorOf(t, b1, 0, nil, nil), directorOf(t, b2, 1, replyForm{b2.Namespace}, nil)
	within(t, patience, "the primary serves", func() bool {
		return d1.node.Status().Serving && d2.node.Status().Partner.Role == failover.RoleActive
	})
	client.answeredBy(b1, a4)
	must(t, d1.node.Yield())
	within(t, patience, "the backup serves", func() bool { return d2.node.Status().Serving && len(b1.addresses()) == 2 })
	time.Sleep(1200 * time.Millisecond) // five announcements
	if got := client.neighbour(a4); got != b1.mac() {
		t.Errorf("the neighbour has %q, want the old %q", got, b1.mac())
	}
	announceFrom(t, b2.Namespace, a4.String()+"/32")
	within(t, patience, "the neighbour follows ours", func() bool { return client.neighbour(a4) == b2.mac() })
}

// Whoever removes the address of an active node, or claims it, is answered at
// once: the address is back, and the client on our side.
func TestNetnsMeddlingIsUndone(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
	rival := w.host("rv", "192.0.2.3/24", "2001:db8::3/64")
	client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
	b1.serve()
	d := directorOf(t, b1, 0, nil, nil)
	a4, a6 := vip4.Prefix.Addr(), vip6.Prefix.Addr()
	within(t, patience, "it serves", func() bool { return d.node.Status().Serving })
	client.answeredBy(b1, a4, a6)
	time.Sleep(1200 * time.Millisecond) // the first announcements would hide what comes now

	b1.RemoveAddr(eth0, vip4.Prefix, vip6.Prefix)
	took := within(t, time.Second, "the addresses are back", func() bool { return len(b1.addresses()) == 4 })
	t.Logf("back after %v", took)
	client.answeredBy(b1, a4, a6)
	within(t, patience, "the removal is told", func() bool { return d.Count(failover.EventRemoved) == 1 })
	time.Sleep(1200 * time.Millisecond)

	// Each entry goes to the rival first: otherwise the rest shows nothing.
	for _, a := range []netip.Addr{a4, a6} {
		heard := false
		for range 20 {
			announceFrom(t, rival.Namespace, a.String()+"/"+strconv.Itoa(a.BitLen()))
			for range 50 {
				if client.neighbour(a) == rival.mac() {
					heard = true
					break
				}
			}
			if heard {
				break
			}
			time.Sleep(300 * time.Millisecond)
		}
		if !heard {
			t.Logf("%v: the client never had the rival's address for long enough to be seen", a)
		}
		within(t, patience, "the client is taught again", func() bool { return client.neighbour(a) == b1.mac() })
	}
	client.answeredBy(b1, a4, a6)
	events := d.Events()
	told := false
	for _, e := range events {
		told = told || e.Kind == failover.EventClaimed && e.MAC.String() == rival.mac() && (e.Address == a4 || e.Address == a6)
	}
	if !told {
		t.Errorf("events %v", events)
	}
	st := d.node.Status().Addresses
	if len(st) != 2 || !st[0].Held || st[0].ClaimedBy != rival.mac() || st[1].ClaimedBy != rival.mac() {
		t.Errorf("status %+v", st)
	}
}

// An active node whose device comes back, or comes anew, has its addresses
// there and its neighbours taught at once, not with the next refresh.
func TestNetnsDeviceThatComesBackServes(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
	client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
	unmoved(client)
	b1.serve()
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{vip4, vip6}, Namespace: b1.Path(),
		Announcing: failover.Announcing{Count: 3, Interval: 400 * time.Millisecond}, // and then in a minute
	})
	must(t, err)
	d := &side{Recorder: new(failovertest.Recorder)}
	d.cfg = failover.Config{Owner: owner, OnEvent: d.OnEvent} // alone, so that it stays active
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	within(t, patience, "it serves", func() bool { return d.node.Status().Serving })
	a4, a6 := vip4.Prefix.Addr(), vip6.Prefix.Addr()
	client.answeredBy(b1, a4, a6)
	time.Sleep(900 * time.Millisecond) // the plan is over

	// While it is unplugged the client learns something else.
	b1.plug(false)
	link, err := client.Handle().LinkByName(eth0)
	must(t, err)
	for _, a := range []netip.Addr{a4, a6} {
		must(t, client.Handle().NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, IP: a.AsSlice(), State: netlink.NUD_REACHABLE, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		}))
	}
	b1.plug(true)
	took := within(t, patience, "plugged in: the client is taught", func() bool {
		return client.neighbour(a4) == b1.mac() && client.neighbour(a6) == b1.mac()
	})
	t.Logf("taught %v after it was plugged in", took)

	link, err = b1.Handle().LinkByName(eth0)
	must(t, err)
	must(t, b1.Handle().LinkDel(link))
	w.Veth(b1.Namespace, eth0, w.sw, b1.port)
	w.sw.Attach(b1.port, bridge)
	took = within(t, patience, "a new device: the addresses are there", func() bool { return len(b1.addresses()) == 2 })
	within(t, patience, "a new device: the client is taught", func() bool {
		return client.neighbour(a4) == b1.mac() && client.neighbour(a6) == b1.mac()
	})
	b1.Addr(eth0, netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	client.answeredBy(b1, a4, a6)
	t.Logf("addresses %v after the device came", took)
	if n := d.Count(failover.EventRemoved); n != 0 {
		t.Errorf("events %v", d.Events())
	}
}
