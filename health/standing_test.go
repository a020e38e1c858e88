package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stander is a checker with sessions that the test holds the strings of.
type stander struct {
	id    string
	start time.Time
	fail  chan error

	sync.Mutex
	answer Verdict // of Check
	log    []string
	report func(Result) // while a session stands
	refuse error
	live   int
}

func newStander(id string) *stander {
	return &stander{id: id, start: time.Now(), answer: OK, fail: make(chan error)}
}

func (f *stander) Identity() string { return f.id }

func (f *stander) note(what string) {
	f.Lock()
	defer f.Unlock()
	f.log = append(f.log, fmt.Sprintf("%v %s", time.Since(f.start), what))
}

func (f *stander) Check(context.Context, Target) Result {
	f.note("check")
	f.Lock()
	defer f.Unlock()
	return Result{Verdict: f.answer, Reason: "check"}
}

func (f *stander) Stand(ctx context.Context, _ Target, report func(Result)) error {
	f.note("stand")
	f.Lock()
	defer f.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.report = report
	f.live++
	f.Unlock()
	defer func() { f.Lock(); f.live-- }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.fail:
		return err
	}
}

func (f *stander) say(v Verdict, reason string) {
	f.Lock()
	report := f.report
	f.Unlock()
	report(Result{Verdict: v, Reason: reason})
}

// set changes what the checker does from now on.
func (f *stander) set(answer Verdict, refuse error) {
	f.Lock()
	defer f.Unlock()
	f.answer, f.refuse, f.log = answer, refuse, nil
}

func (f *stander) sessions() int {
	f.Lock()
	defer f.Unlock()
	return f.live
}

func (f *stander) logged() []string {
	f.Lock()
	defer f.Unlock()
	return slices.Clone(f.log)
}

func (f *stander) wantLog(t *testing.T, want ...string) {
	t.Helper()
	f.Lock()
	defer f.Unlock()
	// What happens at one time happens in any order.
	slices.Sort(want)
	slices.Sort(f.log)
	if diff := cmp.Diff(want, f.log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	f.log = nil
}

func standTest(t *testing.T, cfg Config, test func(t *testing.T, m *Monitor, f *stander, events func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		f := newStander("f")
		var events []string
		cfg.OnEvent = func(e Event) {
			f.Lock()
			defer f.Unlock()
			events = append(events, fmt.Sprintf("%v %v>%v %s", time.Since(f.start), e.Old, e.New, e.Reason))
		}
		m := NewMonitor(&cfg)
		startMonitor(t, m)
		test(t, m, f, func() []string {
			f.Lock()
			defer f.Unlock()
			return slices.Clone(events)
		})
	})
}

func mustPut(t *testing.T, m *Monitor, ws ...Watch) {
	t.Helper()
	if err := m.Put(ws...); err != nil {
		t.Fatal(err)
	}
}

func TestStandingReportCountsAtOnce(t *testing.T) {
	const s = time.Second
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, events func() []string) {
		p := Policy{Interval: 10 * s, FastInterval: 2 * s, Fall: 3}
		w := oneWatch(f, p)[0]
		w.Initial = Unknown
		mustPut(t, m, w)
		time.Sleep(s)
		f.wantLog(t, "0s stand", "0s check") // nothing reported: asked by turns
		time.Sleep(4 * s)
		f.say(OK, "serving")
		time.Sleep(30 * s)
		f.wantLog(t) // the turns take the report
		time.Sleep(s)
		f.say(Fail, "draining") // at 36 s: counts at once, twice more by fast turns
		time.Sleep(10 * s)
		f.wantLog(t)
		if diff := cmp.Diff([]string{"0s unknown>up check", "40s up>down draining"}, events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		st := m.Stats()
		if st.Sessions != 1 || st.Reports != 2 || st.Checks != 1 {
			t.Errorf("stats = %+v", st)
		}
		m.Remove("a")
		synctest.Wait()
		if st := m.Stats(); f.sessions() != 0 || st.Sessions != 0 || st.Questions != 0 {
			t.Errorf("the session outlived its watch: %d, %+v", f.sessions(), st)
		}
		time.Sleep(time.Minute)
		f.wantLog(t)
	})
}

func TestStandingSessionThatBreaks(t *testing.T) {
	const s = time.Second
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, events func() []string) {
		mustPut(t, m, oneWatch(f, Policy{Interval: 10 * s})...)
		time.Sleep(s)
		f.say(OK, "serving")
		time.Sleep(14 * s)
		f.set(Fail, nil) // the server dies, and its session with it
		f.fail <- errors.New("reset")
		time.Sleep(4 * s)
		f.wantLog(t, "15s check") // asked at once
		if diff := cmp.Diff([]string{"15s up>down check"}, events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		// It is tried again at turns, later and later.
		f.set(Fail, errors.New("refused"))
		time.Sleep(time.Hour)
		var tries []string
		for _, line := range f.logged() {
			if slices.Contains([]string{"20s stand", "30s stand", "40s stand", "50s stand", "1m0s stand", "1m10s stand", "1m20s stand"}, line) {
				tries = append(tries, line)
			}
		}
		if diff := cmp.Diff([]string{"20s stand", "30s stand", "40s stand", "50s stand", "1m10s stand"}, tries); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		f.set(OK, nil)
		time.Sleep(2 * time.Minute)
		if f.sessions() != 1 {
			t.Error("there is no session although there could be one")
		}
	})
}

func TestStandingErrNoSession(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, _ func() []string) {
		f.set(OK, fmt.Errorf("old server: %w", ErrNoSession))
		mustPut(t, m, oneWatch(f, Policy{Interval: 10 * time.Second})...)
		time.Sleep(25 * time.Second)
		f.wantLog(t, "0s stand", "0s check", "10s check", "20s check")
	})
}

func TestStandingSessionsAreBounded(t *testing.T) {
	for name, tt := range map[string]struct{ bound, want int }{"two": {2, 2}, "none": {-1, 0}, "the default": {0, 5}} {
		t.Run(name, func(t *testing.T) {
			standTest(t, Config{MaxSessions: tt.bound}, func(t *testing.T, m *Monitor, f *stander, _ func() []string) {
				for i := range 5 {
					w := oneWatch(f, Policy{Interval: 10 * time.Second})[0]
					w.ID, w.Target.Addr = fmt.Sprint(i), netip.AddrPortFrom(w.Target.Addr.Addr(), uint16(i+1))
					mustPut(t, m, w)
				}
				time.Sleep(time.Minute)
				if f.sessions() != tt.want || m.Stats().Sessions != tt.want {
					t.Errorf("%d sessions, %+v; want %d", f.sessions(), m.Stats(), tt.want)
				}
			})
		})
	}
}

// A question that is taken out and put in again while its session still ends
// never has two.
func TestStandingNeverTwice(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, _ func() []string) {
		w := oneWatch(f, Policy{Interval: time.Second})
		for range 100 {
			mustPut(t, m, w...)
			time.Sleep(time.Millisecond)
			if f.sessions() > 1 {
				t.Fatalf("%d sessions", f.sessions())
			}
			m.Remove("a")
		}
		mustPut(t, m, w...)
		time.Sleep(5 * time.Second)
		if f.sessions() != 1 {
			t.Errorf("%d sessions in the end", f.sessions())
		}
	})
}

// A check that contradicts the session is newer than it: the session may be
// that of a server that is gone without a word.
func TestStandingCheckThatKnowsBetter(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, events func() []string) {
		mustPut(t, m, oneWatch(f, Policy{Interval: 10 * time.Second})...)
		time.Sleep(time.Second)
		f.say(OK, "serving")
		time.Sleep(time.Second)
		f.set(Fail, nil)
		m.Trigger("a")
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff([]string{"2s up>down check"}, events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// A flood of reports is slowed down, not kept.
func TestStandingFlood(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, _ func() []string) {
		mustPut(t, m, oneWatch(f, Policy{Interval: time.Hour})...)
		time.Sleep(time.Second)
		began := time.Now()
		for i := range 1000 {
			f.say(Verdict(1+i%2), "again")
		}
		if took := time.Since(began); took < 999*reportGap {
			t.Errorf("1000 reports in %v", took)
		}
		if got := m.Stats().Reports; got != 1000 {
			t.Errorf("%d reports counted", got)
		}
	})
}

// What a session tells right after a stall of ours may be the stall's fault.
func TestStandingDoubtedAfterAStall(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, events func() []string) {
		mustPut(t, m, oneWatch(f, Policy{Interval: 10 * time.Second})...)
		time.Sleep(time.Second)
		f.say(OK, "serving")
		time.Sleep(time.Second)
		m.standStill(10 * time.Second)
		f.say(Fail, "I have not heard of you")
		time.Sleep(time.Second)
		f.wantLog(t, "0s stand", "0s check", "2s check")
		if len(events()) != 0 || m.Stats().Excused != 1 {
			t.Errorf("events %v, stats %+v", events(), m.Stats())
		}
	})
}

func TestStandingPanic(t *testing.T) {
	standTest(t, Config{}, func(t *testing.T, m *Monitor, f *stander, _ func() []string) {
		mustPut(t, m, oneWatch(panicking{f}, Policy{Interval: time.Second})...)
		time.Sleep(1500 * time.Millisecond)
		f.wantLog(t, "0s check", "1s check")
		if st := m.Stats(); st.Panics != 2 || st.Sessions != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

type panicking struct{ *stander }

func (panicking) Stand(context.Context, Target, func(Result)) error { panic("oops") }

func TestStandingRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newStander("f")
		m := NewMonitor(nil)
		mustPut(t, m, oneWatch(f, Policy{Interval: time.Second})...)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if st := m.Stats(); f.sessions() != 0 || st.Sessions != 0 || st.Running != 0 {
				t.Errorf("after Run: %d live, %+v", f.sessions(), st)
			}
		}
		stands := 0
		for _, line := range f.logged() {
			if len(line) > 5 && line[len(line)-5:] == "stand" {
				stands++
			}
		}
		if stands != 3 {
			t.Errorf("%d sessions in 3 runs: %v", stands, f.log)
		}
	})
}
