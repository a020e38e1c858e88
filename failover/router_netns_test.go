//go:build linux && netns

package failover_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// rawRouter starts a router of ours on raw sockets, by adverts every 10 ms.
func rawRouter(t *testing.T, host *peer, priority uint8, keys []vrrp.Key, vips ...string) (*failover.Router, *failovertest.Recorder, func()) {
	t.Helper()
	return runRouter(t, host, func(c *failover.RouterConfig) { c.Priority, c.Keys = priority, keys }, vips...)
}

// runRouter is rawRouter for what else there is to configure.
func runRouter(t *testing.T, host *peer, set func(*failover.RouterConfig), vips ...string) (*failover.Router, *failovertest.Recorder, func()) {
	t.Helper()
	rec := new(failovertest.Recorder)
	c := failover.RouterConfig{
		VRID: 7, Device: eth0, Interval: 10 * time.Millisecond, OnEvent: rec.OnEvent,
		Transport: failover.RawIP{Namespace: host.Path()},
	}
	set(&c)
	var own []failover.VirtualAddress
	for _, s := range vips {
		p := netip.MustParsePrefix(s)
		c.Addresses = append(c.Addresses, p.Addr())
		own = append(own, failover.VirtualAddress{Prefix: p, Device: c.Device})
	}
	var err error
	c.Owner, err = failover.NewAddresses(&failover.AddressesConfig{Addresses: own, Namespace: host.Path()})
	must(t, err)
	r, err := failover.NewRouter(&c)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: %+v", host.Name(), r.Status())
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	done := false
	stop := func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return r, rec, stop
}

// handOver has one router yield to another. If that one stands still meanwhile,
// as on a busy machine, the first is active again: so it is asked until the
// other one serves.
func handOver(t *testing.T, from, to *failover.Router) {
	t.Helper()
	within(t, patience, "the hand-over", func() bool {
		if err := from.Yield(); err != nil && !errors.Is(err, failover.ErrNotActive) {
			t.Fatal(err)
		}
		return to.Status().Serving
	})
}

// Two routers of ours, and a client that follows every move.
func TestNetnsRoutersMoveTheTraffic(t *testing.T) {
	one := []vrrp.Key{{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}}
	four, six := []string{"192.0.2.100/32"}, []string{"fe80::100/64", "2001:db8::100/128"}
	for _, tt := range []struct {
		name string
		vips []string
		keys []vrrp.Key
	}{{"IPv4", four, nil}, {"IPv6", six, nil}, {"IPv4 signed", four, one}, {"IPv6 signed", six, one}} {
		t.Run(tt.name, func(t *testing.T) {
			vips := tt.vips
			w := newWire(t)
			b1, b2 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("d2", "192.0.2.2/24", "2001:db8::2/64")
			client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
			b1.serve()
			b2.serve()
			vip := netip.MustParsePrefix(vips[len(vips)-1]).Addr()
			r1, _, stop := rawRouter(t, b1, 200, tt.keys, vips...)
			r2, rec, _ := rawRouter(t, b2, 100, tt.keys, vips...)
			serves := func(what string, r *failover.Router, at *peer) {
				t.Helper()
				took := within(t, patience, what, func() bool { return r.Status().Serving })
				within(t, patience, what+": the neighbour follows", func() bool {
					mac := client.neighbour(vip)
					return mac == "" || mac == at.mac()
				})
				client.answeredBy(at, vip)
				t.Logf("%s: %v", what, took)
			}
			serves("start", r1, b1)
			within(t, patience, "the other one is backup", func() bool { return r2.Status().Role == failover.RoleBackup })
			if st := r2.Status(); st.Drops != nil || st.Received == 0 || !strings.Contains(st.Reason, "with priority 200") {
				t.Errorf("status %+v", st)
			}
			handOver(t, r1, r2)
			serves("hand-over", r2, b2)
			r1.Reclaim()
			serves("preemption", r1, b1)
			b1.detach() // its carrier stays: both are active
			serves("silence", r2, b2)
			w.sw.Attach(b1.port, bridge)
			within(t, patience, "one gives way", func() bool { return r2.Status().Role == failover.RoleBackup })
			serves("mended", r1, b1)
			stop()
			serves("stop", r2, b2)
			if n := rec.Count(failover.EventRefused) + rec.Count(failover.EventMismatch); n != 0 {
				t.Errorf("events %v", rec.Events())
			}
		})
	}
}

// What befalls the device is a fault with its name, and mends by itself.
func TestNetnsRouterFollowsItsDevice(t *testing.T) {
	w := newWire(t)
	host := w.host("d1", "192.0.2.1/24")
	r, _, _ := rawRouter(t, host, 200, nil, "192.0.2.100/32")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("status %+v", r.Status())
		}
	})
	is := func(what string, role failover.Role, reason string) {
		t.Helper()
		within(t, patience, what, func() bool {
			st := r.Status()
			return st.Role == role && strings.Contains(st.Reason, reason)
		})
	}
	is("start", failover.RoleActive, "")
	host.plug(false)
	is("unplugged", failover.RoleFault, `device "eth0" has no carrier`)
	host.plug(true)
	is("plugged", failover.RoleActive, "")
	host.Down(eth0)
	is("down", failover.RoleFault, `device "eth0" is down`)
	host.Up(eth0)
	is("up", failover.RoleActive, "")

	// The address to send from is replaced by another one, which the kernel
	// would take away with it.
	host.Sysctl("net.ipv4.conf.eth0.promote_secondaries", "1")
	host.Addr(eth0, netip.MustParsePrefix("192.0.2.8/24"))
	host.RemoveAddr(eth0, netip.MustParsePrefix("192.0.2.1/24"))
	within(t, patience, "the new source", func() bool { return r.Status().Source == netip.MustParseAddr("192.0.2.8") })
	is("with the new source", failover.RoleActive, "")
	within(t, patience, "the address is back", func() bool { return r.Status().Serving && r.Status().Error == "" })

	// And none is left, so that it waits for one.
	host.RemoveAddr(eth0, netip.MustParsePrefix("192.0.2.8/24"))
	is("without an address", failover.RoleFault, "has no IPv4 address to send adverts from")
	host.Addr(eth0, netip.MustParsePrefix("192.0.2.1/24"))
	is("with one", failover.RoleActive, "")

	// The device goes, and another one comes.
	link, err := host.Handle().LinkByName(eth0)
	must(t, err)
	must(t, host.Handle().LinkDel(link))
	is("gone", failover.RoleFault, `device "eth0"`)
	w.Veth(host.Namespace, eth0, w.sw, host.port)
	w.sw.Attach(host.port, bridge)
	host.Addr(eth0, netip.MustParsePrefix("192.0.2.1/24"))
	is("a new one", failover.RoleActive, "")
}

// A router of unicast that comes up beside an active one that could not reach it
// before does not take its silence for its end: it tells where it is, and the
// active one's adverts come.
func TestNetnsUnicastRouterIsReachedWhenItComesUp(t *testing.T) {
	t.Parallel()
	for _, family := range []struct{ name, one, two, vip string }{
		{"IPv4", "192.0.2.1/24", "192.0.2.2/24", "192.0.2.100/32"},
		{"IPv6", "2001:db8::1/64", "2001:db8::2/64", "fe80::100/64"},
	} {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1", family.one), w.host("d2")
			one, two := netip.MustParsePrefix(family.one), netip.MustParsePrefix(family.two)
			unicast := func(host *peer, priority uint8, source, peer netip.Addr) (*failover.Router, *failovertest.Recorder) {
				rec := new(failovertest.Recorder)
				r, err := failover.NewRouter(&failover.RouterConfig{
					VRID: 7, Device: eth0, Priority: priority, Interval: 50 * time.Millisecond, OnEvent: rec.OnEvent,
					Addresses: []netip.Addr{netip.MustParsePrefix(family.vip).Addr()}, Source: source, Peers: []netip.Addr{peer},
					Transport: failover.RawIP{Namespace: host.Path()},
				})
				must(t, err)
				return r, rec
			}
			run := func(r *failover.Router) (stop func()) {
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				return func() { cancel(); must(t, <-ended) }
			}
			r1, _ := unicast(b1, 200, one.Addr(), two.Addr())
			defer run(r1)()
			within(t, patience, "the first serves", func() bool { return r1.Status().Role == failover.RoleActive })
			for i := range 4 {
				// It asks for the second once a second; the moment differs.
				time.Sleep(time.Duration(250+170*i) * time.Millisecond)
				b2.Addr(eth0, two)
				r2, rec := unicast(b2, 100, two.Addr(), one.Addr())
				stop := run(r2)
				within(t, patience, "the second hears the first", func() bool { return r2.Status().Role == failover.RoleBackup })
				time.Sleep(300 * time.Millisecond)
				for _, e := range rec.Events() {
					if e.Role == failover.RoleActive {
						t.Errorf("it took over: %v", e)
					}
				}
				stop()
				b2.RemoveAddr(eth0, two)
				b1.Down(eth0) // so that it forgets where the second was
				b1.Up(eth0)
				if two.Addr().Is6() {
					b1.Addr(eth0, one) // which IPv6 takes away with the device
				}
				within(t, patience, "the first serves again", func() bool { return r1.Status().Role == failover.RoleActive })
			}
		})
	}
}
