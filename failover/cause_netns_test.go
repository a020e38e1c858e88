//go:build linux && netns

package failover_test

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/failover"
)

// A real firewall on one of two nodes, for both directions, makes two active
// ones. The one with the firewall is told by the kernel, the other one by its
// neighbours.
func TestNetnsSplitOfAPairByAFirewallIsNamedOnBothNodes(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
	d1, d2 := director(t, b1, 0, nil), director(t, b2, 1, nil)
	within(t, patience, "the primary serves", func() bool {
		return d1.node.Status().Partner.Alive && d2.node.Status().Partner.Serving
	})
	b1.Run("nft", "add table inet f; add chain inet f in { type filter hook input priority 0; }; add chain inet f out { type filter hook output priority 0; }; "+
		"add rule inet f in udp dport 539 drop; add rule inet f out udp dport 539 drop")
	says := func(s *side, role failover.Role, parts ...string) func() bool {
		return func() bool {
			st := s.node.Status()
			for _, p := range parts {
				if !strings.Contains(st.Reason, p) {
					return false
				}
			}
			return st.Role == role
		}
	}
	within(t, patience, "the node with the firewall names it", says(d1, failover.RoleActive,
		"the partner is silent on public", "sending on public fails: operation not permitted: a firewall of this router drops it: let UDP to port 539 out"))
	within(t, patience, "the other one names its rival", says(d2, failover.RoleActive,
		"the partner is silent on all channels; "+b1.mac()+" has the addresses, too, and no heartbeat of it comes here"))
	t.Logf("%s\n%s", d1.node.Status().Reason, d2.node.Status().Reason)
	b1.Run("nft", "delete table inet f")
	within(t, patience, "one gives way", func() bool {
		return d1.role() == failover.RoleActive && d2.role() == failover.RoleBackup && !strings.Contains(d1.node.Status().Reason, ";")
	})
}
