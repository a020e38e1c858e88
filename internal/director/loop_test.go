package director

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// The reconciler's own times.
const (
	resyncEvery = 30 * time.Second
	retryMax    = 10 * time.Second
)

// bench is a loop that runs on a kernel in memory, inside a synctest bubble.
type bench struct {
	t      *testing.T
	kernel *ipvstest.Kernel
	loop   *loop
	stop   func()
}

func newBench(t *testing.T, kernel *ipvstest.Kernel, statePath string, setup *Setup) *bench {
	t.Helper()
	owned, err := ipvs.OpenOwnership(statePath)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, kernel: kernel, loop: newLoop(slog.New(slog.DiscardHandler), kernel, owned, setup)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.loop.run(ctx); close(done) }()
	b.stop = func() { cancel(); <-done }
	return b
}

// role is what the node's hook does.
func (b *bench) role(s stance) {
	b.loop.ask(context.Background(), func(ctx context.Context) { b.loop.stances[""] = s; b.loop.settle(ctx) })
}

func (b *bench) verdict(id string, s health.State) {
	b.loop.inbox.verdict(id, s)
	synctest.Wait()
}

func (b *bench) table() ipvs.Table {
	b.t.Helper()
	snap, err := b.kernel.Snapshot(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return snap.Table()
}

func (b *bench) wantServers(want ...string) {
	b.t.Helper()
	var got []string
	for _, e := range b.table() {
		for _, d := range e.Destinations {
			got = append(got, fmt.Sprintf("%v %v=%d", e.Service.Key, d.Key, d.Weight))
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		b.t.Errorf("destinations (-want +got):\n%s", diff)
	}
}

func TestLoopFollowsVerdictsAndRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", webSetup(nil))
		defer b.stop()
		b.verdict("web/a", health.Up)
		b.wantServers()
		b.role(stanceServe)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2")
		b.verdict("web/b", health.Up)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2", "tcp/192.0.2.1:80 10.0.0.2:80=1")

		// One change of one server is one command.
		b.kernel.ResetLog()
		b.verdict("web/a", health.Down)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.2:80=1")
		if n := len(b.kernel.Log()); n != 1 {
			t.Errorf("a dead server cost %d commands, want 1", n)
		}
		// The same verdict again is none.
		b.verdict("web/a", health.Down)
		if n := len(b.kernel.Log()); n != 1 {
			t.Errorf("a repeated verdict made it %d commands", n)
		}
		b.role(stanceWithdraw)
		if tab := b.table(); len(tab) != 0 {
			t.Errorf("a backup has %v in its table", tab)
		}
	})
}

func TestLoopLeavesOthersServicesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		theirs := ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.99:80")), Scheduler: "rr"}
		if err := kernel.AddService(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		if err := kernel.AddDestination(t.Context(), theirs.Key, dest("10.9.9.9:80", 3)); err != nil {
			t.Fatal(err)
		}
		kernel.ResetLog()
		b := newBench(t, kernel, "", webSetup(nil))
		defer b.stop()
		b.verdict("web/a", health.Up)
		for _, s := range []stance{stanceServe, stanceWithdraw, stanceServe, stanceHold, stanceServe} {
			b.role(s)
			time.Sleep(2 * resyncEvery)
		}
		b.loop.ask(t.Context(), b.loop.withdraw)
		for _, c := range kernel.Log() {
			if c.Service.Key == theirs.Key {
				t.Errorf("touched another program's service: %v", c)
			}
		}
		b.wantServers("tcp/192.0.2.99:80 10.9.9.9:80=3")
	})
}

// A daemon that is killed and started again finds its table and issues no
// command, with servers that were asked and with servers that were not yet.
func TestLoopRestartIssuesNoCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "state.json")
		kernel := ipvstest.New()
		setup := webSetup(nil)
		setup.Services[0].Servers = nil
		for i := range 1000 {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)
			setup.Services[0].Servers = append(setup.Services[0].Servers, RealServer{
				Name: fmt.Sprint(i), Destination: ipvs.Destination{Key: a, Weight: 1 + i%7},
			})
		}
		first := newBench(t, kernel, state, setup)
		for i := range 1000 {
			first.loop.inbox.verdict(WatchID("web", fmt.Sprint(i)), health.Up)
		}
		first.role(stanceServe)
		if n := len(first.table()[0].Destinations); n != 1000 {
			t.Fatalf("%d destinations, want 1000", n)
		}
		first.stop() // as kill -9 leaves it: the table stays

		kernel.ResetLog()
		second := newBench(t, kernel, state, setup)
		defer second.stop()
		second.role(stanceHold)
		second.role(stanceServe)
		for i := range 1000 {
			second.loop.inbox.verdict(WatchID("web", fmt.Sprint(i)), health.Up)
		}
		synctest.Wait()
		time.Sleep(2 * resyncEvery)
		if log := kernel.Log(); len(log) != 0 {
			t.Errorf("the restart issued %d commands, the first: %v", len(log), log[0])
		}
	})
}

// A service that left the configuration while the daemon was down is taken
// out by the next start, since the state file says that it was ours.
func TestLoopTakesOutWhatLeftTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "state.json")
		kernel := ipvstest.New()
		first := newBench(t, kernel, state, webSetup(nil))
		first.verdict("web/a", health.Up)
		first.role(stanceServe)
		first.stop()

		moved := webSetup(func(v *VirtualService) { v.Service.Key = ipvs.TCPService(addr("192.0.2.2:80")) })
		second := newBench(t, kernel, state, moved)
		defer second.stop()
		second.verdict("web/a", health.Up)
		second.role(stanceServe)
		second.wantServers("tcp/192.0.2.2:80 10.0.0.1:80=2")
	})
}

func TestLoopTriesAgainAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		b := newBench(t, kernel, "", webSetup(nil))
		defer b.stop()
		b.verdict("web/a", health.Up)
		synctest.Wait()
		kernel.SetHook(noWrites)
		b.role(stanceServe)
		if b.loop.rec.Status().Err == nil {
			t.Fatal("the failure is not kept for the status")
		}
		kernel.SetHook(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2")
		if err := b.loop.rec.Status().Err; err != nil {
			t.Errorf("the failure outlives its cure: %v", err)
		}
	})
}

func noWrites(c ipvstest.Command) error {
	if c.Op.IsWrite() {
		return syscall.EPERM
	}
	return nil
}

// An order whose giver has stopped waiting is carried out all the same: a
// withdrawal that came too late for the role hook must not leave a backup
// with a table.
func TestLoopKeepsAnOrderNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", webSetup(nil))
		defer b.stop()
		b.verdict("web/a", health.Up)
		b.role(stanceServe)
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		b.loop.ask(impatient, b.loop.withdraw)
		synctest.Wait()
		if tab := b.table(); len(tab) != 0 {
			t.Errorf("a backup has %v in its table", tab)
		}
	})
}

// A node whose table takes nothing asks its partner to serve, once.
func TestLoopGivesUpWhenItCarriesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		kernel.SetHook(noWrites)
		b := newBench(t, kernel, "", webSetup(nil))
		defer b.stop()
		asked := 0
		b.loop.ask(t.Context(), func(context.Context) { b.loop.giveUp = func() { asked++ } })
		b.verdict("web/a", health.Up)
		b.role(stanceServe)
		count := func() (n int) {
			b.loop.ask(t.Context(), func(context.Context) { n = asked })
			return n
		}
		time.Sleep(giveUpAfter / 2)
		if n := count(); n != 0 {
			t.Errorf("gave up %d times after half the patience", n)
		}
		time.Sleep(3 * giveUpAfter)
		if n := count(); n != 1 {
			t.Errorf("gave up %d times, want once", n)
		}
		// What serves in part goes on serving.
		kernel.SetHook(nil)
		time.Sleep(2 * retryMax)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2")
		kernel.SetHook(noWrites)
		b.verdict("web/b", health.Up)
		time.Sleep(5 * giveUpAfter)
		if n := count(); n != 1 {
			t.Errorf("gave up although a service was in the table: %d times", n)
		}
	})
}

// What another program does to a service of ours is put right at the next
// resync.
func TestLoopRepairsAtTheResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		b := newBench(t, kernel, "", webSetup(nil))
		defer b.stop()
		b.verdict("web/a", health.Up)
		b.role(stanceServe)
		if err := kernel.DelDestination(t.Context(), ipvs.TCPService(addr("192.0.2.1:80")), addr("10.0.0.1:80")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(resyncEvery + time.Second)
		synctest.Wait()
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2")
	})
}

// A node that serves while the table cannot be read takes out nothing: it
// does not know yet which servers stay as they were found.
func TestLoopDoesNotPlanWithoutHavingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := ipvstest.New()
		setup := webSetup(nil)
		web := ipvs.Entry{Service: setup.Services[0].Service, Destinations: []ipvs.Destination{dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)}}
		if err := kernel.Apply(t.Context(), ipvs.Diff(nil, ipvs.Table{web}, nil)); err != nil {
			t.Fatal(err)
		}
		kernel.ResetLog()
		kernel.SetHook(func(c ipvstest.Command) error {
			if !c.Op.IsWrite() {
				return syscall.ENOMEM
			}
			return nil
		})
		b := newBench(t, kernel, "", setup)
		defer b.stop()
		b.role(stanceServe)
		b.verdict("web/a", health.Up)
		time.Sleep(time.Minute)
		if b.loop.rec.Status().Err == nil {
			t.Error("the failure is not kept for the status")
		}
		kernel.SetHook(nil)
		time.Sleep(2 * retryMax)
		synctest.Wait()
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2", "tcp/192.0.2.1:80 10.0.0.2:80=1")
		if log := kernel.Log(); len(log) != 0 {
			t.Errorf("%d commands, the first: %v", len(log), log[0])
		}
		b.verdict("web/b", health.Down)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2")
	})
}

// A bug must end the daemon, so that its supervisor starts it again; one that
// stands still serves nobody.
func TestLoopDoesNotHideAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owned, err := ipvs.OpenOwnership("")
		if err != nil {
			t.Fatal(err)
		}
		l := newLoop(slog.New(slog.DiscardHandler), ipvstest.New(), owned, webSetup(nil))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(chan any, 1)
		go func() {
			defer func() { told <- recover() }()
			_ = l.run(ctx)
		}()
		l.inbox.order(func(context.Context) { panic("a bug") })
		select {
		case got := <-told:
			if got != "a bug" {
				t.Errorf("panic %v", got)
			}
		case <-time.After(time.Minute):
			t.Error("the loop stands still")
		}
	})
}

// BenchmarkVerdict is what one death and one recovery cost in tables of
// services with ten servers each.
func BenchmarkVerdict(b *testing.B) {
	for _, services := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			setup := &Setup{}
			up := make(map[string]health.State)
			for i := range services {
				v := VirtualService{Name: fmt.Sprint(i), Service: ipvs.Service{Key: ipvs.MarkService(uint32(i + 1)), Scheduler: "wlc"}}
				for j := range 10 {
					a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(j)}), 80)
					v.Servers = append(v.Servers, RealServer{Name: fmt.Sprint(j), Destination: ipvs.Destination{Key: a, Weight: 1}})
					up[WatchID(v.Name, fmt.Sprint(j))] = health.Up
				}
				setup.Services = append(setup.Services, v)
			}
			owned, err := ipvs.OpenOwnership("")
			if err != nil {
				b.Fatal(err)
			}
			l := newLoop(slog.New(slog.DiscardHandler), &silent{}, owned, setup)
			l.adopt(setup, up)
			l.stances[""] = stanceServe
			l.settle(b.Context())
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				state := health.Down
				if n%2 == 1 {
					state = health.Up
				}
				l.take(b.Context(), news{verdicts: map[string]health.State{"5/5": state}}, time.Now())
			}
		})
	}
}

// silent is a data plane that takes everything and keeps nothing.
type silent struct{}

func (silent) Snapshot(context.Context) (ipvs.Snapshot, error) { return nil, nil }
func (silent) Apply(context.Context, []ipvs.Change) error      { return nil }
