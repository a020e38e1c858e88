package health_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
}

// bench is a Monitor inside a bubble. Time starts at 0 when it is made.
type bench struct {
	*testing.T
	*health.Monitor
	start  time.Time
	mu     sync.Mutex
	events []string // "1.5s a unknown>up"
	seqs   []uint64
	stop   func()
}

func newBench(t *testing.T, cfg health.Config) *bench {
	b := &bench{T: t, start: time.Now()}
	hook := cfg.OnEvent
	cfg.OnEvent = func(e health.Event) {
		b.mu.Lock()
		b.events = append(b.events, fmt.Sprintf("%v %s %v>%v", e.At.Sub(b.start), e.ID, e.Old, e.New))
		b.seqs = append(b.seqs, e.Seq)
		b.mu.Unlock()
		if hook != nil {
			hook(e)
		}
	}
	b.Monitor = health.NewMonitor(&cfg)
	return b
}

func (b *bench) set(ws ...health.Watch) {
	b.Helper()
	if err := b.Set(ws); err != nil {
		b.Fatal(err)
	}
}

// run starts Run, which ends with the test or with stop.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Monitor.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("Run: %v", err)
		}
		b.stop = func() {}
	}
	b.Cleanup(func() { b.stop() })
}

// at sleeps until the time since the start is d, and until all is quiet.
func (b *bench) at(d time.Duration) {
	time.Sleep(time.Until(b.start.Add(d)))
	synctest.Wait()
}

// takeEvents returns the events so far and forgets them.
func (b *bench) takeEvents() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events, b.seqs = nil, nil
	return events
}

func (b *bench) wantEvents(want ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.events); diff != "" {
		b.Errorf("events (-want +got):\n%s", diff)
	}
	for i, seq := range b.seqs {
		if seq != uint64(i)+1 {
			b.Errorf("sequence numbers %v", b.seqs)
			break
		}
	}
}

func (b *bench) wantCalls(f *healthtest.Fake, want ...time.Duration) {
	b.Helper()
	var got []time.Duration
	for _, c := range f.Calls() {
		got = append(got, c.At.Sub(b.start))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("times of checks (-want +got):\n%s", diff)
	}
}

func (b *bench) state(id string) health.WatchState {
	b.Helper()
	s, ok := b.State(id)
	if !ok {
		b.Fatalf("there is no watch %q", id)
	}
	return s
}

func watch(id string, n int, c health.Checker, p health.Policy) health.Watch {
	return health.Watch{ID: id, Target: health.Target{Addr: addr(n)}, Checker: c, Policy: p}
}

const s = time.Second

func TestMonitorRiseFallAndIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		const o, x, n = health.OK, health.Fail, health.NoResult
		f.Set(healthtest.Verdicts(o, o, x, n, x, x, x, o, x, o, o, o))
		b.set(watch("a", 1, f, health.Policy{Interval: 10 * s, FastInterval: 2 * s, DownInterval: 20 * s, Fall: 3, Rise: 2}))
		b.run()
		b.at(109 * s)
		b.wantCalls(f, 0, 10*s, 20*s, 22*s, 24*s, 26*s, // down with the third failure
			40*s, 60*s, 62*s, // one success, then a failure: back to the slow turns
			80*s, 82*s, // up
			90*s, 100*s)
		b.wantEvents("0s a unknown>up", "26s a up>down", "1m22s a down>up")
		got := b.state("a")
		if got.State != health.Up || got.Since.Sub(b.start) != 82*s || got.Reason != "fake: ok" || len(got.History) != 10 {
			t.Errorf("state = %+v", got)
		}
		want := health.Counters{OK: 7, Fail: 5, NoResult: 1, Changes: 3}
		if diff := cmp.Diff(want, got.Counters); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
		for i := 1; i < len(got.History); i++ {
			if !got.History[i-1].Start.Before(got.History[i].Start) {
				t.Error("the history is out of order")
			}
		}
	})
}

func TestMonitorNoResultChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		f.Set(healthtest.Verdicts(health.NoResult, health.OK, health.NoResult))
		b.set(watch("a", 1, f, health.Policy{Interval: s}))
		b.run()
		b.at(100 * s)
		b.wantEvents("1s a unknown>up")
	})
}

func TestMonitorWorstDetectionHolds(t *testing.T) {
	for _, p := range []health.Policy{
		{},
		{Interval: 5 * s, Timeout: 5 * s, Fall: 3},
		{Interval: 10 * s, FastInterval: s, Timeout: 3 * s, Fall: 4},
		{Interval: 2 * s, Timeout: 7 * s, Fall: 2},
		{Interval: 60 * s, FastInterval: 5 * s, Timeout: s, Fall: 2},
	} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, health.Config{})
				f := healthtest.NewFake("f")
				b.set(watch("a", 1, f, p))
				b.run()
				b.at(time.Nanosecond) // it answered, and dies
				f.Set(healthtest.After(time.Hour, health.OK))
				b.at(p.WorstDetection() - time.Nanosecond)
				if got := b.state("a").State; got != health.Up {
					t.Errorf("%v before its time", got)
				}
				b.at(p.WorstDetection())
				if got := b.state("a").State; got != health.Down {
					t.Errorf("still %v after %v; history %v", got, p.WorstDetection(), b.state("a").Counters)
				}
			})
		})
	}
}

func TestMonitorKeepsPhaseWhateverChecksTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		f.Set(healthtest.After(900*time.Millisecond, health.OK))
		b.set(watch("a", 1, f, health.Policy{Interval: s}))
		b.run()
		b.at(100*s + s/2)
		calls := f.Calls()
		if len(calls) != 101 || calls[100].At.Sub(b.start) != 100*s {
			t.Errorf("%d checks, the last at %v", len(calls), calls[len(calls)-1].At.Sub(b.start))
		}
		if n := b.state("a").Counters.Overruns; n != 0 {
			t.Errorf("%d overruns", n)
		}
	})
}

func TestMonitorNeverAsksTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		f.Set(healthtest.After(3500*time.Millisecond, health.OK))
		b.set(watch("a", 1, f, health.Policy{Interval: s, Timeout: 5 * s}))
		b.run()
		for range 20 {
			b.Trigger("a")
			b.at(time.Since(b.start) + s)
		}
		if one, _ := f.MostAtOnce(addr(1)); one != 1 {
			t.Errorf("%d checks of one question at once", one)
		}
		if n := b.state("a").Counters.Overruns; n < 5 {
			t.Errorf("overruns = %d, want them counted", n)
		}
		// A check that is stubborn enough to ignore its end does not bring a second one.
		b.set()
		b.set(watch("a", 1, f, health.Policy{Interval: s, Timeout: 5 * s}))
		b.at(40 * s)
		if one, _ := f.MostAtOnce(addr(1)); one != 1 {
			t.Errorf("%d checks of one question at once after taking it out and in", one)
		}
	})
}

func TestMonitorAsksOneQuestionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f, same, other := healthtest.NewFake("f"), healthtest.NewFake("f"), healthtest.NewFake("g")
		p := health.Policy{Interval: 10 * s, Timeout: s}
		slow := health.Policy{Interval: 20 * s, Timeout: s, Fall: 2}
		patient := health.Policy{Interval: 10 * s, Timeout: 2 * s}
		b.set(watch("a", 1, f, p), watch("b", 1, same, p), watch("c", 1, f, slow), watch("d", 1, other, p), watch("e", 1, other, patient))
		b.run()
		b.at(30*s + s/2)
		if got := f.Count(addr(1)) + same.Count(addr(1)); got != 4 {
			t.Errorf("the shared question was asked %d times, want 4", got)
		}
		if got := other.Count(addr(1)); got < 7 || got > 8 {
			t.Errorf("two questions of different patience were asked %d times", got)
		}
		if got := b.state("c").Counters.OK; got != 2 {
			t.Errorf("the slower watch took %d answers, want 2", got)
		}
		if st := b.Stats(); st.Watches != 5 || st.Questions != 3 {
			t.Errorf("stats = %+v", st)
		}
		f.Set(healthtest.Verdicts(health.Fail))
		same.Set(healthtest.Verdicts(health.Fail))
		b.takeEvents()
		b.at(70 * s)
		if diff := cmp.Diff([]string{"40s a up>down", "40s b up>down", "1m0s c up>down"}, b.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestMonitorSpreadsFirstChecks(t *testing.T) {
	for name, tt := range map[string]struct {
		interval, budget time.Duration
	}{
		"interval under the budget": {2 * s, 2 * s},
		"interval over the budget":  {60 * s, 5 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 1000
				b := newBench(t, health.Config{})
				f := healthtest.NewFake("f")
				var ws []health.Watch
				for i := range n {
					ws = append(ws, watch(fmt.Sprint(i), i, f, health.Policy{Interval: tt.interval, Timeout: s}))
				}
				b.set(ws...)
				b.run()
				b.at(tt.budget - time.Nanosecond)
				first := map[netip.AddrPort]time.Duration{}
				parts := make([]int, 10)
				for _, c := range f.Calls() {
					if _, ok := first[c.Target.Addr]; !ok {
						first[c.Target.Addr] = c.At.Sub(b.start)
						parts[c.At.Sub(b.start)*10/tt.budget]++
					}
				}
				known := 0
				for _, w := range b.States() {
					if w.State == health.Up {
						known++
					}
				}
				if len(first) != n || known != n {
					t.Errorf("%d of %d asked, %d known within %v", len(first), n, known, tt.budget)
				}
				for i, got := range parts {
					if got < 95 || got > 105 {
						t.Errorf("tenth %d of the budget has %d first checks", i, got)
					}
				}
				// Later on they are spread over the whole interval.
				b.at(3 * tt.interval)
				before := len(f.Calls())
				parts = make([]int, 10)
				b.at(4*tt.interval - time.Nanosecond)
				for _, c := range f.Calls()[before:] {
					parts[(c.At.Sub(b.start)-3*tt.interval)*10/tt.interval]++
				}
				for i, got := range parts {
					if got < 95 || got > 105 {
						t.Errorf("tenth %d of an interval has %d checks", i, got)
					}
				}
			})
		})
	}
}

func TestMonitorSetKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f, g := healthtest.NewFake("f"), healthtest.NewFake("g")
		f.SetFor(addr(2), healthtest.Verdicts(health.Fail))
		p := health.Policy{Interval: 10 * s, Timeout: s, Fall: 2}
		b.set(watch("a", 1, f, p), watch("b", 2, f, p), watch("c", 3, f, p))
		b.run()
		b.at(25 * s)
		up := b.state("a")
		b.takeEvents()

		// a: unchanged but for its policy; b: under a new name; c: asked otherwise.
		slow := p
		slow.Interval = 30 * s
		b.set(watch("b2", 2, f, p), watch("a", 1, f, slow), watch("c", 3, g, p))
		synctest.Wait()
		if diff := cmp.Diff([]string{"25s b2 unknown>down"}, b.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		a := b.state("a")
		if a.State != health.Up || a.Since != up.Since || a.Counters != up.Counters || len(a.History) != len(up.History) {
			t.Errorf("a = %+v, was %+v", a, up)
		}
		c := b.state("c")
		if c.State != health.Up || c.Counters.OK != 1 || len(c.History) != 1 || c.OKs != 1 {
			t.Errorf("c keeps its state and counts afresh, but is %+v", c)
		}
		if _, ok := b.State("b"); ok {
			t.Error("b is still there")
		}
		order := ""
		for _, w := range b.States() {
			order += w.ID + " "
		}
		if order != "b2 a c " {
			t.Errorf("order %q", order)
		}

		// Another address is another server, whatever it is called.
		b.set(watch("a", 7, healthtestHang(), p))
		synctest.Wait()
		if got := b.state("a"); got.State != health.Unknown || got.Last != nil {
			t.Errorf("a at a new address is %+v", got)
		}
	})
}

func healthtestHang() *healthtest.Fake {
	f := healthtest.NewFake("hang")
	f.Set(healthtest.After(time.Hour, health.OK))
	return f
}

func TestMonitorReloadAddsNoChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		ws := []health.Watch{watch("a", 1, f, health.Policy{Interval: 10 * s}), watch("b", 2, f, health.Policy{Interval: 10 * s})}
		b.set(ws...)
		b.run()
		for range 300 { // a reload every 100 ms, and the phase stays
			b.at(time.Since(b.start) + s/10)
			b.set(ws...)
		}
		b.wantCalls(f, 0, 5*s/2, 5*s, 10*s, 15*s, 20*s, 25*s, 30*s)
	})
}

func TestMonitorRemovedWatchIsCancelledAndSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtestHang()
		b.set(watch("a", 1, f, health.Policy{Interval: 60 * s}))
		b.run()
		b.at(s)
		if f.Running() != 1 {
			t.Fatal("the check does not run")
		}
		b.set()
		synctest.Wait()
		if f.Running() != 0 {
			t.Error("the check of a removed watch still runs")
		}
		b.at(200 * s)
		b.wantEvents()
		if st := b.Stats(); st.Running != 0 || st.Questions != 0 || st.Checks != 1 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestMonitorSetFromAnEventDropsWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(t, health.Config{OnEvent: func(health.Event) {
			b.mu.Lock()
			first := len(b.events) == 1
			b.mu.Unlock()
			if first {
				b.set()
			}
		}})
		f := healthtest.NewFake("f")
		p := health.Policy{Interval: 10 * s}
		b.set(watch("a", 1, f, p), watch("b", 1, f, p), watch("c", 1, f, p)) // one answer, three events
		b.run()
		b.at(30 * s)
		b.wantEvents("0s a unknown>up")
	})
}

func TestMonitorStoppingTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		b.set(watch("a", 1, f, health.Policy{Interval: 10 * s}))
		b.run()
		b.at(9 * s)
		f.Set(healthtest.After(5*s, health.Fail))
		b.at(12 * s)
		if err := b.Monitor.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("a second Run: %v", err)
		}
		b.stop()
		if f.Running() != 0 {
			t.Error("a check outlived Run")
		}
		b.wantEvents("0s a unknown>up")
		// The state is still there, and a new Run goes on from it.
		f.Set(healthtest.Verdicts(health.Fail))
		b.run()
		b.at(13 * s)
		b.wantEvents("0s a unknown>up", "12s a up>down")
	})
}

func TestMonitorBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{MaxConcurrent: 5})
		f := healthtest.NewFake("f")
		f.Set(healthtest.After(s, health.OK))
		var ws []health.Watch
		for i := range 50 {
			ws = append(ws, watch(fmt.Sprint(i), i, f, health.Policy{Interval: 20 * s, Timeout: 2 * s}))
		}
		b.set(ws...)
		b.run()
		b.at(60*s + s/2)
		if _, all := f.MostAtOnce(addr(0)); all != 5 {
			t.Errorf("%d checks at once, want 5", all)
		}
		for i := range 50 { // fair: nobody starves
			if n := f.Count(addr(i)); n < 3 {
				t.Errorf("target %d was asked %d times in 60 s", i, n)
			}
		}
	})
}

func TestMonitorTrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		p := health.Policy{Interval: 60 * s, FastInterval: 2 * s, Timeout: s, Fall: 2}
		b.set(watch("a", 1, f, p), watch("b", 1, f, p))
		b.run()
		b.at(10 * s)
		f.Set(healthtest.Verdicts(health.Fail))
		if !b.Trigger("a") || b.Trigger("nobody") {
			t.Error("Trigger mistakes who is there")
		}
		b.Trigger("b") // the same question: no second check
		b.at(50 * s)
		b.wantCalls(f, 0, 10*s, 12*s)
		b.wantEvents("0s a unknown>up", "0s b unknown>up", "12s a up>down", "12s b up>down")
		b.at(61 * s)
		b.wantCalls(f, 0, 10*s, 12*s, 60*s)
	})
}

func TestMonitorTriggerDuringACheckAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		f.Set(healthtest.After(2*s, health.OK))
		b.set(watch("a", 1, f, health.Policy{Interval: 60 * s}))
		b.run()
		b.at(s)
		b.Trigger("a")
		b.Trigger("a")
		b.at(30 * s)
		b.wantCalls(f, 0, 2*s)
	})
}

func TestMonitorInitialState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		f.Set(healthtest.Verdicts(health.Fail))
		w := watch("a", 1, f, health.Policy{Interval: 10 * s, Fall: 2})
		w.Initial = health.Up
		b.set(w)
		b.run()
		b.at(25 * s)
		b.wantEvents("10s a up>down")
	})
}

func TestMonitorSetRefusesBadWatches(t *testing.T) {
	f := healthtest.NewFake("f")
	m := health.NewMonitor(nil)
	if err := m.Set([]health.Watch{watch("old", 1, f, health.Policy{})}); err != nil {
		t.Fatal(err)
	}
	err := m.Set([]health.Watch{
		{ID: "", Target: health.Target{Addr: addr(1)}, Checker: f},
		{ID: "no-address", Checker: f},
		{ID: "no-checker", Target: health.Target{Addr: addr(1)}},
		watch("twice", 1, f, health.Policy{}), watch("twice", 2, f, health.Policy{}),
		watch("old", 1, f, health.Policy{}), watch("old", 1, f, health.Policy{}),
		watch("negative", 1, f, health.Policy{Interval: -s}),
		{ID: "odd", Target: health.Target{Addr: addr(1)}, Checker: f, Initial: 7},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`watch 0 "": the ID is empty`, `watch 1 "no-address": target`, `watch 2 "no-checker": there is no checker`,
		`watch 4 "twice": the ID is used twice`, `watch 6 "old": the ID is used twice`, `watch 7 "negative": interval -1s`, `watch 8 "odd": initial state(7)`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if states := m.States(); len(states) != 1 || states[0].ID != "old" {
		t.Errorf("the old set is gone: %v", states)
	}
}
