//go:build linux && netns

package failover_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// On a link where the routers have no address but the virtual one, adverts go
// over another device, or over IPv6, and the client follows all the same.
func TestNetnsLinkWithNothingButTheVirtualAddress(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	toClients := failover.VirtualRoute{Prefix: p("192.0.2.0/24"), Device: eth0, Source: netip.MustParseAddr("192.0.2.100")}
	for _, tt := range []struct {
		name   string
		device string // of the adverts
		told   string // in the adverts
		held   []string
		routes []failover.VirtualRoute
	}{
		{"adverts over another device, a network with the address", "adv0", "192.0.2.100", []string{"192.0.2.100/24"}, nil},
		{"adverts over another device, the address alone and a route", "adv0", "192.0.2.100", []string{"192.0.2.100/32"}, []failover.VirtualRoute{toClients}},
		{"adverts over IPv6 on the same device", eth0, "fe80::100", []string{"fe80::100/64", "192.0.2.100/24"}, nil},
		{"IPv6 with a link-local address", eth0, "fe80::100", []string{"fe80::100/64", "2001:db8::100/64"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1"), w.host("d2")
			client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
			w.Veth(b1.Namespace, "adv0", b2.Namespace, "adv0")
			b1.Addr("adv0", p("198.51.100.1/30"))
			b2.Addr("adv0", p("198.51.100.2/30"))
			b1.serve()
			b2.serve()
			vip := p(tt.held[len(tt.held)-1]).Addr()
			start := func(host *peer, priority uint8) (*failover.Router, func()) {
				owner, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: onEth0(tt.held...), Routes: tt.routes, Namespace: host.Path()})
				must(t, err)
				c := failover.RouterConfig{
					VRID: 7, Device: tt.device, Priority: priority, Interval: 10 * time.Millisecond,
					Addresses: []netip.Addr{netip.MustParseAddr(tt.told)}, Owner: owner, Transport: failover.RawIP{Namespace: host.Path()},
				}
				r, err := failover.NewRouter(&c)
				must(t, err)
				return r, running(t, r)
			}
			r1, stop := start(b1, 200)
			within(t, patience, "start", func() bool { return r1.Status().Serving })
			client.answeredBy(b1, vip)
			r2, _ := start(b2, 100)
			within(t, patience, "the other one is backup", func() bool { return r2.Status().Role == failover.RoleBackup })
			follows := func(what string, winner *failover.Router, at *peer) {
				t.Helper()
				within(t, patience, what, func() bool { return winner.Status().Serving })
				within(t, patience, what+": the client's entry moves", func() bool { return client.neighbour(vip) == at.mac() })
				client.answeredBy(at, vip)
			}
			handOver(t, r1, r2)
			follows("hand-over", r2, b2)
			r1.Reclaim()
			follows("back", r1, b1)
			stop()
			follows("stop", r2, b2)
		})
	}
}

// The address of all routers is no source for the adverts of each: who has no
// other one says what mends it, and does not send what nobody could tell from
// another one's.
func TestNetnsVirtualAddressIsNoSourceOfAdverts(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	host := w.host("d1", "192.0.2.100/24")
	r, rec, _ := rawRouter(t, host, 200, nil, "192.0.2.100/24")
	const why = `device "eth0" has no IPv4 address to send adverts from, but for virtual ones: give it one, name the source, or have another device carry the adverts`
	within(t, patience, "the fault has a cure", func() bool {
		st := r.Status()
		return !st.Open && st.Error == "failover: "+why && st.Sent == 0
	})
	within(t, patience, "it is told", func() bool { return rec.Count(failover.EventChannelTrouble) > 0 })
	host.Addr(eth0, netip.MustParsePrefix("192.0.2.1/32"))
	within(t, patience, "an address for it is enough", func() bool { return r.Status().Serving })
}

// running runs a router until the test ends, or until the function is called.
func running(t *testing.T, r *failover.Router) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return cancel
}
