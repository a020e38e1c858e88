//go:build linux && netns

package failover_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// Two balancers between two networks: what befalls one side moves both, and the
// neighbours of both follow.
func TestNetnsGroupMovesBothSides(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	const inside = "br1"
	w.sw.Bridge(inside)
	outer, inner := netip.MustParsePrefix("192.0.2.100/32"), netip.MustParsePrefix("198.51.100.100/32")
	type node struct {
		*peer
		group *failover.Group
		outer *failover.Router
		stop  func()
	}
	balancer := func(i string, priority uint8) *node {
		n := &node{peer: w.host("d"+i, "192.0.2."+i+"/24")}
		w.Veth(n.Namespace, "eth1", w.sw, "q-d"+i)
		w.sw.Attach("q-d"+i, inside)
		n.Addr("eth1", netip.MustParsePrefix("198.51.100."+i+"/24"))
		n.serve()
		var routers []*failover.Router
		for device, vip := range map[string]netip.Prefix{eth0: outer, "eth1": inner} {
			owner, err := failover.NewAddresses(&failover.AddressesConfig{
				Addresses: []failover.VirtualAddress{{Prefix: vip, Device: device}}, Namespace: n.Path(),
			})
			must(t, err)
			r, err := failover.NewRouter(&failover.RouterConfig{
				VRID: 7, Device: device, Priority: priority, Interval: 20 * time.Millisecond, Addresses: []netip.Addr{vip.Addr()},
				Owner: owner, Transport: failover.RawIP{Namespace: n.Path()},
			})
			must(t, err)
			routers = append(routers, r)
			if device == eth0 {
				n.outer = r
			}
		}
		var err error
		n.group, err = failover.NewGroup("both sides", routers...)
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for _, r := range routers {
			running.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		}
		n.stop = func() { cancel(); running.Wait() }
		t.Cleanup(n.stop)
		return n
	}
	out := w.host("out", "192.0.2.9/24")
	in := w.host("in")
	w.sw.Attach(in.port, inside)
	in.Addr(eth0, netip.MustParsePrefix("198.51.100.9/24"))
	d1, d2 := balancer("1", 200), balancer("2", 100)
	serves := func(what string, n *node) {
		t.Helper()
		took := within(t, patience, what, func() bool {
			for _, r := range n.group.Routers() {
				if st := r.Status(); !st.Serving || st.Role != failover.RoleActive {
					return false
				}
			}
			return true
		})
		within(t, patience, what+": the neighbours follow", func() bool {
			return out.ask(outer.Addr()) == n.Name() && in.ask(inner.Addr()) == n.Name()
		})
		t.Logf("%s: %v", what, took)
	}
	serves("start", d1)
	w.sw.Down("q-d1")
	serves("the inner side of the first is unplugged", d2)
	within(t, patience, "the outer side says why", func() bool {
		st := d1.outer.Status()
		return st.Role == failover.RoleFault && strings.Contains(st.Reason, `group "both sides" is held by eth1 7: failover: device "eth1" has no carrier`)
	})
	w.sw.Up("q-d1")
	serves("it is plugged", d1)
	must(t, d1.outer.Yield())
	serves("a yield", d2)
	d1.group.Reclaim()
	serves("its end", d1)
	d1.detach() // the outer side loses all packets and keeps its carrier
	time.Sleep(200 * time.Millisecond)
	if st := d2.outer.Status(); st.Role != failover.RoleBackup || !strings.Contains(st.Reason, "which eth1 7 hears with priority 200") {
		t.Errorf("with one link broken: %v, %s", st.Role, st.Reason)
	}
	w.sw.Attach(d1.port, bridge)
	d1.stop()
	serves("a stop", d2)
}
