package dsr

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// table is a plane in memory. Whatever is asked through it counts as carried
// unless astray is set.
type table struct {
	mu       sync.Mutex
	services map[ipvs.ServiceKey][]ipvs.Destination
	refuse   error
	astray   bool
	applied  int
}

func newTable(keys ...ipvs.ServiceKey) *table {
	t := &table{services: make(map[ipvs.ServiceKey][]ipvs.Destination)}
	for _, k := range keys {
		t.services[k] = nil
	}
	return t
}

func (p *table) Snapshot(context.Context) (snap ipvs.Snapshot, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.services {
		snap = append(snap, ipvs.EntryState{Service: ipvs.ServiceState{Service: ipvs.Service{Key: k}}})
	}
	return snap, p.refuse
}

func (p *table) Apply(_ context.Context, changes []ipvs.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	for _, c := range changes {
		_, there := p.services[c.Service.Key]
		switch {
		case c.Op == ipvs.OpAddService && there:
			return ipvs.ErrServiceExists
		case c.Op == ipvs.OpAddService:
			p.services[c.Service.Key] = nil
		case !there:
			return ipvs.ErrServiceNotFound
		case c.Op == ipvs.OpAddDestination:
			p.services[c.Service.Key] = append(p.services[c.Service.Key], c.Destination)
		case c.Op == ipvs.OpDelService:
			delete(p.services, c.Service.Key)
		}
		p.applied++
	}
	return nil
}

func (p *table) Destinations(_ context.Context, of ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error] {
	return func(yield func(ipvs.DestinationState, error) bool) {
		p.mu.Lock()
		list, there := p.services[of]
		s := ipvs.DestinationState{Inactive: 1}
		if p.astray {
			s.Inactive = 0
		}
		p.mu.Unlock()
		if !there {
			yield(ipvs.DestinationState{}, ipvs.ErrServiceNotFound)
			return
		}
		for _, d := range list {
			if s.Destination = d; !yield(s, nil) {
				return
			}
		}
	}
}

func (p *table) keys() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.services {
		list = append(list, k.String())
	}
	slices.Sort(list)
	return list
}

// said is a check that gives one answer after a while, and tells its dial.
type said struct {
	dial health.Dial
	r    health.Result
	wait time.Duration
	seen func(health.Dial, health.Target)
}

func (s *said) Identity() string { return "said" }

func (s *said) Check(_ context.Context, t health.Target) health.Result {
	time.Sleep(s.wait)
	if s.seen != nil {
		s.seen(s.dial, t)
	}
	return s.r
}

func (s *said) make(d health.Dial) (health.Checker, error) {
	c := *s
	c.dial = d
	return &c, nil
}

var yes = &said{r: health.Result{Verdict: health.OK, Reason: "yes"}}

// straight is a way without traps.
func straight(string, *Path) (way, error) {
	return way{source: netip.MustParseAddr("10.1.0.11"), device: "pub", virtualDevice: "pub"}, nil
}

// running starts a manager on a plane; the returned function ends it.
func running(t *testing.T, plane Plane, cfg Config) (*Manager, func()) {
	t.Helper()
	m, err := New(plane, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.look = straight
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return m, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func pathTo(server string) Path {
	return Path{
		Virtual:     netip.MustParseAddrPort("10.1.0.100:80"),
		Destination: ipvs.Destination{Key: netip.AddrPortFrom(netip.MustParseAddr(server), 80), Forward: ipvs.DirectRoute},
	}
}

func checker(t *testing.T, m *Manager, p Path, s *said) *Checker {
	t.Helper()
	c, err := m.Checker(p, s.make)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestManagerKeepsPrivateServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stranger := ipvs.TCPService(netip.MustParseAddrPort("10.1.0.100:80"))
		plane := newTable(stranger, ipvs.MarkService(99), ipvs.MarkService(100), ipvs.MarkService6(103), ipvs.MarkService(104))
		m, end := running(t, plane, Config{FirstMark: 100, Marks: 4, Idle: time.Minute})
		synctest.Wait()
		others := []string{"fwmark/104", "fwmark/99", "tcp/10.1.0.100:80"}
		if diff := cmp.Diff(others, plane.keys()); diff != "" {
			t.Errorf("after the start (-want +got):\n%s", diff)
		}
		var asked health.Dial
		var target health.Target
		c := checker(t, m, pathTo("10.1.0.21"), &said{r: yes.r, seen: func(d health.Dial, at health.Target) { asked, target = d, at }})
		r := c.Check(t.Context(), health.Target{Addr: netip.MustParseAddrPort("10.1.0.21:80"), Name: "one"})
		if r.Verdict != health.OK || r.Reason != "yes; at 10.1.0.100:80 by direct routing to 10.1.0.21" {
			t.Errorf("%v, %q", r.Verdict, r.Reason)
		}
		if asked.Mark != 100 || asked.Source != netip.MustParseAddr("10.1.0.11") || target.String() != "one (10.1.0.100:80)" {
			t.Errorf("asked %v with %+v", target, asked)
		}
		// The same server at another port or virtual address needs no second
		// one; another way to it does, and so does the other family.
		same := pathTo("10.1.0.21")
		same.Virtual = netip.MustParseAddrPort("10.1.0.101:443")
		tunnel, six := pathTo("10.1.0.21"), pathTo("fd01::21")
		tunnel.Destination.Forward, six.Virtual = ipvs.Tunnel, netip.MustParseAddrPort("[fd01::100]:80")
		for _, p := range []Path{same, tunnel, six, pathTo("10.1.0.22")} {
			checker(t, m, p, yes).Check(t.Context(), health.Target{})
		}
		ours := []string{"fwmark/100", "fwmark/101", "fwmark/103", "fwmark6/102"}
		if diff := cmp.Diff(slices.Sorted(slices.Values(append(ours, others...))), plane.keys()); diff != "" {
			t.Errorf("with checks (-want +got):\n%s", diff)
		}
		// One check too many is no result and harms nobody.
		r = checker(t, m, pathTo("10.1.0.23"), yes).Check(t.Context(), health.Target{})
		if r.Verdict != health.NoResult || !strings.Contains(r.Reason, "no firewall mark is left") {
			t.Errorf("%v, %q", r.Verdict, r.Reason)
		}
		before := plane.applied
		for range 10 {
			c.Check(t.Context(), health.Target{})
			time.Sleep(10 * time.Second)
		}
		// What was asked stayed without a touch, the rest went.
		if diff := cmp.Diff(append([]string{"fwmark/100"}, others...), plane.keys()); diff != "" || plane.applied != before+3 {
			t.Errorf("after a while, %d changes (-want +got):\n%s", plane.applied-before, diff)
		}
		end()
		if diff := cmp.Diff(others, plane.keys()); diff != "" {
			t.Errorf("after the end (-want +got):\n%s", diff)
		}
		if r := c.Check(t.Context(), health.Target{}); r.Verdict != health.NoResult || !strings.Contains(r.Reason, "does not run") {
			t.Errorf("after the end: %v, %q", r.Verdict, r.Reason)
		}
	})
}

// A mark is never given to another server while a check with it is under way,
// nor for a while after.
func TestManagerRestsMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newTable()
		m, end := running(t, plane, Config{Marks: 1, Idle: time.Minute, Rest: 10 * time.Minute})
		defer end()
		slow := checker(t, m, pathTo("10.1.0.21"), &said{r: yes.r, wait: time.Hour})
		other := checker(t, m, pathTo("10.1.0.22"), yes)
		start := time.Now()
		go slow.Check(t.Context(), health.Target{})
		var got time.Duration
		for time.Sleep(30 * time.Second); ; time.Sleep(30 * time.Second) {
			if len(plane.keys()) > 1 {
				t.Fatalf("two services for one mark: %v", plane.keys())
			}
			if other.Check(t.Context(), health.Target{}).Verdict == health.OK {
				got = time.Since(start)
				break
			}
		}
		if least := time.Hour + time.Minute + 10*time.Minute; got < least || got > least+2*time.Minute {
			t.Errorf("the mark came free after %v, want %v or little more", got, least)
		}
	})
}

func TestCheckerJudges(t *testing.T) {
	fail := health.Result{Verdict: health.Fail, Reason: "connect: no answer within 1s", Phases: []health.Phase{{Name: "connect"}}}
	late := health.Result{Verdict: health.Fail, Reason: "read: status 500", Phases: []health.Phase{{Name: "connect"}, {Name: "read"}}}
	none := health.Result{Reason: "connect: no file descriptor"}
	owner := way{source: netip.MustParseAddr("10.1.0.11"), device: "pub", virtualDevice: "pub", local: true}
	for name, tt := range map[string]struct {
		r     health.Result
		w     way
		plane func(*table)
		want  health.Verdict
		words string
	}{
		"fails":                           {r: fail, want: health.Fail, words: "no answer within 1s; at 10.1.0.100:80 by direct routing to 10.1.0.21: look on the server for the address 10.1.0.100 on its loopback"},
		"has no result":                   {r: none, want: health.NoResult, words: "no file descriptor; at 10.1.0.100:80"},
		"cannot hear the answer":          {r: fail, w: owner, want: health.NoResult, words: "set net.ipv4.conf.pub.accept_local=1"},
		"hears the answer all the same":   {r: yes.r, w: owner, want: health.OK},
		"hears a bad answer all the same": {r: late, w: owner, want: health.Fail, words: "status 500"},
		"went astray":                     {r: yes.r, plane: func(p *table) { p.astray = true }, want: health.NoResult, words: "did not go through"},
		"failed astray":                   {r: fail, plane: func(p *table) { p.astray = true }, want: health.NoResult, words: "did not go through"},
		"found the table changed":         {r: yes.r, plane: func(p *table) { p.services = make(map[ipvs.ServiceKey][]ipvs.Destination) }, want: health.NoResult, words: "taken out"},
		"found another server in its place": {r: yes.r, plane: func(p *table) {
			p.services[ipvs.MarkService(DefaultFirstMark)][0].Key = netip.MustParseAddrPort("10.1.0.99:0")
		}, want: health.NoResult, words: "taken out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plane := newTable()
				m, end := running(t, plane, Config{})
				defer end()
				if tt.w != (way{}) {
					m.look = func(string, *Path) (way, error) { return tt.w, nil }
				}
				c := checker(t, m, pathTo("10.1.0.21"), &said{r: tt.r, seen: func(health.Dial, health.Target) {
					if tt.plane != nil {
						plane.mu.Lock()
						tt.plane(plane)
						plane.mu.Unlock()
					}
				}})
				r := c.Check(t.Context(), health.Target{})
				if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.words) {
					t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, tt.want, tt.words)
				}
			})
		})
	}
}

// An answer that came proves that answers come, until the way changes.
func TestCheckerBelievesAnswersMoreThanSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, end := running(t, newTable(), Config{})
		defer end()
		w := way{source: netip.MustParseAddr("10.1.0.11"), device: "pub", virtualDevice: "vlan", reversePath: 1}
		m.look = func(string, *Path) (way, error) { return w, nil }
		s := &said{r: yes.r}
		c, err := m.Checker(pathTo("10.1.0.21"), func(d health.Dial) (health.Checker, error) { return s, nil })
		if err != nil {
			t.Fatal(err)
		}
		verdict := func() health.Verdict { return c.Check(t.Context(), health.Target{}).Verdict }
		got := []health.Verdict{verdict()}
		s.r = health.Result{Verdict: health.Fail, Reason: "connect: no answer"}
		got = append(got, verdict())
		w.virtualDevice = "other"
		got = append(got, verdict())
		if diff := cmp.Diff([]health.Verdict{health.OK, health.Fail, health.NoResult}, got); diff != "" {
			t.Errorf("answered, silent, silent after a change (-want +got):\n%s", diff)
		}
	})
}

// A check whose time is over before it could ask has not asked.
func TestCheckerWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, end := running(t, newTable(), Config{})
		defer end()
		m.look = func(string, *Path) (way, error) { time.Sleep(2 * time.Second); return way{}, nil }
		asked := false
		c := checker(t, m, pathTo("10.1.0.21"), &said{r: yes.r, seen: func(health.Dial, health.Target) { asked = true }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := c.Check(ctx, health.Target{}); r.Verdict != health.NoResult || asked || !strings.Contains(r.Reason, "longer timeout") {
			t.Errorf("%v, %q, asked %v", r.Verdict, r.Reason, asked)
		}
	})
}

func TestManagerSaysWhyItIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newTable(ipvs.MarkService(DefaultFirstMark))
		plane.refuse = ipvs.ErrNotPermitted
		m, end := running(t, plane, Config{})
		defer end()
		synctest.Wait()
		c := checker(t, m, pathTo("10.1.0.21"), yes)
		if r := c.Check(t.Context(), health.Target{}); r.Verdict != health.NoResult || !strings.Contains(r.Reason, "not permitted") {
			t.Errorf("%v, %q", r.Verdict, r.Reason)
		}
		plane.mu.Lock()
		plane.refuse = nil
		plane.mu.Unlock()
		time.Sleep(2 * cleanRetry)
		if r := c.Check(t.Context(), health.Target{}); r.Verdict != health.OK {
			t.Errorf("%v, %q", r.Verdict, r.Reason)
		}
	})
}

func TestChecksMayComeBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(newTable(), nil)
		if err != nil {
			t.Fatal(err)
		}
		m.look = straight
		c := checker(t, m, pathTo("10.1.0.21"), yes)
		if r := c.Check(t.Context(), health.Target{}); r.Verdict != health.NoResult || r.Duration > startWithin {
			t.Errorf("without Run: %v, %q after %v", r.Verdict, r.Reason, r.Duration)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(startWithin/2, func() { _ = m.Run(ctx) })
		if r := c.Check(t.Context(), health.Target{}); r.Verdict != health.OK {
			t.Errorf("just before Run: %v, %q", r.Verdict, r.Reason)
		}
		cancel()
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := New(newTable(), &Config{FirstMark: 0xffffff00, Marks: 300, Idle: -1, Rest: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %v, want three complaints", err)
	}
	if _, err := New(newTable(), &Config{Marks: 70000}); err == nil {
		t.Error("70000 marks were taken")
	}
	m, err := New(newTable(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Path){
		"no port":                  func(p *Path) { p.Virtual = netip.AddrPortFrom(p.Virtual.Addr(), 0) },
		"no server":                func(p *Path) { p.Destination.Key = netip.AddrPort{} },
		"NAT":                      func(p *Path) { p.Destination.Forward = ipvs.Masquerade },
		"bypass":                   func(p *Path) { p.Destination.Forward = ipvs.Bypass },
		"two families":             func(p *Path) { p.Destination.Key = netip.MustParseAddrPort("[fd01::21]:80") },
		"the virtual address":      func(p *Path) { p.Destination.Key = p.Virtual },
		"from the virtual address": func(p *Path) { p.Source = p.Virtual.Addr() },
		"from the other family":    func(p *Path) { p.Source = netip.MustParseAddr("fd01::11") },
	} {
		p := pathTo("10.1.0.21")
		change(&p)
		if _, err := m.Checker(p, yes.make); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := m.Checker(pathTo("10.1.0.21"), func(d health.Dial) (health.Checker, error) { return health.NewICMP(&health.ICMPConfig{Dial: d}) }); err == nil {
		t.Error("an echo was taken")
	}
	bad := errors.New("bad")
	if _, err := m.Checker(pathTo("10.1.0.21"), func(health.Dial) (health.Checker, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Errorf("error %v, want %v", err, bad)
	}
}

func TestIdentityIsWithoutTheMark(t *testing.T) {
	m, err := New(newTable(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.Checker(pathTo("10.1.0.21"), func(d health.Dial) (health.Checker, error) { return health.NewTCP(&health.TCPConfig{Dial: d}) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Identity(), "tcp at 10.1.0.100:80 by direct routing to 10.1.0.21"; got != want {
		t.Errorf("identity %q, want %q", got, want)
	}
}
