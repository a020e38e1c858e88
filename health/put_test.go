package health_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func (b *bench) put(ws ...health.Watch) {
	b.Helper()
	if err := b.Put(ws...); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wantOrder(want string) {
	b.Helper()
	got := ""
	for _, w := range b.States() {
		got += w.ID + " "
	}
	if strings.TrimSpace(got) != want {
		b.Errorf("order %q, want %q", got, want)
	}
}

func TestMonitorPutAndRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f, g := healthtest.NewFake("f"), healthtest.NewFake("g")
		p := health.Policy{Interval: 10 * s, Timeout: s}
		b.put(watch("a", 1, f, p), watch("b", 2, f, p))
		b.put(watch("c", 3, f, p))
		b.wantOrder("a b c")
		b.run()
		b.at(25 * s)
		a := b.state("a")
		calls := f.Count(addr(1))
		b.takeEvents()

		slow := p
		slow.Interval = 30 * s
		b.put(watch("a", 1, f, slow)) // keeps everything
		b.put(watch("c", 3, g, p))    // another question: keeps its state
		b.put(watch("b", 7, f, p))    // another server
		b.put(watch("d", 1, f, slow)) // takes over what is known of a
		b.at(25*s + s/1000)
		b.wantOrder("a b c d")
		if got := b.state("a"); got.Since != a.Since || got.Counters != a.Counters || f.Count(addr(1)) != calls {
			t.Errorf("a = %+v, was %+v; asked %d times more", got, a, f.Count(addr(1))-calls)
		}
		if got := b.state("c"); got.State != health.Up || got.Counters.OK != 1 || got.Check != "g" {
			t.Errorf("c = %+v", got)
		}
		if got := b.state("b"); got.Counters.OK != 1 || got.Target.Addr != addr(7) {
			t.Errorf("b = %+v", got)
		}
		if diff := cmp.Diff([]string{"25s d unknown>up", "25.00005s b unknown>up"}, b.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}

		b.Remove("b", "nobody")
		b.Remove("a")
		b.wantOrder("c d")
		f.Set(healthtest.Verdicts(health.Fail))
		before := f.Count(addr(7))
		b.at(100 * s)
		if f.Count(addr(7)) != before {
			t.Error("a removed watch is asked for")
		}
		if st := b.Stats(); st.Watches != 2 || st.Questions != 2 {
			t.Errorf("stats = %+v", st)
		}
		b.Remove("c", "d")
		b.wantOrder("")
		b.put(watch("e", 1, f, p))
		b.wantOrder("e")
	})
}

func TestMonitorPutRefusesBadWatches(t *testing.T) {
	f := healthtest.NewFake("f")
	m := health.NewMonitor(nil)
	if err := m.Put(watch("old", 1, f, health.Policy{})); err != nil {
		t.Fatal(err)
	}
	err := m.Put(watch("new", 2, f, health.Policy{}), watch("old", 1, f, health.Policy{}), watch("old", 1, f, health.Policy{}), watch("x", 1, f, health.Policy{Jitter: 0.6}))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`watch 2 "old": the ID is used twice`, `watch 3 "x": jitter 0.6: want 0 to 0.5`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if states := m.States(); len(states) != 1 {
		t.Errorf("half of it came in: %v", states)
	}
}

func TestMonitorRemoveIsSilentAndCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtestHang()
		b.put(watch("a", 1, f, health.Policy{Interval: 60 * s}))
		b.run()
		b.at(s)
		b.Remove("a")
		synctest.Wait()
		if f.Running() != 0 {
			t.Error("the check of a removed watch still runs")
		}
		b.at(200 * s)
		b.wantEvents()
	})
}

// Watches that come one by one are asked at once, and their turns do not fall
// together.
func TestMonitorPutSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		b.run()
		b.at(0)
		for i := range n {
			b.put(watch(fmt.Sprint(i), i, f, health.Policy{Interval: 10 * s}))
		}
		b.at(s)
		if got := len(f.Calls()); got < n || got > n+n/8 {
			t.Errorf("%d checks in the first second", got)
		}
		b.at(20 * s)
		before := len(f.Calls())
		parts := make([]int, 10)
		b.at(30*s - time.Nanosecond)
		for _, c := range f.Calls()[before:] {
			parts[(c.At.Sub(b.start)-20*s)/s]++
		}
		for i, got := range parts {
			if got < 90 || got > 110 {
				t.Errorf("second %d of an interval has %d checks", i, got)
			}
		}
	})
}

func TestMonitorJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, health.Config{})
		f := healthtest.NewFake("f")
		p := health.Policy{Interval: 10 * s, Timeout: s, Jitter: 0.2}
		b.put(watch("a", 1, f, p), watch("same question", 1, f, p))
		b.run()
		b.at(1005 * s)
		calls := f.Calls()
		if len(calls) != 101 {
			t.Fatalf("%d checks, want one each turn for both watches", len(calls))
		}
		early, late := 0, 0
		for i, c := range calls[1:] {
			off := c.At.Sub(b.start) - time.Duration(i+1)*10*s
			if off < -2*s || off > 2*s {
				t.Errorf("turn %d is off by %v", i+1, off)
			}
			if off < -s {
				early++
			} else if off > s {
				late++
			}
		}
		if early < 10 || late < 10 {
			t.Errorf("%d of 100 turns clearly early, %d late", early, late)
		}
		if n := b.state("a").Counters.Overruns; n != 0 {
			t.Errorf("%d overruns", n)
		}
		// With jitter the longest time is longer.
		if got, want := p.WorstDetection(), 15*s; got != want {
			t.Errorf("worst detection %v, want %v", got, want)
		}
	})
}
