package director

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

// Addresses are said to be held for as long as they are here, whatever the role:
// who hands over serves on until the other one does.
func TestAddressesAreHeldUntilTheyAreLetGo(t *testing.T) {
	list := []failover.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.100/32"), Device: "eth0"}}
	own := new(failover.Addresses)
	setup := &Setup{Addresses: list}
	type state struct {
		role    failover.Role
		serving bool
	}
	for _, tt := range []struct {
		name  string
		owner AddressSet
		first state
		want  bool
	}{
		{"it serves", own, state{failover.RoleActive, true}, true},
		{"it is about to serve", own, state{failover.RoleActive, false}, false},
		{"it has given way and serves on", own, state{failover.RoleBackup, true}, true},
		{"it stops and serves on", own, state{failover.RoleLeaving, true}, true},
		{"it has let go", own, state{failover.RoleBackup, false}, false},
		{"it carries none", nil, state{failover.RoleActive, true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &Director{setup: setup}
			members := []*member{newMember("a", list), newMember("b", list)}
			for _, m := range members {
				m.addresses = tt.owner
			}
			node := d.describeNode(members[0], &failover.Status{Role: tt.first.role, Serving: tt.first.serving})
			routers := describeRouters(members, []failover.RouterStatus{
				{Role: tt.first.role, Serving: tt.first.serving}, {Role: failover.RoleBackup},
			})
			got := []bool{node.AddressesHeld, routers.AddressesHeld, routers.Routers[0].AddressesHeld, routers.Routers[1].AddressesHeld}
			if diff := cmp.Diff([]bool{tt.want, tt.want, tt.want, false}, got); diff != "" {
				t.Errorf("of a node, of all routers, of the first, of the second (-want +got):\n%s", diff)
			}
		})
	}
}
