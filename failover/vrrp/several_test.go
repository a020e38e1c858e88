package vrrp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// slow is an advert of a router with three times our interval.
func slow(at time.Duration, priority uint8) Event {
	e := advert(at, priority, high)
	e.Interval = 3 * second
	return e
}

// TestStopOfOneOfSeveral: two routers were active, as after a split. When the
// one that counted stops, the other one is no reason to wait for the skew only.
func TestStopOfOneOfSeveral(t *testing.T) {
	patient := usual
	patient.NoPreempt = true
	m := in(t, StateBackup, patient) // hears high at 0
	m, _ = m.Step(advert(900*time.Millisecond, 50, low), 900*time.Millisecond)
	m, _ = m.Step(advert(second, 200, high), second)
	m, _ = m.Step(advert(1500*time.Millisecond, PriorityStop, high), 1500*time.Millisecond)
	if got, want := m.Next(), second+down; got != want {
		t.Errorf("takes over at %v, want %v: the router of lower priority is to be left alone", got, want)
	}
	m, _ = m.Step(advert(1900*time.Millisecond, 50, low), 1900*time.Millisecond)
	if got, want := m.Next(), 1900*time.Millisecond+down; got != want {
		t.Errorf("takes over at %v, want %v", got, want)
	}
	// Alone again, its stop is news.
	m, _ = m.Step(advert(2900*time.Millisecond, 50, low), 2900*time.Millisecond)
	m, _ = m.Step(advert(5*second, PriorityStop, low), 5*second)
	if got, want := m.Next(), 5*second+m.Skew(); got != want {
		t.Errorf("after the stop of the last one: at %v, want %v", got, want)
	}
	if active, _ := m.Active(); active.IsValid() {
		t.Errorf("%v is active, although it has stopped", active)
	}
}

// TestStopOfTheWinnerOfThree: a router that was active beside one of lower
// priority gives way to a third one, which stops at once.
func TestStopOfTheWinnerOfThree(t *testing.T) {
	delayed := usual
	delayed.PreemptDelay = 10 * second
	m := in(t, StateActive, delayed)
	m, _ = m.Step(advert(second, 50, low), second)
	m, _ = m.Step(advert(1500*time.Millisecond, 200, high), 1500*time.Millisecond)
	m, _ = m.Step(advert(1600*time.Millisecond, PriorityStop, high), 1600*time.Millisecond)
	if got, want := m.Next(), 1500*time.Millisecond+down; got != want {
		t.Errorf("takes over at %v, want %v", got, want)
	}
	// One that is to be relieved anyway is no reason to wait.
	m = in(t, StateActive, usual)
	m, _ = m.Step(advert(second, 50, low), second)
	m, _ = m.Step(advert(1500*time.Millisecond, 200, high), 1500*time.Millisecond)
	m, _ = m.Step(advert(1600*time.Millisecond, PriorityStop, high), 1600*time.Millisecond)
	if got, want := m.Next(), 1600*time.Millisecond+m.Skew(); got != want {
		t.Errorf("takes over at %v, want %v", got, want)
	}
}

// TestLastWordOfAnotherIsNoInterval: the router that gives way has another
// interval than the one that stays, which is heard less often.
func TestLastWordOfAnotherIsNoInterval(t *testing.T) {
	m := in(t, StateBackup, usual)
	m, _ = m.Step(slow(second, 200), second)
	m, _ = m.Step(advert(1100*time.Millisecond, 150, low), 1100*time.Millisecond)
	want := 9*second + 3*156*second/256
	if got := m.DownInterval(); got != want || m.Interval() != 3*second {
		t.Errorf("down interval %v of an interval of %v, want %v", got, m.Interval(), want)
	}
	// And the slow one may be the lower of two.
	m = in(t, StateBackup, usual)
	e := slow(100*time.Millisecond, 150)
	e.Source = low
	m, _ = m.Step(e, 100*time.Millisecond)
	if got := m.DownInterval(); got != want {
		t.Errorf("down interval %v beside a slower router, want %v", got, want)
	}
	m, _ = m.Step(advert(second, 200, high), second)
	if got := m.DownInterval(); got != down {
		t.Errorf("down interval %v when the active one speaks again, want %v", got, down)
	}
}

// TestOwnPriorityFallsBeforePreemption: the router that was to be relieved
// outranks us now, and was heard a moment ago.
func TestOwnPriorityFallsBeforePreemption(t *testing.T) {
	m := in(t, StateBackup, usual)
	for i := range time.Duration(4) {
		m, _ = m.Step(advert(i*second, 50, high), i*second)
	}
	if got := m.Next(); got != down {
		t.Fatalf("preempts at %v, want %v", got, down)
	}
	m, _ = m.Step(Event{Kind: EventPriority, Priority: 40}, 3500*time.Millisecond)
	if got, want := m.Next(), 3*second+3*second+216*second/256; got != want {
		t.Errorf("takes over at %v, want %v", got, want)
	}
	// The stop of another one before that is forgotten, too.
	m = in(t, StateBackup, usual)
	m, _ = m.Step(advert(second, PriorityStop, high), second)
	m, _ = m.Step(advert(1100*time.Millisecond, 50, low), 1100*time.Millisecond)
	m, _ = m.Step(Event{Kind: EventPriority, Priority: 40}, 1200*time.Millisecond)
	if got, want := m.Next(), 1100*time.Millisecond+3*second+216*second/256; got != want {
		t.Errorf("after a stop it takes over at %v, want %v", got, want)
	}
}

// TestReclaimEndsAYieldOnly: without one it does not begin the delay anew.
func TestReclaimEndsAYieldOnly(t *testing.T) {
	delayed := usual
	delayed.PreemptDelay = 2 * second
	m := in(t, StateBackup, delayed)
	for i := range time.Duration(4) {
		m, _ = m.Step(advert(i*second, 50, high), i*second)
	}
	next := m.Next()
	m, _ = m.Step(Event{Kind: EventReclaim}, 3500*time.Millisecond)
	m, _ = m.Step(advert(4*second, 50, high), 4*second)
	if got := m.Next(); got != next {
		t.Errorf("takes over at %v, want %v as before", got, next)
	}
}

// TestAdvertsOutOfOrder: a clock that was set makes a later advert the older
// one. It is to be relieved all the same.
func TestAdvertsOutOfOrder(t *testing.T) {
	m := in(t, StateBackup, usual)
	m, _ = m.Step(advert(2*second, 50, high), 2*second)
	m, _ = m.Step(advert(1900*time.Millisecond, 50, high), 2*second)
	if got := m.Next(); got != down {
		t.Errorf("preempts at %v, want %v", got, down)
	}
	// One that is not to be relieved is silent since the latest.
	m = in(t, StateBackup, usual)
	m, _ = m.Step(advert(2*second, 150, high), 2*second)
	m, _ = m.Step(advert(1900*time.Millisecond, 150, high), 2*second)
	if got := m.Next(); got != 2*second+down {
		t.Errorf("takes over at %v, want %v", got, 2*second+down)
	}
}

// TestTrackersMakeNoOwner: nor a router that says that it stops, nor another one
// of an owner.
func TestTrackersMakeNoOwner(t *testing.T) {
	owner := usual
	owner.Priority = PriorityOwner
	for _, c := range []struct {
		p           Params
		given, want uint8
	}{{usual, PriorityOwner, 254}, {usual, 0, 1}, {usual, 7, 7}, {owner, 7, PriorityOwner}} {
		m, _ := in(t, StateActive, c.p).Step(Event{Kind: EventPriority, Priority: c.given}, second)
		_, out := m.Step(Event{Kind: EventTick}, 2*second)
		if m.Priority() != c.want || len(out) != 1 || out[0].Priority != c.want {
			t.Errorf("%d, given %d, is %d and says %v; want %d", c.p.Priority, c.given, m.Priority(), out, c.want)
		}
	}
}

// TestStopOfARivalIsAnnounced: one that says that it stops was active, too, and
// nothing else may ever have been heard of it.
func TestStopOfARivalIsAnnounced(t *testing.T) {
	m := in(t, StateActive, usual)
	m, out := m.Step(advert(5*second, PriorityStop, low), 5*second)
	if diff := cmp.Diff([]string{"send", "announce"}, told(out)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	_, out = m.Step(advert(5*second+1, PriorityStop, low), 5*second+1)
	if diff := cmp.Diff([]string{"send"}, told(out)); diff != "" {
		t.Errorf("once more at the same moment (-want +got):\n%s", diff)
	}
}

// TestListeningOutlastsAStop: a router that has just started, or whose fault has
// just ended, hears one stop. It does not know yet whether another one is active.
func TestListeningOutlastsAStop(t *testing.T) {
	for name, begin := range map[string]func() Machine{
		"start": func() Machine {
			m := NewMachine(usual, 0)
			m, _ = m.Step(Event{Kind: EventStart}, 0)
			return m
		},
		"fault": func() Machine {
			m := in(t, StateFault, usual)
			m, _ = m.Step(Event{Kind: EventFault}, 0)
			return m
		},
	} {
		m := begin()
		m, _ = m.Step(advert(second/10, PriorityStop, low), second/10)
		if got, want := m.Next(), second+156*second/256; got != want {
			t.Errorf("%s: takes over at %v, want %v", name, got, want)
		}
		if m, _ = m.Step(advert(second/2, 200, high), second/2); m.Next() != second/2+down {
			t.Errorf("%s: takes over at %v, want %v", name, m.Next(), second/2+down)
		}
	}
}

// The router that was to be relieved is left alone when other parameters say so.
func TestOtherParamsEndAPreemption(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *Params)
		want   time.Duration
	}{
		{"a lower priority", func(p *Params) { p.Priority = 40 }, 3*second + 3*second + 216*second/256},
		{"no preemption", func(p *Params) { p.NoPreempt = true }, 3*second + down},
		{"a longer delay", func(p *Params) { p.PreemptDelay = time.Minute }, 3*second + down},
		{"a delay that is over", func(p *Params) { p.PreemptDelay = second }, down},
		{"another priority above it", func(p *Params) { p.Priority = 60 }, 3*second + 196*second/256},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, p := in(t, StateBackup, usual), usual
			for i := range time.Duration(4) {
				m, _ = m.Step(advert(i*second, 50, high), i*second)
			}
			c.change(&p)
			m, _ = m.Step(Event{Kind: EventParams, Params: &p}, 3500*time.Millisecond)
			if got := m.Next(); got != c.want {
				t.Errorf("takes over at %v, want %v", got, c.want)
			}
		})
	}
}
