package director

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records in one order what reaches the kernel and the addresses.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.lines
	j.lines = nil
	return out
}

// recordedAddresses is an owner of addresses that only writes down.
type recordedAddresses struct {
	j    *journal
	mu   sync.Mutex
	held bool
}

func (r *recordedAddresses) Acquire(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		r.j.add("addresses up")
	}
	r.held = true
	return nil
}

func (r *recordedAddresses) Release(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		r.j.add("addresses down")
	}
	r.held = false
	return nil
}
func (r *recordedAddresses) SetAnnouncing(failover.Announcing) error                  { return nil }
func (r *recordedAddresses) SetRoutes(context.Context, []failover.VirtualRoute) error { return nil }
func (r *recordedAddresses) Announce(context.Context) error                           { return nil }
func (r *recordedAddresses) Set(context.Context, []failover.VirtualAddress) error     { return nil }

// rig is a director on a kernel in memory.
type rig struct {
	t       *testing.T
	kernel  *ipvstest.Kernel
	checker *healthtest.Fake
	journal *journal
	reload  chan os.Signal
	next    func() (*Setup, error)
	d       *Director
	stop    func() error
}

func checked(s *Setup, c health.Checker) *Setup {
	for i := range s.Services {
		for j := range s.Services[i].Servers {
			r := &s.Services[i].Servers[j]
			r.Checker = c
			r.Target = health.Target{Addr: r.Destination.Key, Name: r.Name}
			r.Policy = health.Policy{Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1}
		}
	}
	return s
}

func newRig(t *testing.T, kernel *ipvstest.Kernel, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, kernel: kernel, checker: healthtest.NewFake("fake"), journal: &journal{}, reload: make(chan os.Signal, 1)}
	kernel.SetHook(func(c ipvstest.Command) error {
		if c.Op.IsWrite() {
			r.journal.add(c.Op.String())
		}
		return nil
	})
	cfg := Config{
		Setup: checked(webSetup(nil), r.checker), Load: func(context.Context) (*Setup, error) { return r.next() },
		Reload: r.reload, Dataplane: kernel, DataplaneKind: "fake", DataplaneReason: "a test",
		Failover: failover.Config{Primary: true}, Identity: IdentityAlone,
		NewAddresses: func(*failover.AddressesConfig) (AddressSet, error) { return &recordedAddresses{j: r.journal}, nil },
	}
	if change != nil {
		change(&cfg)
	}
	d, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.d = d
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	return r
}

func (r *rig) status() *control.Status {
	r.t.Helper()
	st, err := r.d.Status(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

func (r *rig) servers() (n int) {
	r.t.Helper()
	snap, err := r.kernel.Snapshot(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range snap {
		n += len(e.Destinations)
	}
	return n
}

func TestDirectorServesAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), nil)
		defer r.stop()
		time.Sleep(3 * time.Second)
		if n := r.servers(); n != 2 {
			t.Fatalf("%d servers in the table, want 2", n)
		}
		st := r.status()
		if st.Role.Role != "active" || st.Role.Reason == "" || !st.Role.AddressesHeld {
			t.Errorf("role %+v, want active with a reason and the addresses held", st.Role)
		}
		lines := r.journal.take()
		if slices.Index(lines, "add service") > slices.Index(lines, "addresses up") {
			t.Errorf("the addresses were up before the table was filled: %v", lines)
		}

		r.checker.SetFor(addr("10.0.0.2:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(2 * time.Second)
		b := r.status().Services[0].Servers[1]
		if b.State != "down" || b.InTable || b.Since == nil || b.Reason == "" || len(b.Results) == 0 {
			t.Errorf("a dead server's status: %+v", b)
		}

		r.journal.take()
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		lines = r.journal.take()
		if down := slices.Index(lines, "addresses down"); down < 0 || down > slices.Index(lines, "delete service") {
			t.Errorf("order of leaving: %v; want the addresses down before the table is taken back", lines)
		}
		if n := r.servers(); n != 0 {
			t.Errorf("%d servers in the table after a clean end", n)
		}
	})
}

func TestDirectorReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), nil)
		defer r.stop()
		time.Sleep(3 * time.Second)
		r.journal.take()

		r.next = func() (*Setup, error) { return nil, errors.New("lvs.cf:3:1: unknown command") }
		r.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		if st := r.status(); !strings.Contains(st.Config.ReloadError, "lvs.cf:3:1") {
			t.Errorf("the refused reload is not told: %+v", st.Config)
		}
		if lines := r.journal.take(); len(lines) != 0 {
			t.Errorf("a refused reload did %v", lines)
		}

		r.next = func() (*Setup, error) {
			s := checked(webSetup(nil), r.checker)
			s.Services[0].Servers[0].Destination.Weight = 7
			return s, nil
		}
		r.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		if lines := r.journal.take(); !slices.Equal(lines, []string{"set destination"}) {
			t.Errorf("a new weight did %v, want one change", lines)
		}
		if st := r.status(); st.Config.ReloadError != "" || st.Services[0].Servers[0].State != "up" {
			t.Errorf("after the reload: %+v, server %+v", st.Config, st.Services[0].Servers[0])
		}
	})
}

// A heartbeat that changes lets the node begin anew with it.
func TestDirectorTakesAnotherHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := newRig(t, ipvstest.New(), func(c *Config) {
			c.Pair = func(s *Setup) (failover.Config, string, error) {
				asked++
				return failover.Config{Primary: true}, IdentityPrimary, nil
			}
		})
		defer r.stop()
		time.Sleep(3 * time.Second)
		r.next = func() (*Setup, error) {
			s := checked(webSetup(nil), r.checker)
			s.Heartbeat.DeadAfter = time.Hour
			return s, nil
		}
		for range 2 {
			r.reload <- syscall.SIGHUP
			time.Sleep(5 * time.Second)
			if st := r.status(); st.Role.Role != "active" || st.Role.Identity != IdentityPrimary || len(st.Notes) != 0 || r.servers() != 2 {
				t.Errorf("%+v, notes %q", st.Role, st.Notes)
			}
		}
		if asked != 1 {
			t.Errorf("the part was worked out %d times, want once", asked)
		}
	})
}

// Two routers that are told of another heartbeat at the same moment do not leave
// the service to each other.
func TestBothTakeAnotherHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := failovertest.NewNetwork(1)
		ends := [2]string{"192.0.2.1:539", "192.0.2.2:539"}
		var pair [2]*rig
		for i := range pair {
			pair[i] = newRig(t, ipvstest.New(), func(c *Config) {
				part := func(s *Setup) (failover.Config, string, error) {
					return failover.Config{
						Primary: i == 0, Key: []byte("0123456789abcdef0123456789abcdef"), Interval: time.Second, DeadAfter: 3*time.Second + s.Heartbeat.DeadAfter,
						Channels:  []failover.Channel{{Name: "public", Local: addr(ends[i]), Peer: addr(ends[1-i])}},
						Transport: network.Host([]string{"one", "two"}[i]),
					}, IdentityPrimary, nil
				}
				c.Failover, _, _ = part(c.Setup)
				c.Pair = part
			})
			defer pair[i].stop()
		}
		time.Sleep(10 * time.Second)
		for _, r := range pair {
			r.next = func() (*Setup, error) {
				s := checked(webSetup(nil), r.checker)
				s.Heartbeat.DeadAfter = time.Second
				return s, nil
			}
			r.reload <- syscall.SIGHUP
		}
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			a, b := pair[0].status().Role, pair[1].status().Role
			if !a.AddressesHeld && !b.AddressesHeld {
				t.Fatalf("nobody serves: %+v and %+v", a, b)
			}
		}
		if a, b := pair[0].status().Role.Role, pair[1].status().Role.Role; a+b != "backupactive" && a+b != "activebackup" {
			t.Errorf("in the end they are %s and %s", a, b)
		}
	})
}

// Two routers with different keys cannot know of each other; each says why.
func TestDirectorTellsAForeignKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := failovertest.NewNetwork(1)
		ends := [2]string{"192.0.2.1:539", "192.0.2.2:539"}
		var pair [2]*rig
		for i := range pair {
			pair[i] = newRig(t, ipvstest.New(), func(c *Config) {
				c.Failover = failover.Config{
					Primary: i == 0, Key: []byte(strings.Repeat(string(rune('a'+i)), 32)), Interval: time.Second, DeadAfter: 3 * time.Second,
					Channels:  []failover.Channel{{Name: "public", Local: addr(ends[i]), Peer: addr(ends[1-i])}},
					Transport: network.Host([]string{"one", "two"}[i]),
				}
			})
			defer pair[i].stop()
		}
		time.Sleep(10 * time.Second)
		for i := range pair {
			if ch := pair[i].status().Role.Channels[0]; ch.Up || !strings.Contains(ch.Error, "same key file") {
				t.Errorf("router %d: channel %+v does not tell that the keys differ", i, ch)
			}
		}
	})
}

// Two directors, each with a kernel and addresses of its own, on a network in
// memory: exactly one serves, and the other takes over when it falls silent.
func TestDirectorPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := failovertest.NewNetwork(1)
		ends := [2]string{"192.0.2.1:539", "192.0.2.2:539"}
		var pair [2]*rig
		for i := range pair {
			pair[i] = newRig(t, ipvstest.New(), func(c *Config) {
				c.Failover = failover.Config{
					Primary: i == 0, Key: []byte("0123456789abcdef0123456789abcdef"), Interval: time.Second, DeadAfter: 3 * time.Second,
					Channels:  []failover.Channel{{Name: "public", Local: addr(ends[i]), Peer: addr(ends[1-i])}},
					Transport: network.Host([]string{"one", "two"}[i]),
				}
			})
			defer pair[i].stop()
		}
		time.Sleep(10 * time.Second)
		if a, b := pair[0].servers(), pair[1].servers(); a != 2 || b != 0 {
			t.Fatalf("tables of %d and %d servers, want 2 and 0", a, b)
		}
		if st := pair[1].status(); st.Role.Role != "backup" || st.Role.Partner == nil || !st.Role.Partner.Alive {
			t.Errorf("the backup's role: %+v", st.Role)
		}
		if s := pair[1].status().Services[0]; !strings.Contains(s.Reason, "not in the table: this router does not serve now") {
			t.Errorf("the backup's service: %q", s.Reason)
		}
		// The backup asks the servers all the time, so it can serve at once.
		if s := pair[1].status().Services[0].Servers[0]; s.State != "up" {
			t.Errorf("the backup does not know its servers: %+v", s)
		}
		if err := pair[0].stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if n := pair[1].servers(); n != 2 {
			t.Errorf("after the primary left, the backup has %d servers in its table", n)
		}
		if st := pair[1].status(); st.Role.Role != "active" {
			t.Errorf("after the primary left, the backup is %+v", st.Role)
		}
	})
}

// A start that is refused its heartbeat leaves what an earlier life of the
// daemon put into the table, and which serves on.
func TestDirectorThatCannotStartLeavesTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		if err := kernel.AddService(t.Context(), webSetup(nil).Services[0].Service); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, kernel, func(c *Config) {
			c.Failover.Key = []byte("0123456789abcdef0123456789abcdef")
			c.Failover.Channels = []failover.Channel{{Name: "public", Local: addr("192.0.2.1:539"), Peer: addr("192.0.2.2:539")}}
			c.Failover.Transport = forbidden{}
		})
		time.Sleep(time.Second)
		if err := r.stop(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Run: %v, want that the channel is not permitted", err)
		}
		if lines := r.journal.take(); len(lines) != 0 {
			t.Errorf("a start that failed did %v", lines)
		}
	})
}

// forbidden is a transport that the system does not permit.
type forbidden struct{}

func (forbidden) Listen(context.Context, netip.AddrPort) (failover.PacketConn, error) {
	return nil, fs.ErrPermission
}

func TestDirectorOutlivesAFailingKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), nil)
		time.Sleep(time.Second)
		// A kernel that goes away is no reason to end: it may come back.
		r.kernel.FailNext(ipvs.ErrStateUnknown, ipvs.ErrStateUnknown)
		r.checker.SetFor(addr("10.0.0.2:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(20 * time.Second)
		if n := r.servers(); n != 1 {
			t.Errorf("%d servers in the table, want 1", n)
		}
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
