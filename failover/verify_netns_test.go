//go:build linux && netns

package failover_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// askedGateway makes a router with a gateway, before the router holds anything.
func askedGateway(t *testing.T, gateways ...string) (router, gateway *lab.Namespace, o *failover.Addresses) {
	t.Helper()
	l := lab.New(t)
	router, gateway = l.Namespace("router"), l.Namespace("gateway")
	l.Veth(router, "eth0", gateway, "eth0")
	router.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	gateway.Addr("eth0", netip.MustParsePrefix("192.0.2.254/24"), netip.MustParsePrefix("2001:db8::ff/64"))
	c := failover.AddressesConfig{Addresses: onEth0("192.0.2.100/32", "2001:db8::100/64"), Namespace: router.Path()}
	for _, g := range gateways {
		c.Gateways = append(c.Gateways, netip.MustParseAddr(g))
	}
	o, err := failover.NewAddresses(&c)
	must(t, err)
	return router, gateway, o
}

// believes waits until both addresses are believed as they should.
func believes(t *testing.T, o *failover.Addresses, want failover.Belief, reason string) []failover.AddressStatus {
	t.Helper()
	var st []failover.AddressStatus
	defer func() {
		if t.Failed() {
			t.Logf("status %+v", st)
		}
	}()
	within(t, patience, "the gateway is "+want.String(), func() bool {
		st = o.Status()
		for _, s := range st {
			if !s.Held || s.Belief != want || !strings.Contains(s.Reason, reason) || s.Checked.IsZero() {
				return false
			}
		}
		return true
	})
	return st
}

func TestNetnsGatewayThatBelieves(t *testing.T) {
	t.Parallel()
	router, _, o := askedGateway(t)
	router.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.0.2.254"))
	router.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("2001:db8::ff"))
	w := look(t, o)
	must(t, o.Acquire(t.Context()))
	must(t, o.Announce(t.Context()))
	st := believes(t, o, failover.BeliefVerified, "")
	if st[0].Neighbour != netip.MustParseAddr("192.0.2.254") || st[1].Neighbour != netip.MustParseAddr("2001:db8::ff") {
		t.Errorf("status %+v", st)
	}
	if got := w.all(); len(got) != 0 {
		t.Errorf("seen %q", got)
	}
	must(t, o.Release(t.Context()))
	for _, s := range o.Status() {
		if s.Held || s.Belief != failover.BeliefUnknown || s.Neighbour.IsValid() {
			t.Errorf("after the release: %+v", s)
		}
	}
}

// A gateway whose table says otherwise and does not let itself be taught is
// found out, by what it answers to our own address.
func TestNetnsGatewayThatDoesNotBelieve(t *testing.T) {
	t.Parallel()
	_, gateway, o := askedGateway(t, "192.0.2.254", "2001:db8::ff")
	link, err := gateway.Handle().LinkByName("eth0")
	must(t, err)
	stubborn := func(ip string, state int) {
		must(t, gateway.Handle().NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, IP: net.ParseIP(ip), State: state, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		}))
	}
	stubborn("192.0.2.100", netlink.NUD_PERMANENT)
	stubborn("2001:db8::100", netlink.NUD_PERMANENT)
	w := look(t, o)
	must(t, o.Acquire(t.Context()))
	must(t, o.Announce(t.Context()))
	believes(t, o, failover.BeliefUnknown, "not yet")
	believes(t, o, failover.BeliefDoubted, "it still sends that to another machine")
	w.want("unbelieved 192.0.2.100 on eth0 by its neighbour 192.0.2.254")
	// It comes to its senses, and is asked again when addresses come.
	stubborn("192.0.2.100", netlink.NUD_STALE)
	stubborn("2001:db8::100", netlink.NUD_STALE)
	must(t, o.Release(t.Context()))
	must(t, o.Acquire(t.Context()))
	believes(t, o, failover.BeliefVerified, "")
}

// Who does not answer at all is not suspected.
func TestNetnsGatewayThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	_, gateway, o := askedGateway(t, "192.0.2.254", "2001:db8::ff")
	gateway.Sysctl("net.ipv4.icmp_echo_ignore_all", "1")
	gateway.Sysctl("net.ipv6.icmp.echo_ignore_all", "1")
	w := look(t, o)
	must(t, o.Acquire(t.Context()))
	time.Sleep(2 * time.Second) // two of the tries
	believes(t, o, failover.BeliefUnknown, "answers no echo requests")
	if got := w.all(); len(got) != 0 {
		t.Errorf("seen %q", got)
	}
}

func TestNetnsNoGatewayToAsk(t *testing.T) {
	t.Parallel()
	_, rival, o := askedGateway(t)
	look(t, o)
	must(t, o.Acquire(t.Context()))
	st := believes(t, o, failover.BeliefUnknown, "there is no default route by eth0")
	if st[0].ClaimedBy != "" {
		t.Errorf("status %+v", st)
	}
	announceFrom(t, rival, "192.0.2.100/32")
	within(t, patience, "the claim is noted", func() bool {
		st = o.Status()
		return st[0].ClaimedBy == rival.MAC("eth0") && time.Since(st[0].ClaimedAt) < patience && st[1].ClaimedBy == ""
	})
}

func TestNetnsNoGatewayOfTheFamily(t *testing.T) {
	t.Parallel()
	_, _, o := askedGateway(t, "192.0.2.254")
	look(t, o)
	must(t, o.Acquire(t.Context()))
	within(t, patience, "it is told", func() bool {
		st := o.Status()
		return st[0].Belief == failover.BeliefVerified && st[1].Reason == "none of the gateways that are configured is of its family"
	})
}

// More answers come than a socket's buffer takes.
func TestNetnsGatewayIsAskedAboutManyAddresses(t *testing.T) {
	t.Parallel()
	router, gateway, _ := askedGateway(t)
	c := failover.AddressesConfig{Namespace: router.Path(), Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.254")}}
	gateway.Route(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParseAddr("192.0.2.1"))
	addr := netip.MustParseAddr("10.1.0.0")
	for range 450 { // the kernel has room for 1024 neighbours of all namespaces
		addr = addr.Next()
		c.Addresses = append(c.Addresses, failover.VirtualAddress{Prefix: netip.PrefixFrom(addr, 32), Device: "eth0"})
	}
	o, err := failover.NewAddresses(&c)
	must(t, err)
	look(t, o)
	must(t, o.Acquire(t.Context()))
	must(t, o.Announce(t.Context()))
	believes(t, o, failover.BeliefVerified, "")
}

// A machine that claims an address without end keeps neither the neighbours
// from being asked, nor the outcome from being known, nor has them asked all
// the time.
func TestNetnsClaimsWithoutEndAndTheGateway(t *testing.T) {
	t.Parallel()
	_, gateway, o := askedGateway(t, "192.0.2.254", "2001:db8::ff")
	link, err := gateway.Handle().LinkByName("eth0")
	must(t, err)
	must(t, gateway.Handle().NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, IP: net.ParseIP("192.0.2.100"), State: netlink.NUD_PERMANENT, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
	}))
	w := look(t, o)
	must(t, o.Acquire(t.Context()))
	begin := time.Now()
	asked := make(map[time.Time]bool)
	within(t, patience, "the gateway is found out", func() bool {
		announceFrom(t, gateway, "192.0.2.100/32", "2001:db8::100/128")
		time.Sleep(10 * time.Millisecond)
		st := o.Status()
		asked[st[0].Checked] = true
		return st[0].Belief == failover.BeliefDoubted && st[1].Belief == failover.BeliefVerified
	})
	if most := int(time.Since(begin)/time.Second) + 3; len(asked) > most {
		t.Errorf("asked %d times in %v", len(asked), time.Since(begin))
	}
	w.want("unbelieved 192.0.2.100 on eth0 by its neighbour 192.0.2.254")
}
