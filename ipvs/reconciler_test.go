package ipvs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// start runs a reconciler until the test's function returns and calls stop.
func start(r *ipvs.Reconciler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	return func() { cancel(); <-done }
}

// recorder writes down the events.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) event(e ipvs.Event) {
	line := e.Kind.String()
	if e.Drain.Destination.IsValid() {
		line += fmt.Sprintf(" %v", e.Drain.Destination)
	}
	for _, c := range e.Changes {
		line += "; " + c.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantLines(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if got == nil {
		got = []string{}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestReconcilerAppliesOnChange(t *testing.T) {
	k := ipvstest.New()
	foreign := entry(web(99), 7)
	fill(t, k, foreign)
	r := ipvs.NewReconciler(k, nil)
	ctx := t.Context()
	must(t, r.Set(ctx, ipvs.Table{entry(web(1), 1, 1), entry(web(2), 1)}))
	wantTable(t, k, entry(web(1), 1, 1), entry(web(2), 1), foreign)
	k.ResetLog()
	must(t, r.Put(ctx, entry(web(1), 1, 3)))
	must(t, r.Put(ctx, entry(web(1), 1, 3)))
	must(t, r.Set(ctx, ipvs.Table{entry(web(1), 1, 3), entry(web(2), 1)}))
	wantLines(t, "one weight", writes(k), "set destination tcp/192.0.0.1:80 10.0.0.2:80 3")
	must(t, r.Remove(ctx, web(2), web(99), web(55)))
	wantTable(t, k, entry(web(1), 1, 3), foreign)
	if e, ok := r.Entry(web(1)); !ok || len(e.Destinations) != 2 {
		t.Errorf("entry %+v, %v", e, ok)
	}
	if _, ok := r.Entry(web(2)); ok {
		t.Error("a removed service is remembered")
	}
	if _, ok := r.Entry(web(99)); !ok {
		t.Error("another's service is not known")
	}
	must(t, r.Set(ctx, nil))
	wantTable(t, k, foreign)
	if st := r.Status(); st.Wanted != 0 || st.Err != nil || st.Repairs != 0 || st.Changes == 0 {
		t.Errorf("status %+v", st)
	}
}

// Without Run a table is read once, and never again while all goes well.
func TestReconcilerReadsTheTableOnce(t *testing.T) {
	k := ipvstest.New()
	reads := 0
	k.SetHook(func(c ipvstest.Command) error {
		if !c.Op.IsWrite() {
			reads++
		}
		return nil
	})
	r := ipvs.NewReconciler(k, nil)
	for i := range 10 {
		must(t, r.Put(t.Context(), entry(web(1), i), entry(web(2), i)))
	}
	must(t, r.Remove(t.Context(), web(2)))
	if reads != 1 {
		t.Errorf("%d reads, want 1", reads)
	}
}

func TestReconcilerTouchesNothingBeforeItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		fill(t, k, entry(web(1), 1))
		path := filepath.Join(t.TempDir(), "state.json")
		owned, _ := ipvs.OpenOwnership(path)
		must(t, ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Ownership: owned}).Put(t.Context(), entry(web(1), 1), entry(web(2), 1)))
		k.ResetLog()

		owned, err := ipvs.OpenOwnership(path)
		must(t, err)
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Ownership: owned})
		defer start(r)()
		must(t, r.Resync(t.Context()))
		time.Sleep(3 * time.Minute)
		wantLines(t, "before anything is wanted", writes(k))
		// One by one: what was not named yet stays.
		must(t, r.Put(t.Context(), entry(web(2), 1)))
		time.Sleep(3 * time.Minute)
		wantLines(t, "what was there already", writes(k))
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(2), 1)}))
		wantLines(t, "the whole table is named", writes(k), "delete service tcp/192.0.0.1:80")
		if got := owned.Services(); !slices.Equal(got, []ipvs.ServiceKey{web(2)}) {
			t.Errorf("remembered as ours: %v", got)
		}
	})
}

func TestReconcilerOwnedNamesFurtherServices(t *testing.T) {
	k := ipvstest.New()
	fill(t, k, entry(web(1), 1), entry(web(2), 1))
	r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Owned: func(k ipvs.ServiceKey) bool { return k == web(1) }})
	must(t, r.Set(t.Context(), nil))
	wantTable(t, k, entry(web(2), 1))
}

func TestReconcilerRepairsWhatOthersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		ctx := t.Context()
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{OnEvent: rec.event})
		defer start(r)()
		want := []ipvs.Entry{entry(web(1), 1, 2), entry(web(2), 1)}
		must(t, r.Set(ctx, want))
		rec.take()
		foreign := entry(web(50), 1)
		fill(t, k, foreign)
		must(t, k.SetDestination(ctx, web(1), ipvs.Destination{Key: server(1), Weight: 9}))
		must(t, k.AddDestination(ctx, web(1), ipvs.Destination{Key: server(77), Weight: 1}))
		must(t, k.DelService(ctx, web(2)))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		wantTable(t, k, append(want, foreign)...)
		wantLines(t, "events", rec.take(), "repaired; "+strings.Join([]string{
			"set destination 10.0.0.1:80 of tcp/192.0.0.1:80: weight 9 -> 1",
			"delete destination 10.0.0.77:80 of tcp/192.0.0.1:80",
			"add service tcp/192.0.0.2:80: scheduler wlc",
			"add destination 10.0.0.1:80 of tcp/192.0.0.2:80: masquerade, weight 1",
		}, "; "))
		st := r.Status()
		if st.Repairs != 4 || st.LastResync.IsZero() {
			t.Errorf("status %+v", st)
		}
		// What we want ourselves is no repair.
		must(t, r.Put(ctx, entry(web(2), 5)))
		time.Sleep(time.Minute)
		if st := r.Status(); st.Repairs != 4 {
			t.Errorf("%d repairs", st.Repairs)
		}
	})
}

func TestReconcilerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{OnEvent: rec.event})
		defer start(r)()
		synctest.Wait() // else the first try may be that of the start
		var tries []time.Duration
		begin := time.Now()
		k.SetHook(func(c ipvstest.Command) error {
			if c.Op.IsWrite() {
				tries = append(tries, time.Since(begin))
				return syscall.EPERM
			}
			return nil
		})
		err := r.Set(t.Context(), ipvs.Table{entry(web(1))})
		if !errors.Is(err, ipvs.ErrNotPermitted) {
			t.Errorf("Set: %v", err)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 15500 * time.Millisecond, 25500 * time.Millisecond}
		k.SetHook(nil)
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		if st := r.Status(); !errors.Is(st.Err, ipvs.ErrNotPermitted) || st.Failures != 7 || st.Retries != 6 || st.FailingSince != begin {
			t.Errorf("status %+v", st)
		}
		rec.take()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantTable(t, k, entry(web(1)))
		wantLines(t, "events", rec.take(), "changed; add service tcp/192.0.0.1:80: scheduler wlc", "recovered")
		if st := r.Status(); st.Err != nil || !st.FailingSince.IsZero() {
			t.Errorf("the failure outlives its cure: %+v", st)
		}
	})
}

// A service that no kernel takes hinders no other, and costs the others
// nothing.
func TestReconcilerABadServiceHindersNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		r := ipvs.NewReconciler(k, nil)
		defer start(r)()
		bad := entry(web(1), 1)
		bad.Service.Scheduler = "none-such"
		if err := r.Put(t.Context(), bad); !errors.Is(err, ipvs.ErrSchedulerNotFound) {
			t.Errorf("Put of a bad service: %v", err)
		}
		time.Sleep(time.Minute)
		must(t, r.Put(t.Context(), entry(web(2), 1)))
		must(t, r.Put(t.Context(), entry(web(2), 2)))
		wantTable(t, k, entry(web(2), 2))
		if err := r.Resync(t.Context()); !errors.Is(err, ipvs.ErrSchedulerNotFound) {
			t.Errorf("Resync: %v, want the bad service", err)
		}
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		wantTable(t, k, entry(web(1), 1), entry(web(2), 2))
		if st := r.Status(); st.Err != nil {
			t.Errorf("after the cure: %v", st.Err)
		}
		// A bad service that is wanted no longer is no trouble any more.
		if err := r.Put(t.Context(), ipvs.Entry{Service: ipvs.Service{Key: web(3), Scheduler: "none-such"}}); err == nil {
			t.Error("a bad service was taken")
		}
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(2), 2)}))
		if st := r.Status(); st.Err != nil {
			t.Errorf("after it went: %v", st.Err)
		}
		k.ResetLog()
		time.Sleep(time.Minute)
		wantLines(t, "with nothing to do", writes(k))
	})
}

// An order whose giver has stopped waiting holds all the same.
func TestReconcilerKeepsAnOrderNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		r := ipvs.NewReconciler(k, nil)
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1), entry(web(2), 1)}))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Put(ended, entry(web(1), 5)); !errors.Is(err, context.Canceled) {
			t.Errorf("Put: %v", err)
		}
		if err := r.Remove(ended, web(2)); !errors.Is(err, context.Canceled) {
			t.Errorf("Remove: %v", err)
		}
		synctest.Wait()
		wantTable(t, k, entry(web(1), 5))
		if err := r.Set(ended, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Set: %v", err)
		}
		synctest.Wait()
		wantTable(t, k)
		if st := r.Status(); st.Err != nil || st.Failures != 0 {
			t.Errorf("a caller that went away counts as trouble: %+v", st)
		}
	})
}

// The file has a service before the table has it, and until the table has
// lost it.
func TestReconcilerRemembersBeforeItAdds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	owned, err := ipvs.OpenOwnership(path)
	must(t, err)
	k := ipvstest.New()
	k.SetHook(func(c ipvstest.Command) error {
		if c.Op == ipvs.OpAddService || c.Op == ipvs.OpDelService {
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), c.Service.Key.String()) {
				t.Errorf("%v %v, and the file has %q, %v", c.Op, c.Service.Key, text, err)
			}
		}
		return nil
	})
	r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Ownership: owned})
	must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1)}))
	must(t, r.Put(t.Context(), entry(web(2), 1), entry(web(3), 1)))
	before, err := os.Stat(path)
	must(t, err)
	must(t, r.Put(t.Context(), entry(web(2), 2)))
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("a new weight wrote the file, %v", err)
	}
	must(t, r.Remove(t.Context(), web(1)))
	must(t, r.Set(t.Context(), ipvs.Table{entry(web(3), 1)}))
	again, err := ipvs.OpenOwnership(path)
	must(t, err)
	if got := again.Services(); !slices.Equal(got, []ipvs.ServiceKey{web(3)}) {
		t.Errorf("remembered at the end: %v", got)
	}
}

// A file that cannot be written is told, and keeps nothing from being served.
func TestReconcilerServesWithoutItsFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "state.json")
	owned, err := ipvs.OpenOwnership(path)
	must(t, err)
	must(t, os.WriteFile(dir, nil, 0o600)) // no folder can be there
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Ownership: owned})
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		wantTable(t, k, entry(web(1), 1))
		if st := r.Status(); st.OwnershipErr == nil {
			t.Error("the trouble with the file is not told")
		}
		must(t, os.Remove(dir))
		time.Sleep(time.Second) // a write that failed waits, as it costs what the table costs
		must(t, r.Put(t.Context(), entry(web(1), 2)))
		if st := r.Status(); st.OwnershipErr != nil {
			t.Errorf("the trouble outlives its cure: %v", st.OwnershipErr)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
}

// The hook may call the reconciler, and sees everything in its order.
func TestReconcilerEventsComeInOrder(t *testing.T) {
	k := ipvstest.New()
	var rec recorder
	var r *ipvs.Reconciler
	r = ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{OnEvent: func(e ipvs.Event) {
		if e.Changes[0].Op == ipvs.OpAddService {
			if err := r.Put(context.Background(), entry(web(1), 1)); err != nil {
				t.Error(err)
			}
			_ = r.Status()
		}
		rec.event(e)
	}})
	must(t, r.Put(t.Context(), entry(web(1))))
	wantLines(t, "events", rec.take(),
		"changed; add service tcp/192.0.0.1:80: scheduler wlc",
		"changed; add destination 10.0.0.1:80 of tcp/192.0.0.1:80: masquerade, weight 1")
}

func TestEventKindText(t *testing.T) {
	for k := range ipvs.EventKind(12) {
		text, err := k.MarshalText()
		must(t, err)
		var back ipvs.EventKind
		if err := back.UnmarshalText(text); err != nil || back != k {
			t.Errorf("%d is written %q and read %d, %v", k, text, back, err)
		}
	}
	var k ipvs.EventKind
	if err := k.UnmarshalText([]byte("drains")); err == nil {
		t.Error("a word that is none was read")
	}
}

// A server that recovers from the panic of a hook goes on with its reconciler.
func TestReconcilerOutlivesAHookThatPanics(t *testing.T) {
	k := ipvstest.New()
	panics := true
	var rec recorder
	r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{OnEvent: func(e ipvs.Event) {
		if panics {
			panics = false
			panic("the hook's own")
		}
		rec.event(e)
	}})
	func() {
		defer func() {
			if p := recover(); p != "the hook's own" {
				t.Errorf("panic %v", p)
			}
		}()
		_ = r.Put(t.Context(), entry(web(1), 1))
	}()
	must(t, r.Put(t.Context(), entry(web(1), 2)))
	wantLines(t, "events", rec.take(), "changed; set destination 10.0.0.1:80 of tcp/192.0.0.1:80: weight 1 -> 2")
}

// unreadable is a plane whose table cannot be read while others keep changing
// it.
type unreadable struct {
	*ipvstest.Kernel
	changing atomic.Bool
}

func (u *unreadable) Snapshot(ctx context.Context) (ipvs.Snapshot, error) {
	if u.changing.Load() {
		return nil, &ipvs.OpError{Op: ipvs.OpListServices, Err: ipvs.ErrTableChanging}
	}
	return u.Kernel.Snapshot(ctx)
}

// A server that died has to leave also while the table cannot be read.
func TestReconcilerGoesOnWhileItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &unreadable{Kernel: ipvstest.New()}
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{OnEvent: rec.event})
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1), entry(web(2), 1, 1)}))
		k.changing.Store(true)
		if err := r.Resync(t.Context()); !errors.Is(err, ipvs.ErrTableChanging) {
			t.Errorf("a resync: %v", err)
		}
		must(t, r.Put(t.Context(), entry(web(1), 1, -1)))
		wantTable(t, k.Kernel, entry(web(1), 1, -1), entry(web(2), 1, 1))

		// A server that somebody else took out is not known to be gone.
		must(t, k.DelDestination(t.Context(), web(2), server(2)))
		if err := r.Put(t.Context(), entry(web(2), 1, 5)); !errors.Is(err, ipvs.ErrTableChanging) {
			t.Errorf("a change of what is not there: %v", err)
		}
		must(t, r.Put(t.Context(), entry(web(1), 3, -1)))
		wantTable(t, k.Kernel, entry(web(1), 3, -1), entry(web(2), 1, -1))
		if st := r.Status(); !errors.Is(st.Err, ipvs.ErrTableChanging) {
			t.Errorf("status %v", st.Err)
		}

		defer start(r)()
		time.Sleep(25 * time.Second)
		must(t, k.DelDestination(t.Context(), web(1), server(1)))
		rec.take()
		k.changing.Store(false)
		time.Sleep(11 * time.Second)
		wantTable(t, k.Kernel, entry(web(1), 3, -1), entry(web(2), 1, 5))
		wantLines(t, "events", rec.take(),
			"repaired; add destination 10.0.0.1:80 of tcp/192.0.0.1:80: masquerade, weight 3",
			"changed; add destination 10.0.0.2:80 of tcp/192.0.0.2:80: masquerade, weight 5",
			"recovered")
		if st := r.Status(); st.Err != nil {
			t.Errorf("status %v", st.Err)
		}
	})
}
