package failover_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// team is a node of a test: routers on links of their own, which are a group.
type team struct {
	t       *testing.T
	members []*speaker
	group   *failover.Group
}

// teams are some nodes on the same links.
type teams struct {
	links []*failovertest.Segment
	nodes []*team
}

// newTeams makes a node for each list of priorities, which are those of its
// members. Nothing is started.
func newTeams(t *testing.T, change func(node, link int, c *failover.RouterConfig), priorities ...[]uint8) *teams {
	t.Helper()
	ts := &teams{}
	for range priorities[0] {
		ts.links = append(ts.links, new(failovertest.Segment))
	}
	for n, list := range priorities {
		node := &team{t: t}
		for l, p := range list {
			node.members = append(node.members, newSpeaker(t, ts.links[l], n+1, func(c *failover.RouterConfig) {
				c.Device, c.Priority = fmt.Sprintf("eth%d", l), p
				if change != nil {
					change(n, l, c)
				}
			}))
		}
		ts.nodes = append(ts.nodes, node)
	}
	return ts
}

// start runs the members, as a group.
func (n *team) start() {
	n.t.Helper()
	var routers []*failover.Router
	for _, s := range n.members {
		s.make()
		routers = append(routers, s.router)
	}
	var err error
	if n.group, err = failover.NewGroup("vips", routers...); err != nil {
		n.t.Fatal(err)
	}
	for _, s := range n.members {
		s.run()
	}
}

func (n *team) stop() {
	for _, s := range n.members {
		if s.cancel != nil {
			s.cancel()
		}
	}
	for _, s := range n.members {
		s.stop()
	}
}

// is fails the test unless all members have the role.
func (n *team) is(want failover.Role) {
	n.t.Helper()
	for _, s := range n.members {
		if st := s.is(want); st.Group != "vips" {
			n.t.Fatalf("group %q", st.Group)
		}
	}
}

func (ts *teams) start() {
	for _, n := range ts.nodes {
		n.start()
	}
}

// cut stops the packets between two nodes on a link, or lets them pass.
func (ts *teams) cut(a, b, link int, cut bool) {
	ts.links[link].Partition(ts.nodes[a].members[link].place, ts.nodes[b].members[link].place, cut)
}

// pairOfTeams starts two nodes of two members each; the first serves.
func pairOfTeams(t *testing.T, change func(node, link int, c *failover.RouterConfig)) (ts *teams, high, low *team) {
	t.Helper()
	ts = newTeams(t, change, []uint8{200, 200}, []uint8{100, 100})
	ts.start()
	time.Sleep(2 * listened)
	ts.nodes[0].is(failover.RoleActive)
	ts.nodes[1].is(failover.RoleBackup)
	return ts, ts.nodes[0], ts.nodes[1]
}

func TestGroup(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"a fault of one member moves all, and holds them with its reason", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			high.members[1].place.Fail(errors.New("no carrier"))
			time.Sleep(3 * pace)
			high.is(failover.RoleFault)
			low.is(failover.RoleActive)
			high.members[0].says(`fault: group "vips" is held by eth1 51: no carrier`)
			high.members[1].says("fault: no carrier")
			time.Sleep(time.Minute)
			high.is(failover.RoleFault)
			high.members[1].place.Fail(nil)
			time.Sleep(2 * pace)
			high.is(failover.RoleInit) // it listens, with all members
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
		}},
		{"two faults have to end before the group goes on", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			high.members[0].router.SetFault("one")
			high.members[1].router.SetFault("two")
			time.Sleep(time.Second)
			high.members[0].says("fault: one")
			high.members[0].router.SetFault("")
			time.Sleep(time.Minute)
			high.is(failover.RoleFault)
			high.members[0].says("held by eth1 51: two")
			low.is(failover.RoleActive)
			high.members[1].router.SetFault("")
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
		}},
		{"nobody is active before all members can be", func(t *testing.T) {
			ts := newTeams(t, nil, []uint8{200, 200})
			n := ts.nodes[0]
			n.members[1].place.FailListen(errors.New("no such device"))
			n.start()
			time.Sleep(time.Minute)
			n.members[0].is(failover.RoleFault)
			n.members[0].says(`group "vips" is held by eth1 51: no such device`)
			n.members[1].place.FailListen(nil)
			time.Sleep(10 * time.Second)
			n.is(failover.RoleActive)
		}},
		{"an owner waits until the others have listened", func(t *testing.T) {
			ts := newTeams(t, nil, []uint8{vrrp.PriorityOwner, 200})
			n := ts.nodes[0]
			n.start()
			n.members[0].is(failover.RoleBackup)
			n.members[0].says(`this router owns the addresses; group "vips" waits for eth1 51: just started`)
			time.Sleep(listened)
			n.is(failover.RoleActive)
		}},
		{"a dead node is found by the quickest member", func(t *testing.T) {
			ts, _, low := pairOfTeams(t, func(_, link int, c *failover.RouterConfig) {
				if link == 1 {
					c.Interval = pace / 10
				}
			})
			ts.cut(0, 1, 0, true)
			ts.cut(0, 1, 1, true)
			time.Sleep(pace/2 - time.Millisecond)
			low.is(failover.RoleActive)
			low.members[0].says(`moves with its group; group "vips" follows eth1 51: no active router was heard`)
		}},
		{"one broken link of two moves nothing", func(t *testing.T) {
			for link := range 2 {
				ts, high, low := pairOfTeams(t, nil)
				for _, s := range low.members {
					s.Events()
				}
				ts.cut(0, 1, link, true)
				time.Sleep(time.Minute)
				high.is(failover.RoleActive)
				low.is(failover.RoleBackup)
				low.members[link].says(fmt.Sprintf(`group "vips" leaves the service to 192.0.2.1, which eth%d 51 hears with priority 200`, 1-link))
				for _, s := range low.members {
					if n := s.Count(failover.EventRole); n != 0 {
						t.Errorf("link %d: %v", link, s.Events())
					}
				}
				// The last link breaks, too.
				ts.cut(0, 1, 1-link, true)
				time.Sleep(2 * listened)
				low.is(failover.RoleActive)
				ts.cut(0, 1, 0, false)
				ts.cut(0, 1, 1, false)
				time.Sleep(2 * listened)
				high.is(failover.RoleActive)
				low.is(failover.RoleBackup)
				high.stop()
				low.stop()
			}
		}},
		{"where the quick one of two links is broken, the slow one corrects it once", func(t *testing.T) {
			ts, high, low := pairOfTeams(t, func(_, link int, c *failover.RouterConfig) {
				if link == 0 {
					c.Interval = pace / 10
				}
			})
			time.Sleep(pace / 7) // between two adverts of both
			for _, s := range low.members {
				s.Events()
			}
			ts.cut(0, 1, 0, true)
			time.Sleep(10 * time.Minute)
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
			for _, s := range low.members {
				if n := s.Count(failover.EventRole); n > 2 {
					t.Errorf("%d changes: %v", n, s.Events())
				}
			}
			low.members[0].says(`group "vips" leaves the service to 192.0.2.1, which eth1 51 hears`)
			// It is healed, and broken again.
			ts.cut(0, 1, 0, false)
			time.Sleep(time.Second)
			low.members[0].says("another router is active: 192.0.2.1")
			ts.cut(0, 1, 1, true)
			ts.cut(0, 1, 0, true)
			time.Sleep(pace)
			low.is(failover.RoleActive)
		}},
		{"a yield of one member is one of all, and so is its end", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			if err := high.members[1].router.Yield(); err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				time.Sleep(time.Millisecond)
				for i, s := range high.members {
					if !s.Held() && !low.members[i].Held() {
						t.Fatalf("nobody holds the addresses of link %d", i)
					}
				}
			}
			low.is(failover.RoleActive)
			time.Sleep(time.Minute)
			high.is(failover.RoleBackup)
			high.members[0].router.Reclaim()
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
			if err := low.group.Yield(); !errors.Is(err, failover.ErrNotActive) {
				t.Errorf("yield of a backup: %v", err)
			}
			if err := high.group.Yield(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			low.is(failover.RoleActive)
			high.group.Reclaim()
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
		}},
		{"a stop is taken over within an interval, by all members at once, and they serve until then", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			for _, s := range high.members {
				s.cancel()
			}
			for range 1000 {
				time.Sleep(time.Millisecond)
				for i, s := range high.members {
					if !s.Held() && !low.members[i].Held() {
						t.Fatalf("nobody holds the addresses of link %d", i)
					}
				}
			}
			high.stop()
			low.is(failover.RoleActive)
			a, b := low.members[0].router.Status(), low.members[1].router.Status()
			if !a.Since.Equal(b.Since) {
				t.Errorf("active since %v and %v", a.Since, b.Since)
			}
		}},
		{"one member that ends takes the others down", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			high.members[0].stop()
			time.Sleep(pace)
			high.members[1].is(failover.RoleBackup)
			low.is(failover.RoleActive)
			low.stop()
			time.Sleep(time.Minute)
			high.members[1].is(failover.RoleBackup)
			high.members[1].says(`; group "vips" waits for eth0 51: stopping`)
		}},
		{"priorities and faults for all", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			high.group.SetPriority(50)
			time.Sleep(2 * listened)
			low.is(failover.RoleActive)
			high.group.SetPriority(200)
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
			high.group.SetFault("the disk is full")
			time.Sleep(pace)
			low.is(failover.RoleActive)
			high.members[1].says("fault: the disk is full")
			high.group.SetFault("")
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
		}},
		{"a priority of one member alone moves nothing", func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			high.members[0].router.SetPriority(50)
			time.Sleep(time.Minute)
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
			low.members[0].says("the active router has a lower priority: 192.0.2.1 with priority 50; group \"vips\" leaves the service to 192.0.2.1, which eth1 51 hears with priority 200")
		}},
		{"no preemption of one member is that of all, also after a fault", func(t *testing.T) {
			_, high, low := pairOfTeams(t, func(_, link int, c *failover.RouterConfig) { c.NoPreempt = link == 1 })
			high.members[0].place.Fail(errors.New("no carrier"))
			time.Sleep(time.Second)
			low.is(failover.RoleActive)
			high.members[0].place.Fail(nil)
			time.Sleep(time.Minute)
			high.is(failover.RoleBackup)
			low.is(failover.RoleActive)
			low.stop()
			high.is(failover.RoleActive)
		}},
		{"a fault from before the group was made holds all", func(t *testing.T) {
			ts := newTeams(t, nil, []uint8{200, 200})
			n := ts.nodes[0]
			var routers []*failover.Router
			for _, s := range n.members {
				s.make()
				routers = append(routers, s.router)
			}
			routers[1].SetFault("not yet")
			g, err := failover.NewGroup("vips", routers...)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range n.members {
				s.run()
			}
			time.Sleep(time.Minute)
			n.is(failover.RoleFault)
			n.members[0].says("held by eth1 51: not yet")
			g.SetFault("")
			time.Sleep(listened)
			n.is(failover.RoleActive)
		}},
		{"no preemption holds after a start and a link-up", func(t *testing.T) {
			_, high, low := pairOfTeams(t, func(_, _ int, c *failover.RouterConfig) { c.NoPreempt = true })
			for _, back := range map[string]func(){
				"start": func() { high.stop(); time.Sleep(time.Second); high.start() },
				"link-up": func() {
					high.members[1].place.Fail(errors.New("no carrier"))
					time.Sleep(time.Second)
					high.members[1].place.Fail(nil)
				},
				"link-up of all": func() {
					for _, s := range high.members {
						s.place.Fail(errors.New("no carrier"))
					}
					time.Sleep(time.Second)
					for _, s := range high.members {
						s.place.Fail(nil)
					}
				},
			} {
				back()
				time.Sleep(time.Minute)
				high.is(failover.RoleBackup)
				low.is(failover.RoleActive)
			}
		}},
		{"a preemption delay of one member is that of all", func(t *testing.T) {
			_, high, low := pairOfTeams(t, func(_, link int, c *failover.RouterConfig) {
				if link == 1 {
					c.PreemptDelay = 10 * time.Second
				}
			})
			high.group.SetFault("for a while")
			time.Sleep(time.Second)
			low.is(failover.RoleActive)
			high.group.SetFault("")
			time.Sleep(9 * time.Second)
			high.is(failover.RoleBackup)
			time.Sleep(2 * time.Second)
			high.is(failover.RoleActive)
		}},
		{"contradicting priorities come to rest", func(t *testing.T) {
			for range 6 {
				ts := newTeams(t, nil, []uint8{200, 100}, []uint8{100, 200})
				for link := range 2 {
					ts.cut(0, 1, link, true)
				}
				ts.start()
				time.Sleep(2 * listened)
				ts.nodes[0].is(failover.RoleActive)
				ts.nodes[1].is(failover.RoleActive)
				for link := range 2 {
					ts.cut(0, 1, link, false)
				}
				time.Sleep(5 * time.Second)
				serving := ts.serving(t)
				if len(serving) != 1 {
					t.Fatalf("%v serve", serving)
				}
				rest, other := ts.nodes[serving[0]], ts.nodes[1-serving[0]]
				for _, s := range append(rest.members, other.members...) {
					s.Events()
				}
				time.Sleep(time.Minute)
				rest.is(failover.RoleActive)
				other.is(failover.RoleBackup)
				for _, s := range append(rest.members, other.members...) {
					if n := s.Count(failover.EventRole); n != 0 {
						t.Errorf("changes at rest: %v", s.Events())
					}
				}
				other.stop()
				rest.stop()
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

// serving returns the nodes that are active, and fails the test if one is with
// some of its members only.
func (ts *teams) serving(t *testing.T) (list []int) {
	t.Helper()
	synctest.Wait()
	for i, n := range ts.nodes {
		active := 0
		for _, s := range n.members {
			if s.router.Status().Role == failover.RoleActive {
				active++
			}
		}
		switch active {
		case 0:
		case len(n.members):
			list = append(list, i)
		default:
			t.Fatalf("node %d is active with %d of its members", i, active)
		}
	}
	return list
}

// Whatever happens to links, members and nodes, a group is never active in
// part, and when all is well one node serves, and goes on serving.
func TestGroupRandomSchedules(t *testing.T) {
	first := rand.Uint64()
	if text := os.Getenv("LVSKIT_TEST_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("LVSKIT_TEST_SEED:", err)
		}
	}
	for seed := first; seed-first < 12; seed++ {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 8))
			some := func() (list []uint8) {
				for range 2 {
					list = append(list, uint8(1+rng.IntN(254)))
				}
				return list
			}
			noPreempt := rng.IntN(3) == 0
			ts := newTeams(t, func(_, _ int, c *failover.RouterConfig) { c.NoPreempt = noPreempt }, some(), some(), some()[:2])
			ts.start()
			for range 30 {
				time.Sleep(time.Duration(rng.Int64N(int64(6 * pace))))
				ts.serving(t)
				n := ts.nodes[rng.IntN(len(ts.nodes))]
				s := n.members[rng.IntN(2)]
				switch rng.IntN(6) {
				case 0, 1:
					ts.cut(rng.IntN(3), rng.IntN(3), rng.IntN(2), rng.IntN(2) == 0)
				case 2:
					if err := error(nil); rng.IntN(2) == 0 {
						s.place.Fail(errors.New("no carrier"))
					} else {
						s.place.Fail(err)
					}
				case 3:
					_ = n.group.Yield() // if it is active
				case 4:
					n.group.SetPriority(uint8(1 + rng.IntN(254)))
				case 5:
					n.stop()
					n.start()
				}
			}
			for i := range ts.nodes {
				for j := range ts.nodes {
					ts.cut(i, j, 0, false)
					ts.cut(i, j, 1, false)
				}
				for _, s := range ts.nodes[i].members {
					s.place.Fail(nil)
				}
				ts.nodes[i].group.Reclaim()
			}
			time.Sleep(10 * time.Second)
			before := ts.serving(t)
			if len(before) != 1 {
				t.Fatalf("seed %d: nodes %v serve", seed, before)
			}
			for _, n := range ts.nodes {
				for _, s := range n.members {
					s.Events()
				}
			}
			time.Sleep(time.Minute)
			for i, n := range ts.nodes {
				for _, s := range n.members {
					if got := s.Count(failover.EventRole); got != 0 {
						t.Fatalf("seed %d: node %d changed its role at rest: %v", seed, i, s.Events())
					}
				}
			}
		})
	}
}

func TestGroupIsChecked(t *testing.T) {
	g := new(failovertest.Segment)
	one, two := newSpeaker(t, g, 1), newSpeaker(t, g, 2)
	one.make()
	two.make()
	check := func(want string, routers ...*failover.Router) {
		t.Helper()
		if _, err := failover.NewGroup("vips", routers...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	check(`group "vips" has 0 routers`)
	check(`group "vips": one of the routers is nil`, one.router, nil)
	check("eth0 51 is given twice", one.router, one.router)
	if _, err := failover.NewGroup("first", one.router, two.router); err != nil {
		t.Fatal(err)
	}
	check(`eth0 51 is in group "first" already`, one.router)
}
