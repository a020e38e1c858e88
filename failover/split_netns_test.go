//go:build linux && netns

package failover_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// A firewall that drops adverts makes two active routers, of which only one can
// know of the other by VRRP. Both say what is the matter.
func TestNetnsSplitByAFirewallIsNamedOnBothSides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, rule, vip, from string }{
		{"IPv4", "ip protocol 112 drop", "192.0.2.100/32", "192.0.2.2"},
		{"IPv6", "ip6 nexthdr 112 drop", "fe80::100/64", "fe80::"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
			r1, rec1, _ := rawRouter(t, b1, 200, nil, tt.vip)
			within(t, patience, "start", func() bool { return r1.Status().Serving })
			r2, rec2, _ := rawRouter(t, b2, 100, nil, tt.vip)
			within(t, patience, "the other one is backup", func() bool { return r2.Status().Role == failover.RoleBackup })

			b2.Run("nft", "add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in "+tt.rule)
			within(t, patience, "who hears both names the rival", func() bool {
				st := r1.Status()
				return st.Rival && strings.HasPrefix(st.Active.String(), tt.from) && strings.Contains(st.Reason, " is active too, with priority 100")
			})
			within(t, patience, "who hears nothing names the firewall", func() bool {
				st := r2.Status()
				return st.Role == failover.RoleActive && !st.Rival && strings.Contains(st.Reason,
					b1.mac()+" has the addresses, too, and no advert of it comes here: let protocol 112 to ")
			})
			within(t, patience, "both say it", func() bool {
				return rec1.Count(failover.EventRivalSeen) > 0 && rec2.Count(failover.EventClaimed) > 0
			})
			b2.Run("nft", "delete table inet f")
			within(t, patience, "one gives way", func() bool { return r2.Status().Role == failover.RoleBackup && !r1.Status().Rival })
			if reason := r1.Status().Reason; strings.Contains(reason, "active too") {
				t.Errorf("reason %q", reason)
			}
		})
	}
	t.Run("no rule but another key", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		var routers []*failover.Router
		for i, name := range []string{"d1", "d2"} {
			r, _, _ := runRouter(t, w.host(name, fmt.Sprintf("192.0.2.%d/24", i+1)), func(c *failover.RouterConfig) {
				c.Priority, c.Keys = uint8(100+i), []vrrp.Key{{ID: 1, Secret: bytes.Repeat([]byte{byte(i + 1)}, vrrp.MinKey)}}
			}, "192.0.2.100/32")
			routers = append(routers, r)
		}
		for _, r := range routers {
			within(t, patience, "it names the key and blames no firewall", func() bool {
				reason := r.Status().Reason
				return strings.Contains(reason, " has the addresses, too; packets from ") && strings.Contains(reason, "give all routers the same keys") && !strings.Contains(reason, "firewall")
			})
		}
	})
	t.Run("a rule for what goes out", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		b1 := w.host("d1", "192.0.2.1/24")
		b1.Run("nft", "add table inet f; add chain inet f out { type filter hook output priority 0; }; add rule inet f out ip protocol 112 drop")
		r1, _, _ := rawRouter(t, b1, 200, nil, "192.0.2.100/32")
		within(t, patience, "who may not speak says so", func() bool {
			return strings.Contains(r1.Status().Error, "a firewall drops it: let protocol 112 out")
		})
	})
}

// Neighbours that are slow to believe follow every move all the same: one that
// keeps what it has for a minute, and, with a virtual MAC, one that never learns
// anything.
func TestNetnsStubbornNeighboursFollow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		virtual bool
		prepare func(client *peer)
	}{
		{"an entry that is locked for a minute", false, func(client *peer) {
			client.Sysctl("net.ipv4.neigh.eth0.locktime", "6000") // hundredths of a second
		}},
		{"an entry that is written down", true, func(client *peer) {
			link, err := client.Handle().LinkByName(eth0)
			must(t, err)
			must(t, client.Handle().NeighSet(&netlink.Neigh{
				LinkIndex: link.Attrs().Index, IP: net.ParseIP("192.0.2.100"), State: netlink.NUD_PERMANENT, HardwareAddr: failover.VirtualMAC(7, false),
			}))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
			client := w.host("cl", "192.0.2.9/24")
			b1.serve()
			b2.serve()
			tt.prepare(client)
			vip := netip.MustParseAddr("192.0.2.100")
			start := func(host *peer, priority uint8) *failover.Router {
				r, _, _ := runRouter(t, host, func(c *failover.RouterConfig) { c.Priority, c.VirtualMAC = priority, tt.virtual }, "192.0.2.100/32")
				return r
			}
			r1 := start(b1, 200)
			within(t, patience, "start", func() bool { return r1.Status().Serving })
			client.answeredBy(b1, vip)
			r2 := start(b2, 100)
			within(t, patience, "the other one is backup", func() bool { return r2.Status().Role == failover.RoleBackup })
			for range 3 {
				handOver(t, r1, r2)
				within(t, patience, "it lets go", func() bool { return !r1.Status().Serving })
				client.answeredBy(b2, vip)
				r1.Reclaim()
				within(t, patience, "back", func() bool { return r1.Status().Serving && !r2.Status().Serving })
				client.answeredBy(b1, vip)
			}
			b1.detach()
			within(t, patience, "silence", func() bool { return r2.Status().Serving })
			client.answeredBy(b2, vip)
			w.sw.Attach(b1.port, bridge)
			within(t, patience, "mended", func() bool { return r2.Status().Role == failover.RoleBackup && !r2.Status().Serving })
			client.answeredBy(b1, vip)
		})
	}
}
