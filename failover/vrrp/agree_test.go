package vrrp

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var grouped = func() Params { p := usual; p.Grouped = true; return p }()

// member returns a machine of a group in a situation, at the time 0.
func member(t *testing.T, s string) *Machine {
	t.Helper()
	m := NewMachine(grouped, -time.Hour)
	do := func(e Event, at time.Duration) { m, _ = m.Step(e, at) }
	if s != "init" {
		do(Event{Kind: EventStart}, -10*second)
	}
	switch s {
	case "init":
	case "listens":
		m = NewMachine(grouped, 0)
		do(Event{Kind: EventStart}, 0)
	case "fault":
		do(Event{Kind: EventFault, On: true}, 0)
	case "mended":
		do(Event{Kind: EventFault, On: true}, -second)
		do(Event{Kind: EventFault}, 0)
	case "ready": // the second advert that it missed was due 1 s ago
		do(advert(-3*second, 200, high), -3*second)
		do(Event{Kind: EventTick}, down)
	case "hears": // has heard since
		do(advert(-second/2, 200, high), -second/2)
	case "heard": // has not heard since
		do(advert(-2*second, 200, high), -2*second)
	case "late": // its next advert was due 0.3 s ago, and may come yet
		do(advert(down-1300*time.Millisecond, 200, high), down-1300*time.Millisecond)
	case "doubted": // ready, and was wrong before
		do(advert(-4*second, 200, high), -4*second)
		do(Event{Kind: EventFollow, State: StateBackup, On: true}, -4*second)
		do(Event{Kind: EventTick}, down)
	case "stops": // ready, as it was told of a stop
		do(advert(-second, 200, high), -second)
		do(advert(0, 0, high), 0)
		do(Event{Kind: EventTick}, down)
	case "started": // was told of a stop before it had listened
		m = NewMachine(grouped, 0)
		do(Event{Kind: EventStart}, -second)
		do(advert(-second/2, 0, high), -second/2)
	case "hears another": // has heard one that serves after that stop
		do(advert(-second, 200, high), -second)
		do(advert(second/10, 200, own), second/10)
	case "stopped": // has heard a stop since
		do(advert(-second/2, 200, high), -second/2)
		do(advert(-second/2, 0, high), -second/2)
	case "active":
		do(Event{Kind: EventTick}, -second)
		do(Event{Kind: EventFollow, State: StateActive}, 0)
	case "gave way":
		do(Event{Kind: EventTick}, -second)
		do(Event{Kind: EventFollow, State: StateActive}, -2*second)
		do(Event{Kind: EventFollow, State: StateBackup}, -2*second)
	default:
		t.Fatal(s)
	}
	return &m
}

func TestAgree(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []string
		want    Verdict
		by      int
	}{
		{"one alone that is ready", []string{"ready"}, VerdictUp, 0},
		{"one alone that hears", []string{"hears"}, VerdictStay, -1},
		{"all active", []string{"active", "active"}, VerdictStay, -1},
		{"one in fault", []string{"active", "fault"}, VerdictDown, 1},
		{"one gave way", []string{"hears", "active", "active"}, VerdictDown, 0},
		{"one stopped", []string{"active", "init"}, VerdictDown, 1},
		{"all ready", []string{"ready", "ready"}, VerdictUp, 0},
		{"nobody ready", []string{"hears", "heard"}, VerdictStay, -1},
		{"one ready, the other has heard nothing since", []string{"heard", "ready"}, VerdictUp, 1},
		{"one ready, the other has heard since", []string{"ready", "hears"}, VerdictStay, -1},
		{"one ready, the other's next advert is late", []string{"ready", "late"}, VerdictStay, -1},
		{"one ready, the other has heard a stop since, and its skew lasts", []string{"ready", "stopped"}, VerdictStay, -1},
		{"one ready after a stop, the other has heard it, too", []string{"stops", "stopped"}, VerdictUp, 0},
		{"one ready after a stop, the other has heard nothing since", []string{"stops", "hears"}, VerdictUp, 0},
		{"one ready after a stop, the other has heard another router since", []string{"stops", "hears another"}, VerdictStay, -1},
		{"one ready after a stop, the other has not listened yet", []string{"stops", "started"}, VerdictStay, -1},
		{"one that was wrong before, the other has heard nothing since", []string{"doubted", "heard"}, VerdictStay, -1},
		{"one that was wrong before, the other ready", []string{"doubted", "ready"}, VerdictUp, 0},
		{"one ready, the other listens after its start", []string{"ready", "listens"}, VerdictStay, -1},
		{"one ready, the other listens after a fault", []string{"ready", "mended"}, VerdictStay, -1},
		{"one ready, the other in fault", []string{"ready", "fault"}, VerdictStay, -1},
		{"one ready, the other not started", []string{"init", "ready"}, VerdictStay, -1},
		{"one ready, the others gave way with it", []string{"gave way", "gave way", "ready"}, VerdictUp, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ms []*Machine
			for _, s := range c.members {
				ms = append(ms, member(t, s))
			}
			if v, by := Agree(ms); v != c.want || by != c.by {
				t.Errorf("%v by %d, want %v by %d", v, by, c.want, c.by)
			}
		})
	}
}

// A member of a group is ready where a router alone is active, waits without a
// timer, and ceases to be ready when a better router is heard.
func TestMemberIsReadyFirst(t *testing.T) {
	m := *member(t, "ready")
	if m.state != StateBackup || !m.Ready() || m.Next() != Never || m.reason != ReasonActiveSilent {
		t.Errorf("%v, ready %v, %v, next %v", m.state, m.Ready(), m.reason, m.Next())
	}
	if n, _ := m.Step(advert(down, 50, low), down); !n.Ready() {
		t.Error("a lower router ends the readiness")
	}
	if n, _ := m.Step(advert(down, 0, high), down); !n.Ready() {
		t.Error("a stop ends the readiness")
	}
	n, _ := m.Step(advert(down, 200, high), down)
	if n.Ready() || n.Next() != 2*down {
		t.Errorf("after a better router: ready %v, next %v", n.Ready(), n.Next())
	}
	n, out := m.Step(Event{Kind: EventFollow, State: StateActive}, down)
	if diff := cmp.Diff([]string{"send", "state", "announce"}, told(out)); diff != "" || n.reason != ReasonActiveSilent || n.Ready() {
		t.Errorf("%v for %v (-want +got):\n%s", n.state, n.reason, diff)
	}
	// Ready to relieve a lower one, which then is gone.
	l := *member(t, "heard")
	l, _ = l.Step(advert(second/10, 50, low), second/10)
	l, _ = l.Step(Event{Kind: EventTick}, down-2*second)
	if l.reason != ReasonPreempt || !l.Ready() || l.Next() != down+second/10 {
		t.Errorf("above a lower router: %v, ready %v, next %v", l.reason, l.Ready(), l.Next())
	}
	l, _ = l.Step(advert(second, 50, low), second)
	if late, _ := l.Step(Event{Kind: EventTick}, down); late.reason != ReasonPreempt {
		t.Errorf("while the lower router serves: %v", late.reason)
	}
	l, _ = l.Step(Event{Kind: EventTick}, down+second)
	if l.reason != ReasonActiveSilent || !l.Ready() || l.base != second || l.Next() != Never {
		t.Errorf("when the lower router is gone: %v, ready %v, since %v, next %v", l.reason, l.Ready(), l.base, l.Next())
	}
	o := *member(t, "heard")
	if o, _ = o.Step(Event{Kind: EventFollow, State: StateActive}, down); o.state != StateActive || o.reason != ReasonGroup {
		t.Errorf("the other one is %v for %v", o.state, o.reason)
	}
	p := grouped
	p.Priority = PriorityOwner
	if m, _ := NewMachine(p, 0).Step(Event{Kind: EventStart}, 0); !m.Ready() || m.state != StateBackup || m.reason != ReasonOwner {
		t.Errorf("an owner is %v for %v", m.state, m.reason)
	}
}

// Who gave way with its group is back later than otherwise, unless somebody
// serves meanwhile.
func TestMemberWaitsAfterGivingWay(t *testing.T) {
	wait := 300 * time.Millisecond
	skew := 156 * second / 256
	m := *member(t, "active")
	m, _ = m.Step(Event{Kind: EventFollow, State: StateBackup, Wait: wait}, 0)
	if got := m.Next(); got != down+wait {
		t.Errorf("alone: %v, want %v", got, down+wait)
	}
	n, _ := m.Step(advert(1, 0, high), 1)
	if got := n.Next(); got != 1+skew+wait {
		t.Errorf("after a stop: %v, want %v", got, 1+skew+wait)
	}
	for i := range time.Duration(3) {
		m, _ = m.Step(advert(i*second, 200, high), i*second)
	}
	if got := m.Next(); got != 2*second+down {
		t.Errorf("when somebody serves: %v, want %v", got, 2*second+down)
	}
	m, _ = m.Step(Event{Kind: EventTick}, m.Next())
	if !m.Ready() {
		t.Error("not ready in the end")
	}
}

func TestVerdictNames(t *testing.T) {
	if got := fmt.Sprint(VerdictStay, VerdictUp, VerdictDown, Verdict(9)); got != "stay up down verdict(9)" {
		t.Error(got)
	}
}

// A member that was wrong is believed again when it hears a better router.
func TestMemberIsBelievedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Params)
		event  Event
		want   bool // doubted
	}{
		"better":                   {func(*Params) {}, advert(0, 200, high), false},
		"worse":                    {func(*Params) {}, advert(0, 50, low), true},
		"worse, and not preempted": {func(p *Params) { p.NoPreempt = true }, advert(0, 50, low), false},
		"worse, and left for now":  {func(p *Params) { p.PreemptDelay = time.Minute }, advert(0, 50, low), true},
		"stop":                     {func(*Params) {}, advert(0, 0, high), true},
		"tick":                     {func(*Params) {}, Event{Kind: EventTick}, true},
	} {
		p := grouped
		c.change(&p)
		m := in(t, StateBackup, p)
		m, _ = m.Step(Event{Kind: EventFollow, State: StateBackup, On: true}, 0)
		if m, _ = m.Step(c.event, 0); m.doubted != c.want {
			t.Errorf("%s: doubted %v", name, m.doubted)
		}
	}
}
