package director

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/control"
)

// more is a block on a link of its own, with a service.
const more = `vrrp more {
	interface = eth3
	vrid = 9
	priority = 150
	backup_priority = 100
	advert_interval = 100ms
}
virtual dns {
	active = 1
	vrrp = more
	address = 192.0.2.30 eth3
	port = 53
	check = none
	server a {
		active = 1
		address = 10.0.0.3
	}
}
`

const dns = "tcp/192.0.2.30:53"

// reload gives both directors another file, and some time.
func (p *vrrpPair) reload(file string) {
	p.t.Helper()
	for _, r := range []*rig{p.one, p.two} {
		r.next = func() (*Setup, error) { return setupOf(p.t, file), nil }
		r.reload <- syscall.SIGHUP
	}
	synctest.Wait()
	for _, r := range []*rig{p.one, p.two} {
		if text := r.status().Config.ReloadError; text != "" {
			p.t.Errorf("the reload was refused: %s", text)
		}
	}
}

// routersOf are the routers of a director by name, and their roles.
func (r *rig) routers() map[string]string {
	r.t.Helper()
	out := make(map[string]string)
	for _, s := range r.status().Role.Routers {
		out[s.Name] += s.Role
	}
	return out
}

func (p *vrrpPair) roles(what string, one, two map[string]string) {
	p.t.Helper()
	if diff := cmp.Diff([2]map[string]string{one, two}, [2]map[string]string{p.one.routers(), p.two.routers()}); diff != "" {
		p.t.Errorf("%s: roles of both (-want +got):\n%s\n%s\n%s", what, diff, &p.log[0], &p.log[1])
	}
}

// A reload begins the routers that are new, which listen first, and ends those
// that are gone; the others do not notice.
func TestRoutersBeginAndEndAtAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		before := p.one.status().Role.Routers
		p.reload(sides + more)
		p.roles("right after", map[string]string{"outside": "active", "inside": "backup", "more": "init"}, map[string]string{"outside": "backup", "inside": "active", "more": "init"})
		time.Sleep(5 * time.Second)
		p.want("with one more", []string{web, dns}, []string{mail})
		p.roles("with one more", map[string]string{"outside": "active", "inside": "backup", "more": "active"}, map[string]string{"outside": "backup", "inside": "active", "more": "backup"})
		for i, r := range p.one.status().Role.Routers[:2] {
			if r.Since != before[i].Since || r.Rival {
				t.Errorf("%s was touched: %+v", r.Name, r)
			}
		}

		p.reload(sides)
		if got := p.one.routers()["more"]; got != "leaving" {
			t.Errorf("right after it was taken away it is %q", got)
		}
		p.want("its service stays until its addresses have gone", []string{web, dns}, []string{mail})
		time.Sleep(5 * time.Second)
		p.want("without it", []string{web}, []string{mail})
		p.roles("without it", map[string]string{"outside": "active", "inside": "backup"}, map[string]string{"outside": "backup", "inside": "active"})
		for i, r := range p.one.status().Role.Routers {
			if r.Since != before[i].Since {
				t.Errorf("%s was touched: %+v", r.Name, r)
			}
		}
		if diff := cmp.Diff([]string{"backup 7", "master 7"}, p.one.syncs()); diff != "" {
			t.Errorf("sync daemons (-want +got):\n%s", diff)
		}
		// What has left is forgotten: the director serves by inside alone.
		if _, err := p.one.d.Yield(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff([]string{"backup 7"}, p.one.syncs()); diff != "" {
			t.Errorf("sync daemons of one that serves nothing (-want +got):\n%s", diff)
		}
	})
}

// What makes another router of a block lets it begin anew. The one that serves
// waits until the other one can take its place, so somebody serves all the time.
func TestRoutersBeginAnewAtAReload(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		mark           string // in the log
		moved          bool   // to where nobody serves yet
	}{
		{"version", "vrid = 51\n", "vrid = 51\nversion = 2\n", "version 2 instead of 3", false},
		{"sync group", "vrid = 51\n", "vrid = 51\nsync_group = new\n", "its sync group changed", false},
		{"device", "interface = eth0\n", "interface = eth5\n", "it is gone from the configuration", true},
		{"vrid", "vrid = 51\n", "vrid = 61\n", "it is gone from the configuration", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Version 2 knows whole seconds.
				slow := strings.Replace(sides, "advert_interval = 100ms", "advert_interval = 1", 1)
				p := newVRRPPair(t, slow, nil)
				time.Sleep(10 * time.Second)
				p.reload(strings.Replace(slow, tt.old, tt.new, 1))
				for range 1600 {
					time.Sleep(25 * time.Millisecond)
					// Who is leaving serves until the other one does.
					now := p.one.routers()["outside"] + p.two.routers()["outside"]
					if !tt.moved && !strings.Contains(now, "active") && !strings.Contains(now, "leaving") {
						t.Fatalf("nobody serves web: %s\n%s\n%s", now, &p.log[0], &p.log[1])
					}
				}
				p.want("in the end", []string{web}, []string{mail})
				p.roles("in the end", map[string]string{"outside": "active", "inside": "backup"}, map[string]string{"outside": "backup", "inside": "active"})
				for i := range p.log {
					if text := p.log[i].String(); !strings.Contains(text, tt.mark) || strings.Contains(text, "socket") {
						t.Errorf("the log of %d does not say %q, or that one came before the other one had left:\n%s", i, tt.mark, &p.log[i])
					}
				}
			})
		})
	}
}

// A sync group whose routers are others is made anew, and moves as one.
func TestSyncGroupAtAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same := strings.Replace(sides, "priority = 100\n\tbackup_priority = 150", "priority = 150\n\tbackup_priority = 100", 1)
		p := newVRRPPair(t, same+more, nil)
		time.Sleep(5 * time.Second)
		since := p.one.status().Role.Routers[2].Since
		p.reload(strings.ReplaceAll(same, "advert_interval = 100ms", "advert_interval = 100ms\n\tsync_group = both") + more)
		time.Sleep(10 * time.Second)
		p.want("in a group", []string{web, mail, dns}, nil)
		p.stations[0][1].Fail(errors.New("eth1 has no carrier"))
		time.Sleep(5 * time.Second)
		p.want("one link of it is down", []string{dns}, []string{web, mail})
		p.stations[0][1].Fail(nil)
		time.Sleep(5 * time.Second)
		p.reload(same + more)
		time.Sleep(10 * time.Second)
		p.stations[0][1].Fail(errors.New("eth1 has no carrier"))
		time.Sleep(5 * time.Second)
		p.want("without a group", []string{web, dns}, []string{mail})
		if now := p.one.status().Role.Routers[2].Since; now != since {
			t.Errorf("who is in no group began anew at %v", now)
		}
	})
}

// Who handed over by order and begins anew does not take over again before it is
// told to.
func TestYieldOutlivesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		if _, err := p.one.d.Yield(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, file := range []string{strings.Replace(sides, "vrid = 51\n", "vrid = 51\nsync_group = new\n", 1), sides} {
			p.one.next = func() (*Setup, error) { return setupOf(t, file), nil }
			p.one.reload <- syscall.SIGHUP
			time.Sleep(20 * time.Second)
			p.want("after the reload", nil, []string{web, mail})
		}
		if _, err := p.one.d.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		p.want("taken again", []string{web}, []string{mail})
		p.reload(strings.Replace(sides, "vrid = 51\n", "vrid = 51\nsync_group = new\n", 1))
		time.Sleep(20 * time.Second)
		p.want("as nobody has yielded", []string{web}, []string{mail})
	})
}

// A block may be called otherwise, and what it is told of follows.
func TestRoutersAreRenamedAtAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		since := p.one.status().Role.Routers[0].Since
		// The two have each other's name.
		file := strings.NewReplacer("vrrp outside", "vrrp inside", "vrrp = outside", "vrrp = inside", "vrrp inside", "vrrp outside", "vrrp = inside", "vrrp = outside").Replace(sides)
		p.reload(file)
		p.want("renamed", []string{web}, []string{mail})
		p.roles("renamed", map[string]string{"inside": "active", "outside": "backup"}, map[string]string{"inside": "backup", "outside": "active"})
		if now := p.one.status().Role.Routers[0].Since; now != since {
			t.Errorf("it began anew at %v", now)
		}
		if _, err := p.one.d.Yield(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		p.want("moved", nil, []string{web, mail})
		if diff := cmp.Diff([]string{"backup 7"}, p.one.syncs()); diff != "" {
			t.Errorf("sync daemons (-want +got):\n%s", diff)
		}
	})
}

// A reload may change how the routers elect.
func TestFailoverModeAtAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pulse := strings.Replace(strings.Replace(sides, "failover_mode = vrrp\n", "failover_mode = pulse\n", 1), "backup_active = 1\n", "backup_active = 0\nprimary_private = 10.1.2.3\n", 1)
		pulse = strings.Replace(strings.Replace(pulse, "vrrp = outside\n", "", 1), "vrrp = inside\n", "", 1)
		pulse = pulse[:strings.Index(pulse, "vrrp outside {")] + pulse[strings.Index(pulse, "virtual web"):]
		p := newVRRPPair(t, sides, func(_ int, c *Config) {
			c.Pair = func(s *Setup) (failover.Config, string, error) { return s.Pair(PairOptions{}) }
		})
		time.Sleep(5 * time.Second)
		to := func(file string) *control.Status {
			t.Helper()
			p.one.next = func() (*Setup, error) { return setupOf(t, file), nil }
			p.one.reload <- syscall.SIGHUP
			time.Sleep(10 * time.Second)
			return p.one.status()
		}
		if st := to(pulse); st.Role.Mode != "pulse" || st.Role.Role != "active" || st.Role.Identity != "alone" || st.Config.ReloadError != "" {
			t.Errorf("by heartbeats: %+v, %+v", st.Role, st.Config)
		}
		p.want("alone", []string{web, mail}, []string{web, mail})
		if !strings.Contains(p.log[0].String(), "both routers may serve until the other one has reloaded") {
			t.Errorf("the log does not warn:\n%s", &p.log[0])
		}
		if st := to(sides); st.Role.Mode != "vrrp" || st.Role.Identity != "primary" {
			t.Errorf("by VRRP: %+v", st.Role)
		}
		p.want("by VRRP again", []string{web}, []string{mail})
	})
}

// A reload that cannot be carried out changes nothing, and a router that cannot
// run takes none of the others along.
func TestRoutersThatCannotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, func(_ int, c *Config) {
			own := c.NewAddresses
			c.NewAddresses = func(a *failover.AddressesConfig) (AddressSet, error) {
				for _, v := range a.Addresses {
					if v.Device == "lo" {
						return nil, errors.New("not on lo")
					}
				}
				return own(a)
			}
		})
		time.Sleep(5 * time.Second)
		file := sides
		p.one.next = func() (*Setup, error) { return setupOf(t, file), nil }
		file = strings.Replace(sides, "priority = 150\n", "priority = 200\n", 1) + strings.ReplaceAll(more, "eth3", "lo")
		p.one.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		if st := p.one.status(); !strings.Contains(st.Config.ReloadError, "not on lo") || len(st.Role.Routers) != 2 || st.Role.Routers[0].Priority != 150 || len(st.Services) != 2 {
			t.Errorf("the reload that is refused: %+v, %+v", st.Config, st.Role)
		}

		p.stations[0][2].FailListen(fs.ErrPermission)
		file = sides + more
		p.one.reload <- syscall.SIGHUP
		time.Sleep(5 * time.Second)
		st := p.one.status()
		if r := st.Role.Routers[2]; st.Config.ReloadError != "" || !strings.Contains(r.Error, "permission") || !strings.Contains(r.Reason, "does not run") {
			t.Errorf("the router that cannot run: %+v", r)
		}
		p.want("without the one", []string{web}, []string{mail})
		p.stations[0][2].FailListen(nil)
		p.one.reload <- syscall.SIGHUP
		time.Sleep(5 * time.Second)
		p.want("mended", []string{web, dns}, []string{mail})
		if r := p.one.status().Role.Routers[2]; r.Role != "active" || r.Error != "" {
			t.Errorf("the router that was mended: %+v", r)
		}
	})
}

// Two reloads in a row, the second before the first is through: what is then in
// the file counts.
func TestReloadsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, nil)
		time.Sleep(5 * time.Second)
		p.reload(strings.Replace(sides, "vrid = 51\n", "vrid = 51\nsync_group = new\n", 1) + more)
		if got := p.one.routers()["outside"]; got != "initactive" {
			t.Errorf("while one takes the place of the other: %q", got)
		}
		p.reload(sides)
		p.reload(sides + more)
		p.reload(sides)
		time.Sleep(20 * time.Second)
		p.want("in the end", []string{web}, []string{mail})
		p.roles("in the end", map[string]string{"outside": "active", "inside": "backup"}, map[string]string{"outside": "backup", "inside": "active"})
		// And the end in the middle of it.
		p.reload(strings.Replace(sides, "vrid = 51\n", "vrid = 51\nsync_group = new\n", 1) + more)
		time.Sleep(100 * time.Millisecond)
		if err := p.one.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		p.want("the first has left", nil, []string{web, mail, dns})
	})
}

// heldAddresses are those of one machine: who lets one go takes it away, whoever
// added it.
type heldAddresses struct {
	mu   sync.Mutex
	here map[string]bool
}

type holder struct {
	*heldAddresses
	list   []failover.VirtualAddress
	routes []failover.VirtualRoute
	held   bool
}

func (h *heldAddresses) own(c *failover.AddressesConfig) (AddressSet, error) {
	return &holder{heldAddresses: h, list: c.Addresses, routes: c.Routes}, nil
}

func (h *holder) Acquire(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = true
	for _, a := range h.list {
		h.here[a.Prefix.Addr().String()] = true
	}
	for _, r := range h.routes {
		h.here[r.String()] = true
	}
	return nil
}

func (h *holder) Release(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.list {
		delete(h.here, a.Prefix.Addr().String())
	}
	for _, r := range h.routes {
		delete(h.here, r.String())
	}
	h.held = false
	return nil
}

func (h *holder) Announce(context.Context) error          { return nil }
func (h *holder) SetAnnouncing(failover.Announcing) error { return nil }
func (h *holder) Set(ctx context.Context, list []failover.VirtualAddress) error {
	h.mu.Lock()
	for _, a := range h.list {
		if h.held && !carries(list, a) {
			delete(h.here, a.Prefix.Addr().String())
		}
	}
	h.list = list
	held := h.held
	h.mu.Unlock()
	if held {
		return h.Acquire(ctx)
	}
	return nil
}

func (h *holder) SetRoutes(ctx context.Context, routes []failover.VirtualRoute) error {
	h.mu.Lock()
	for _, r := range h.routes {
		if h.held && !slices.Contains(routes, r) {
			delete(h.here, r.String())
		}
	}
	h.routes = routes
	held := h.held
	h.mu.Unlock()
	if held {
		return h.Acquire(ctx)
	}
	return nil
}

// An address or a route that goes from one block to another is there in the end, whichever
// of them stands first, and also when the block that had it is gone.
func TestAddressesGoFromBlockToBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := strings.Replace(sides, "priority = 100\n\tbackup_priority = 150", "priority = 150\n\tbackup_priority = 100", 1)
		here := [2]*heldAddresses{{here: make(map[string]bool)}, {here: make(map[string]bool)}}
		p := newVRRPPair(t, file+more, func(node int, c *Config) { c.NewAddresses = here[node].own })
		time.Sleep(5 * time.Second)
		want := func(what string, addresses ...string) {
			t.Helper()
			here[0].mu.Lock()
			defer here[0].mu.Unlock()
			for _, a := range addresses {
				if !here[0].here[a] {
					t.Errorf("%s: %s is not there: %v", what, a, here[0].here)
				}
			}
		}
		want("at first", "192.0.2.10", "192.0.2.20", "192.0.2.30")
		extra := "virtual extra {\nactive = 1\nvrrp = WHERE\naddress = 192.0.2.40 eth1\nport = 80\ncheck = none\nserver a {\nactive = 1\naddress = 10.0.0.1\n}\n}\n"
		const route = "198.51.100.0/24 via 192.0.2.254"
		with := func(at string) string {
			opens := "vrrp " + at + " {\n"
			return strings.Replace(file+more, opens, opens+"route = \""+route+"\"\n", 1) + strings.Replace(extra, "WHERE", at, 1)
		}
		for _, at := range []string{"outside", "inside", "outside", "more", "inside"} {
			p.reload(with(at))
			time.Sleep(time.Second)
			want("with "+at, "192.0.2.10", "192.0.2.20", "192.0.2.30", "192.0.2.40", route)
		}
		p.reload(with("more"))
		time.Sleep(time.Second)
		p.reload(strings.Replace(with("inside"), more, "", 1))
		time.Sleep(5 * time.Second)
		want("its block is gone", "192.0.2.10", "192.0.2.20", "192.0.2.40", route)
		if here[0].here["192.0.2.30"] {
			t.Error("the other address of the block that is gone is there still")
		}
	})
}
