package director

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// sides are two services that move by themselves, each with a router of its
// own: web with outside, and mail with inside.
const sides = `failover_mode = vrrp
primary = 192.0.2.1
backup = 192.0.2.2
backup_active = 1
network = direct
syncdaemon = 1
syncd_iface = sync0
syncd_id = 7
vrrp outside {
	interface = eth0
	vrid = 51
	priority = 150
	backup_priority = 100
	advert_interval = 100ms
}
vrrp inside {
	interface = eth1
	vrid = 52
	priority = 100
	backup_priority = 150
	advert_interval = 100ms
}
virtual web {
	active = 1
	vrrp = outside
	address = 192.0.2.10 eth0:1
	port = 80
	check = none
	server a {
		active = 1
		address = 10.0.0.1
	}
}
virtual mail {
	active = 1
	vrrp = inside
	address = 192.0.2.20 eth1:1
	port = 25
	check = none
	server a {
		active = 1
		address = 10.0.0.2
	}
}
`

// vrrpPair is two directors of one file on two links in memory.
type vrrpPair struct {
	t        *testing.T
	segments [3]failovertest.Segment
	stations [2][3]*failovertest.Station // by node and link
	one, two *rig
	log      [2]bytes.Buffer
}

// newVRRPPair runs both; they stop with the test, if not before.
func newVRRPPair(t *testing.T, file string, change func(node int, c *Config)) *vrrpPair {
	t.Helper()
	p := &vrrpPair{t: t}
	for node := range 2 {
		s := setupOf(t, file)
		own := netip.AddrFrom4([4]byte{192, 0, 2, byte(node + 1)})
		for link := range p.segments {
			p.stations[node][link] = p.segments[link].Station(netip.AddrFrom4([4]byte{10, byte(link), 0, byte(node + 1)}))
		}
		elect := func(s *Setup) ([]failover.RouterConfig, string, error) {
			routers, identity, err := s.Elect(PairOptions{Local: func() ([]netip.Addr, error) { return []netip.Addr{own}, nil }})
			for i := range routers {
				link := map[string]int{"eth0": 0, "eth1": 1}
				n, known := link[routers[i].Device]
				if !known {
					n = 2
				}
				routers[i].Transport = p.stations[node][n]
			}
			return routers, identity, err
		}
		kernel := ipvstest.New()
		r := newRig(t, kernel, func(c *Config) {
			c.Setup, c.Elect, c.Identity = s, elect, IdentityPrimary
			c.Logger = slog.New(slog.NewTextHandler(&p.log[node], nil))
			if change != nil {
				change(node, c)
			}
		})
		t.Cleanup(func() { _ = r.stop() }) // who looks at what it says stops it before
		if node == 0 {
			p.one = r
		} else {
			p.two = r
		}
	}
	return p
}

// serves are the services in a director's table.
func (r *rig) serves() (out []string) {
	r.t.Helper()
	snap, err := r.kernel.Snapshot(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range snap {
		out = append(out, e.Service.Key.String())
	}
	slices.Sort(out)
	return out
}

// syncs are the sync daemons of a director's kernel.
func (r *rig) syncs() (out []string) {
	r.t.Helper()
	list, err := r.kernel.SyncDaemons(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range list {
		out = append(out, fmt.Sprintf("%v %d", d.Role, d.SyncID))
	}
	slices.Sort(out)
	return out
}

func (p *vrrpPair) want(what string, one, two []string) {
	p.t.Helper()
	if diff := cmp.Diff([2][]string{one, two}, [2][]string{p.one.serves(), p.two.serves()}); diff != "" {
		p.t.Errorf("%s: services of both (-want +got):\n%s\n%s\n%s", what, diff, &p.log[0], &p.log[1])
	}
}

const web, mail = "tcp/192.0.2.10:80", "tcp/192.0.2.20:25"

// Two routers without a sync group may be active on different directors, and
// the tables and sync daemons follow each by itself.
func TestRoutersOfTwoDirectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		p.want("each has its own", []string{web}, []string{mail})
		for _, r := range []*rig{p.one, p.two} {
			if diff := cmp.Diff([]string{"backup 7", "master 7"}, r.syncs()); diff != "" {
				t.Errorf("sync daemons while each serves a part (-want +got):\n%s", diff)
			}
		}
		st := p.one.status()
		if st.Role.Mode != "vrrp" || st.Role.Role != "active" || len(st.Role.Routers) != 2 || st.Role.Routers[1].Active != "10.1.0.2" || !strings.Contains(st.Role.Reason, "inside is backup") {
			t.Errorf("status of the first: %+v", st.Role)
		}
		if !strings.Contains(st.Services[1].Reason, "vrrp inside is not active here") {
			t.Errorf("why mail is not in the table: %q", st.Services[1].Reason)
		}

		// By order all goes to one, and comes back by order alone.
		if _, err := p.one.d.Yield(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		p.want("after the order", nil, []string{web, mail})
		if diff := cmp.Diff([2][]string{{"backup 7"}, {"master 7"}}, [2][]string{p.one.syncs(), p.two.syncs()}); diff != "" {
			t.Errorf("sync daemons (-want +got):\n%s", diff)
		}
		if _, err := p.one.d.Yield(t.Context()); !errors.Is(err, failover.ErrNotActive) || !strings.Contains(err.Error(), "10.0.0.2 is, of vrrp outside, 10.1.0.2 is, of vrrp inside: order it there") {
			t.Errorf("to yield twice: %v", err)
		}
		if _, err := p.two.d.Reclaim(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing to reclaim") {
			t.Errorf("to reclaim what nobody yielded: %v", err)
		}
		if _, err := p.one.d.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		p.want("taken again", []string{web}, []string{mail})
		if _, err := p.one.d.Reclaim(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing to reclaim") {
			t.Errorf("to reclaim twice: %v", err)
		}

		// One link is cut: both serve what it is about, and only that.
		p.segments[0].Partition(p.stations[0][0], p.stations[1][0], true)
		time.Sleep(5 * time.Second)
		p.want("the link outside is cut", []string{web}, []string{web, mail})
		p.segments[0].Partition(p.stations[0][0], p.stations[1][0], false)
		time.Sleep(5 * time.Second)
		p.want("the link outside is whole", []string{web}, []string{mail})

		if err := p.one.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		p.want("the first has left", nil, []string{web, mail})
		if diff := cmp.Diff([2][]string{{"backup 7"}, {"master 7"}}, [2][]string{p.one.syncs(), p.two.syncs()}); diff != "" {
			t.Errorf("sync daemons when one has left (-want +got):\n%s", diff)
		}
	})
}

// A reload changes addresses and priorities, and the role stays.
func TestRoutersReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		since := p.one.status().Role.Routers[0].Since
		reload := func(file string) *control.Status {
			t.Helper()
			for _, r := range []*rig{p.one, p.two} {
				r.next = func() (*Setup, error) { return setupOf(t, file), nil }
				r.reload <- os.Signal(syscall.SIGHUP)
			}
			time.Sleep(5 * time.Second)
			return p.one.status()
		}
		st := reload(strings.Replace(strings.Replace(sides, "priority = 150\n", "priority = 160\n", 1), "advert_interval = 100ms", "advert_interval = 200ms", 1) +
			"virtual new {\nactive = 1\nvrrp = outside\naddress = 192.0.2.30 eth0\nport = 80\ncheck = none\nserver a {\nactive = 1\naddress = 10.0.0.1\n}\n}\n")
		r := st.Role.Routers[0]
		if r.Role != "active" || r.Since != since || r.Priority != 160 || r.IntervalMS != 200 || len(r.Addresses) != 2 || st.Config.ReloadError != "" {
			t.Errorf("after the reload: %+v, %+v", r, st.Config)
		}
		p.want("with a new service", []string{web, "tcp/192.0.2.30:80"}, []string{mail})
		for _, n := range st.Notes {
			if strings.Contains(n, "vrrp") {
				t.Errorf("note %q, although all has effect", n)
			}
		}
	})
}

// Routers of a sync group are active on one director.
func TestRoutersOfASyncGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := strings.ReplaceAll(sides, "advert_interval = 100ms", "advert_interval = 100ms\n\tsync_group = both")
		file = strings.Replace(file, "priority = 100\n\tbackup_priority = 150", "priority = 150\n\tbackup_priority = 100", 1)
		p := newVRRPPair(t, file, nil)
		time.Sleep(5 * time.Second)
		p.want("the better one has both", []string{web, mail}, nil)
		p.segments[1].Partition(p.stations[0][1], p.stations[1][1], true)
		p.stations[0][1].Fail(errors.New("eth1 has no carrier"))
		time.Sleep(5 * time.Second)
		p.want("one link of it is down", nil, []string{web, mail})
		if r := p.one.status().Role.Routers[0]; r.Role != "fault" || !strings.Contains(r.Reason, "eth1") || r.Group != "both" {
			t.Errorf("the router outside: %+v", r)
		}
	})
}

func TestPlanFollowsEachRouter(t *testing.T) {
	s := setupOf(t, sides)
	found := ipvs.Table{{Service: ipvs.Service{Key: s.Services[1].Service.Key, Scheduler: "rr"}, Destinations: []ipvs.Destination{dest("10.0.0.9:25", 3)}}}
	known := func(*VirtualService, *RealServer) facts { return facts{} }
	for _, tt := range []struct {
		name          string
		web, mail     stance
		want, decided []string
	}{
		{"both serve", stanceServe, stanceServe, []string{web, mail}, []string{"mail", "web"}},
		{"one serves", stanceServe, stanceWithdraw, []string{web}, []string{"web"}},
		{"one does not know yet: it stays as it was found", stanceServe, stanceHold, []string{web, mail}, []string{"web"}},
		{"none serves", stanceWithdraw, stanceWithdraw, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, groups := plan(s, stances{"outside": tt.web, "inside": tt.mail}, known, nil, in(found), time.Time{})
			var got, decided []string
			for _, e := range table {
				got = append(got, e.Service.Key.String())
				if tt.mail == stanceHold && e.Service.Key.String() == mail {
					if diff := cmp.Diff(found[0].Destinations, e.Destinations, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
						t.Errorf("what is held (-found +planned):\n%s", diff)
					}
				}
			}
			for name := range groups {
				decided = append(decided, name)
			}
			slices.Sort(decided)
			if diff := cmp.Diff([2][]string{tt.want, tt.decided}, [2][]string{got, decided}); diff != "" {
				t.Errorf("table and groups (-want +got):\n%s", diff)
			}
		})
	}
	if !(stances{"a": stanceHold, "b": stanceHold}).holding() || (stances{"a": stanceHold, "b": stanceWithdraw}).holding() {
		t.Error("the table is left alone as long as nobody has decided, and no longer")
	}
}
