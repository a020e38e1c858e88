package health

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a checker that runs a function.
type script func(ctx context.Context) Result

func (script) Identity() string                             { return "script" }
func (f script) Check(ctx context.Context, _ Target) Result { return f(ctx) }
func hangUntilEnd(ctx context.Context) Result {
	<-ctx.Done()
	return Result{Verdict: Fail, Reason: "too slow"}
}

func sayAfter(d time.Duration, v Verdict, reason string) script {
	return func(ctx context.Context) Result { time.Sleep(d); return Result{Verdict: v, Reason: reason} }
}

// standStill makes a Monitor believe that the process stood still for so
// long until now: all that a stall leaves behind is that no goroutine ran.
func (m *Monitor) standStill(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastBeat -= d
	m.beat(m.now())
}

func oneWatch(c Checker, p Policy) []Watch {
	return []Watch{{ID: "a", Target: Target{Addr: netip.MustParseAddrPort("192.0.2.1:80")}, Checker: c, Policy: p, Initial: Up}}
}

func startMonitor(t *testing.T, m *Monitor) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestOwnStallExcuses(t *testing.T) {
	const s = time.Second
	for name, tt := range map[string]struct {
		check script
		stall time.Duration
		want  State
	}{
		"a time-out after half of it":     {hangUntilEnd, 4 * s, Up},
		"no time-out after a short stall": {hangUntilEnd, 2 * s, Down},
		"no time-out without one":         {hangUntilEnd, 0, Down},
		"a server that got tired of us":   {sayAfter(5*s, Fail, "closed"), 3 * s, Up},
		"no answer after a short stall":   {sayAfter(5*s, Fail, "closed"), s / 2, Down},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewMonitor(nil)
				if err := m.Set(oneWatch(tt.check, Policy{Interval: 20 * s, Timeout: 6 * s})); err != nil {
					t.Fatal(err)
				}
				startMonitor(t, m)
				time.Sleep(s)
				if tt.stall > 0 {
					m.standStill(tt.stall)
				}
				time.Sleep(5*s + s/2) // the first check has ended, the next has not
				got, _ := m.State("a")
				if got.State != tt.want {
					t.Errorf("%v, want %v; %+v", got.State, tt.want, got.Last)
				}
				excused := tt.want == Up
				st := m.Stats()
				if (st.Excused == 1) != excused || (st.Stalls > 0) != (tt.stall > stallMin) {
					t.Errorf("stats = %+v", st)
				}
				if excused && !strings.Contains(got.Last.Reason, "stood still") {
					t.Errorf("reason %q", got.Last.Reason)
				}
				// What is excused is asked again soon, so that a dead server
				// does not gain an interval.
				time.Sleep(7 * s)
				if got, _ = m.State("a"); got.State != Down || m.Stats().Checks != map[bool]uint64{true: 2, false: 1}[excused] {
					t.Errorf("later: %v after %d checks", got.State, m.Stats().Checks)
				}
			})
		})
	}
}

func TestSlowListenerIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMonitor(&Config{OnEvent: func(Event) { time.Sleep(time.Minute) }})
		ws := oneWatch(script(hangUntilEnd), Policy{Interval: 10 * time.Second, Timeout: time.Second})
		b := ws[0]
		b.ID, b.Target.Addr = "b", netip.MustParseAddrPort("192.0.2.2:80")
		if err := m.Set(append(ws, b)); err != nil {
			t.Fatal(err)
		}
		startMonitor(t, m)
		time.Sleep(5 * time.Minute)
		for _, w := range m.States() {
			if w.State != Down {
				t.Errorf("%s is %v", w.ID, w.State)
			}
		}
		if st := m.Stats(); st.Stalls != 0 || st.Excused != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// Turns that a stall made late do not come all at once.
func TestStallSpreadsLateTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		m := NewMonitor(nil)
		var ws []Watch
		for i := range n {
			w := oneWatch(sayAfter(0, OK, "fine"), Policy{Interval: 4 * time.Second})[0]
			w.Target.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
			w.ID = w.Target.Addr.String()
			ws = append(ws, w)
		}
		if err := m.Set(ws); err != nil {
			t.Fatal(err)
		}
		startMonitor(t, m)
		time.Sleep(20*time.Second + time.Microsecond)
		synctest.Wait()
		// As if nothing had run for the 10 s to come: move all turns back.
		m.mu.Lock()
		for _, p := range m.queue {
			for _, w := range p.watches {
				w.turn, w.next = w.turn-10*time.Second, w.next-10*time.Second
			}
			p.phase -= 10 * time.Second
			p.due -= 10 * time.Second
		}
		m.mu.Unlock()
		before := m.Stats().Checks
		m.standStill(10 * time.Second)
		for tenth := 1; tenth <= 10; tenth++ {
			time.Sleep(400 * time.Millisecond)
			got := m.Stats().Checks - before
			if want := uint64(n * tenth / 10); got+n/20 < want || got > want+n/20 {
				t.Errorf("%d checks in the first %d tenths, want about %d", got, tenth, want)
			}
		}
	})
}

// A machine that stands still again and again still asks everybody.
func TestManyStallsStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMonitor(nil)
		var ws []Watch
		for i := range 100 {
			w := oneWatch(sayAfter(0, OK, "fine"), Policy{Interval: 2 * time.Second})[0]
			w.Target.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)
			w.ID = w.Target.Addr.String()
			ws = append(ws, w)
		}
		if err := m.Set(ws); err != nil {
			t.Fatal(err)
		}
		startMonitor(t, m)
		time.Sleep(5 * time.Second)
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			// All that is due has been for a while: every turn is late.
			m.mu.Lock()
			for _, p := range m.queue {
				p.due -= 2 * time.Second
				for _, w := range p.watches {
					w.next -= 2 * time.Second
				}
			}
			m.lastBeat -= 2 * time.Second
			m.mu.Unlock()
			m.standStill(0)
		}
		for _, w := range m.States() {
			if age := time.Since(w.Last.Start); age > 5*time.Second {
				t.Errorf("%s was last asked %v ago", w.ID, age)
			}
		}
	})
}

func TestPanickingChecker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMonitor(nil)
		calls := 0
		c := script(func(context.Context) Result {
			if calls++; calls == 2 {
				panic("a bad reply")
			}
			return Result{Verdict: OK, Reason: "fine"}
		})
		if err := m.Set(oneWatch(c, Policy{Interval: time.Second})); err != nil {
			t.Fatal(err)
		}
		startMonitor(t, m)
		time.Sleep(1500 * time.Millisecond)
		if got, _ := m.State("a"); got.Last.Verdict != NoResult || got.Last.Reason != "the checker panicked: a bad reply" || got.State != Up {
			t.Errorf("%+v, %+v", got, got.Last)
		}
		time.Sleep(time.Second)
		if got, _ := m.State("a"); got.Last.Verdict != OK {
			t.Errorf("it was not asked again: %+v", got.Last)
		}
		if st := m.Stats(); st.Panics != 1 || st.NoResult != 1 || st.Running != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}
