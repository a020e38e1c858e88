package director

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/control"
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
			members := []*member{newMember("a", carriage{addresses: list}), newMember("b", carriage{addresses: list})}
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

// Who is ordered to hand over and does not serve says who does.
func TestWhoServesInstead(t *testing.T) {
	node := func(p failover.PartnerStatus) polled { return polled{node: failover.Status{Partner: p}} }
	members := []*member{newMember("outside", carriage{}), newMember("inside", carriage{})}
	routers := func(list ...failover.RouterStatus) polled { return polled{members: members, routers: list} }
	other := failover.RouterStatus{Active: netip.MustParseAddr("192.0.2.2")}
	for _, tt := range []struct {
		name string
		p    polled
		want string
	}{
		{"a partner that serves", node(failover.PartnerStatus{Known: true, Alive: true, Role: failover.RoleActive}), "the partner is: order it there"},
		{"a partner in fault", node(failover.PartnerStatus{Known: true, Alive: true, Role: failover.RoleFault}), "the partner is fault, too"},
		{"a silent partner", node(failover.PartnerStatus{Known: true, Role: failover.RoleActive}), "the partner is silent, and was active"},
		{"no partner", node(failover.PartnerStatus{}), "nor was a partner ever heard"},
		{"routers", routers(other, other), "192.0.2.2 is, of vrrp outside, 192.0.2.2 is, of vrrp inside: order it there"},
		{"one router", routers(failover.RouterStatus{}, other), "192.0.2.2 is, of vrrp inside: order it there"},
		{"no router", routers(failover.RouterStatus{}), "no active router is heard"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.whoServes(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What was refused on several channels, or by several routers, is told with the
// time of the last of it.
func TestWhenTheLastWasRefused(t *testing.T) {
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	second := first.Add(time.Minute)
	drops := map[string]uint64{"bad-key": 2}
	at := func(when time.Time) map[string]time.Time { return map[string]time.Time{"bad-key": when} }
	members := []*member{newMember("a", carriage{}), newMember("b", carriage{})}
	d := &Director{setup: &Setup{}}
	node := d.describeNode(members[0], &failover.Status{Channels: []failover.ChannelStatus{{Drops: drops, LastDrops: at(second)}, {Drops: drops, LastDrops: at(first)}, {}}})
	routers := describeRouters(members, []failover.RouterStatus{{Drops: drops, LastDrops: at(first)}, {Drops: drops, LastDrops: at(second)}})
	for what, r := range map[string]control.Role{"channels": node, "routers": routers} {
		if r.Refused["bad-key"] != 4 || !r.RefusedAt["bad-key"].Equal(second) || len(r.RefusedAt) != 1 {
			t.Errorf("of %s: %v, last %v", what, r.Refused, r.RefusedAt)
		}
	}
}
