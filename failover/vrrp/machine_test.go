package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const second = time.Second

var (
	low, own, high = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	usual          = Params{Version: 3, Priority: 100, Interval: second, Address: own}
	// down is the down interval of usual: three adverts and the skew.
	down = 3*second + 156*second/256
)

func advert(at time.Duration, priority uint8, from netip.Addr) Event {
	return Event{Kind: EventHeard, Priority: priority, Interval: second, Source: from, At: at}
}

// told is what actions say, in order.
func told(out []Action) (list []string) {
	for _, a := range out {
		s := a.Kind.String()
		if a.Kind == ActionSend {
			switch a.Priority {
			case PriorityStop:
				s = "send stop"
			default:
				s = "send"
			}
		}
		list = append(list, s)
	}
	return list
}

// in returns a machine with the parameters in a state, at the time 0.
func in(t *testing.T, s State, p Params) Machine {
	t.Helper()
	m := NewMachine(p, -time.Hour)
	if s == StateInit {
		return m
	}
	m, _ = m.Step(Event{Kind: EventStart}, -time.Hour)
	switch s {
	case StateActive:
		m, _ = m.Step(Event{Kind: EventTick}, -p.Interval/2)
		if p.Priority != PriorityOwner {
			m.sendAt = p.Interval / 2
		}
	case StateFault:
		m, _ = m.Step(Event{Kind: EventFault, On: true}, 0)
	case StateBackup:
		m, _ = m.Step(advert(0, 200, high), 0)
	}
	if m.state != s {
		t.Fatalf("in %v, want %v", m.state, s)
	}
	return m
}

// TestEveryStateMeetsEveryEvent has a line for each of them.
func TestEveryStateMeetsEveryEvent(t *testing.T) {
	type line struct {
		event Event
		state State
		out   []string
		next  time.Duration
	}
	at, later := 100*time.Millisecond, 700*time.Millisecond
	skew := 156 * second / 256
	faster := Params{Version: 2, Priority: 50, Interval: second / 10, DownAdverts: 2}
	for state, lines := range map[State]map[string]line{
		StateInit: {
			"tick":          {Event{Kind: EventTick}, StateInit, nil, Never},
			"start":         {Event{Kind: EventStart}, StateBackup, []string{"state"}, at + down},
			"lower heard":   {advert(at, 50, low), StateInit, nil, Never},
			"equal heard":   {advert(at, 100, high), StateInit, nil, Never},
			"higher heard":  {advert(at, 150, high), StateInit, nil, Never},
			"stop heard":    {advert(at, 0, high), StateInit, nil, Never},
			"stall":         {Event{Kind: EventStall}, StateInit, nil, Never},
			"priority":      {Event{Kind: EventPriority, Priority: 30}, StateInit, nil, Never},
			"fault":         {Event{Kind: EventFault, On: true}, StateInit, nil, Never},
			"no fault":      {Event{Kind: EventFault}, StateInit, nil, Never},
			"yield":         {Event{Kind: EventYield}, StateInit, nil, Never},
			"yield before":  {Event{Kind: EventYield, On: true}, StateInit, nil, Never},
			"reclaim":       {Event{Kind: EventReclaim}, StateInit, nil, Never},
			"group active":  {Event{Kind: EventFollow, State: StateActive}, StateInit, nil, Never},
			"group backup":  {Event{Kind: EventFollow, State: StateBackup}, StateInit, nil, Never},
			"stop":          {Event{Kind: EventStop}, StateInit, nil, Never},
			"parameters":    {Event{Kind: EventParams, Params: &faster}, StateInit, nil, Never},
			"unknown event": {Event{Kind: 99}, StateInit, nil, Never},
		},
		StateBackup: {
			"tick":          {Event{Kind: EventTick}, StateBackup, nil, down},
			"start":         {Event{Kind: EventStart}, StateBackup, nil, down},
			"lower heard":   {advert(at, 50, low), StateBackup, nil, down},
			"equal heard":   {advert(at, 100, low), StateBackup, nil, at + down},
			"higher heard":  {advert(at, 150, high), StateBackup, nil, at + down},
			"stop heard":    {advert(at, 0, high), StateBackup, []string{"state"}, at + skew},
			"stop of other": {advert(at, 0, low), StateBackup, nil, down},
			"stall":         {Event{Kind: EventStall}, StateBackup, nil, down},
			"priority":      {Event{Kind: EventPriority, Priority: 56}, StateBackup, nil, 3*second + 200*second/256},
			"fault":         {Event{Kind: EventFault, On: true}, StateFault, []string{"state"}, Never},
			"no fault":      {Event{Kind: EventFault}, StateBackup, nil, down},
			"yield":         {Event{Kind: EventYield}, StateBackup, nil, down},
			"reclaim":       {Event{Kind: EventReclaim}, StateBackup, nil, down},
			"group active":  {Event{Kind: EventFollow, State: StateActive}, StateActive, []string{"send", "state", "announce"}, at + second},
			"group backup":  {Event{Kind: EventFollow, State: StateBackup}, StateBackup, nil, down},
			"stop":          {Event{Kind: EventStop}, StateInit, []string{"state"}, Never},
			"parameters":    {Event{Kind: EventParams, Params: &faster}, StateBackup, nil, 2*second + 206*second/256},
			"unknown event": {Event{Kind: 99}, StateBackup, nil, down},
		},
		StateActive: {
			"tick":          {Event{Kind: EventTick}, StateActive, nil, second / 2},
			"start":         {Event{Kind: EventStart}, StateActive, nil, second / 2},
			"lower heard":   {advert(later, 50, low), StateActive, []string{"send", "rival-seen", "announce"}, later + second},
			"equal, lower":  {advert(later, 100, low), StateActive, []string{"send", "rival-seen", "announce"}, later + second},
			"lower, soon":   {advert(at, 50, low), StateActive, []string{"send"}, at + second},
			"equal, higher": {advert(at, 100, high), StateBackup, []string{"send", "state"}, at + down},
			"higher heard":  {advert(at, 150, low), StateBackup, []string{"send", "state"}, at + down},
			"stop heard":    {advert(at, 0, high), StateActive, []string{"send"}, at + second},
			"stall":         {Event{Kind: EventStall}, StateActive, nil, second / 2},
			"priority":      {Event{Kind: EventPriority, Priority: 30}, StateActive, nil, second / 2},
			"fault":         {Event{Kind: EventFault, On: true}, StateFault, []string{"send stop", "state"}, Never},
			"no fault":      {Event{Kind: EventFault}, StateActive, nil, second / 2},
			"yield":         {Event{Kind: EventYield}, StateBackup, []string{"send stop", "state"}, at + down},
			"reclaim":       {Event{Kind: EventReclaim}, StateActive, nil, second / 2},
			"group active":  {Event{Kind: EventFollow, State: StateActive}, StateActive, nil, second / 2},
			"group backup":  {Event{Kind: EventFollow, State: StateBackup}, StateBackup, []string{"send stop", "state"}, at + down},
			"group fault":   {Event{Kind: EventFollow, State: StateFault}, StateBackup, []string{"send stop", "state"}, at + down},
			"stop":          {Event{Kind: EventStop}, StateInit, []string{"send stop", "state"}, Never},
			"parameters":    {Event{Kind: EventParams, Params: &faster}, StateActive, []string{"send"}, at + second/10},
			"unknown event": {Event{Kind: 99}, StateActive, nil, second / 2},
		},
		StateFault: {
			"tick":          {Event{Kind: EventTick}, StateFault, nil, Never},
			"start":         {Event{Kind: EventStart}, StateFault, nil, Never},
			"lower heard":   {advert(at, 50, low), StateFault, nil, Never},
			"equal heard":   {advert(at, 100, high), StateFault, nil, Never},
			"higher heard":  {advert(at, 150, high), StateFault, nil, Never},
			"stop heard":    {advert(at, 0, high), StateFault, nil, Never},
			"stall":         {Event{Kind: EventStall}, StateFault, nil, Never},
			"priority":      {Event{Kind: EventPriority, Priority: 30}, StateFault, nil, Never},
			"fault":         {Event{Kind: EventFault, On: true}, StateFault, nil, Never},
			"no fault":      {Event{Kind: EventFault}, StateBackup, []string{"state"}, at + down},
			"yield":         {Event{Kind: EventYield}, StateFault, nil, Never},
			"reclaim":       {Event{Kind: EventReclaim}, StateFault, nil, Never},
			"group active":  {Event{Kind: EventFollow, State: StateActive}, StateFault, nil, Never},
			"group backup":  {Event{Kind: EventFollow, State: StateBackup}, StateFault, nil, Never},
			"stop":          {Event{Kind: EventStop}, StateInit, []string{"state"}, Never},
			"parameters":    {Event{Kind: EventParams, Params: &faster}, StateFault, nil, Never},
			"unknown event": {Event{Kind: 99}, StateFault, nil, Never},
		},
	} {
		for name, c := range lines {
			t.Run(state.String()+"/"+name, func(t *testing.T) {
				m, out := in(t, state, usual).Step(c.event, max(at, c.event.At))
				if m.state != c.state {
					t.Errorf("then %v, want %v", m.state, c.state)
				}
				if diff := cmp.Diff(c.out, told(out)); diff != "" {
					t.Errorf("actions (-want +got):\n%s", diff)
				}
				if got := m.Next(); got != c.next {
					t.Errorf("next tick at %v, want %v", got, c.next)
				}
			})
		}
	}
}

func TestDownIntervals(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       Params
		learned time.Duration
		want    time.Duration
	}{
		{"version 2 counts the skew in seconds", Params{Version: 2, Priority: 100, Interval: second}, second, 3609375 * time.Microsecond},
		{"version 3, 1 s", Params{Version: 3, Priority: 100, Interval: second}, second, 3609375 * time.Microsecond},
		{"version 3, 10 cs", Params{Version: 3, Priority: 100, Interval: second}, 100 * time.Millisecond, 360937500 * time.Nanosecond},
		{"version 3, 1 cs", Params{Version: 3, Priority: 100, Interval: second}, 10 * time.Millisecond, 36093750 * time.Nanosecond},
		{"a skew of microseconds", Params{Version: 3, Priority: 254, Interval: second}, 10 * time.Millisecond, 30078125 * time.Nanosecond},
		{"two adverts", Params{Version: 3, Priority: 100, Interval: second, DownAdverts: 2}, 10 * time.Millisecond, 26093750 * time.Nanosecond},
	} {
		m := NewMachine(c.p, 0)
		m, _ = m.Step(Event{Kind: EventStart}, 0)
		m, _ = m.Step(Event{Kind: EventHeard, Priority: 255, Interval: c.learned, Source: high}, 0)
		if got := m.DownInterval(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOwnerBeginsActive(t *testing.T) {
	p := usual
	p.Priority = PriorityOwner
	m, out := NewMachine(p, 0).Step(Event{Kind: EventStart}, 0)
	if diff := cmp.Diff([]string{"send", "state", "announce"}, told(out)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	m, _ = m.Step(Event{Kind: EventPriority, Priority: 10}, 0)
	if m.Priority() != PriorityOwner {
		t.Errorf("priority %d: an owner's does not change", m.Priority())
	}
	if m, _ = m.Step(advert(1, PriorityOwner, high), 1); m.state != StateBackup {
		t.Error("two owners: the greater address does not win")
	}
}

// run gives the machine ticks until the time, and returns when it became
// active.
func run(m Machine, until time.Duration) (Machine, time.Duration) {
	for m.state != StateActive && m.Next() <= until {
		at := m.Next()
		if m, _ = m.Step(Event{Kind: EventTick}, at); m.state == StateActive {
			return m, at
		}
	}
	return m, Never
}

// What yielded in an earlier run takes over from nobody, an owner neither, until
// that is reclaimed.
func TestYieldedBefore(t *testing.T) {
	owner := usual
	owner.Priority = PriorityOwner
	for _, p := range []Params{usual, owner} {
		m := NewMachine(p, 0)
		m, _ = m.Step(Event{Kind: EventYield, On: true}, 0)
		m, _ = m.Step(Event{Kind: EventStart}, 0)
		hear := func(from, to time.Duration) State {
			for now := from; now < to; now += second {
				m, _ = run(m, now)
				m, _ = m.Step(advert(now, 50, low), now)
			}
			m, _ = run(m, to)
			s, _, _ := m.State()
			return s
		}
		if s := hear(0, 30*second); s != StateBackup {
			t.Errorf("priority %d: %v", p.Priority, s)
		}
		m, _ = m.Step(Event{Kind: EventReclaim}, 30*second)
		if s := hear(30*second, 60*second); s != StateActive {
			t.Errorf("priority %d: %v after it is reclaimed", p.Priority, s)
		}
	}
}

func TestPreemption(t *testing.T) {
	// hears gives it an advert of a router of lower priority each second.
	hears := func(p Params, yield bool) time.Duration {
		m := in(t, StateBackup, p)
		if yield {
			m = in(t, StateActive, p)
			m, _ = m.Step(Event{Kind: EventYield}, 0)
		}
		for i := range time.Duration(60) {
			now := i * second
			var at time.Duration
			if m, at = run(m, now); at != Never {
				return at
			}
			m, _ = m.Step(advert(now, 50, low), now)
		}
		return Never
	}
	never, delayed, owner := usual, usual, usual
	never.NoPreempt, delayed.PreemptDelay = true, 10*second
	owner.Priority, owner.NoPreempt = PriorityOwner, true
	if got := hears(usual, false); got != down {
		t.Errorf("at %v, want %v", got, down)
	}
	if got := hears(never, false); got != Never {
		t.Errorf("without preemption: at %v", got)
	}
	if got := hears(usual, true); got != Never {
		t.Errorf("after yielding: at %v", got)
	}
	if got := hears(delayed, false); got < 10*second || got > 10*second+down {
		t.Errorf("with a delay of 10 s: at %v", got)
	}
	// What is not preemption is not delayed.
	for name, p := range map[string]Params{"without preemption": never, "with a delay": delayed} {
		m := in(t, StateBackup, p)
		m, _ = m.Step(advert(0, 50, low), 0)
		if _, at := run(m, time.Hour); at != down {
			t.Errorf("%s: a silent router is relieved at %v, want %v", name, at, down)
		}
	}
}

// TestLateTickJudgesByArrival: the process stood still while packets came.
func TestLateTickJudgesByArrival(t *testing.T) {
	m := in(t, StateBackup, usual)
	now := 20 * second
	m, _ = m.Step(Event{Kind: EventStall}, now)
	m, _ = m.Step(advert(now-time.Millisecond, 200, high), now)
	m, out := m.Step(Event{Kind: EventTick}, now)
	if m.state != StateBackup || len(out) != 0 {
		t.Errorf("%v after a stall, although a packet had come: %v", m.state, told(out))
	}
	// A node that stalls all the time takes over late, but it does.
	m = in(t, StateBackup, usual)
	now = 0
	for range 100 {
		now += 2 * second
		m, _ = m.Step(Event{Kind: EventStall}, now)
		m, _ = m.Step(Event{Kind: EventTick}, now)
	}
	if m.state != StateActive {
		t.Error("stalls put off the take-over for ever")
	}
	// One that hears something in between is helped each time.
	m = in(t, StateBackup, usual)
	for i := range 10 * time.Duration(maxStalls) {
		now := (i + 1) * 10 * second
		m, _ = m.Step(Event{Kind: EventStall}, now)
		if m, _ = m.Step(Event{Kind: EventTick}, now); m.state != StateBackup {
			t.Fatalf("the stall of number %d passed for a silence", i)
		}
		m, _ = m.Step(advert(now, 200, high), now)
	}
}

// TestFloodOfRivalsIsBounded: each packet is answered, as the standard wants;
// the neighbours are told once a second.
func TestFloodOfRivalsIsBounded(t *testing.T) {
	m := in(t, StateActive, usual)
	announced := 0
	for i := range time.Duration(10_000) {
		var out []Action
		m, out = m.Step(advert(i*time.Millisecond, 1, low), i*time.Millisecond)
		for _, a := range out {
			if a.Kind == ActionAnnounce {
				announced++
			}
		}
	}
	if announced != 10 {
		t.Errorf("announced %d times in 10 s", announced)
	}
	m, out := m.Step(Event{Kind: EventTick}, m.rivalGoneAt())
	if diff := cmp.Diff([]string{"rival-gone", "announce", "send"}, told(out)); diff != "" || m.Rival() {
		t.Errorf("when the rival falls silent (-want +got):\n%s", diff)
	}
}

func TestCompareNamesTheDifference(t *testing.T) {
	a := Advert{Version: 3, VRID: 1, Priority: 100, Interval: second, Addrs: []netip.Addr{low, high}}
	b := a
	b.Priority, b.Addrs = 90, []netip.Addr{high, low}
	if m := Compare(&a, &b); m != 0 {
		t.Errorf("another order of addresses: %v", m.Explain(&a, &b))
	}
	b = Advert{Version: 2, VRID: 1, Priority: 100, Interval: 2 * second, Addrs: []netip.Addr{low, own}}
	want := []string{
		"it speaks version 2 and we speak 3: set the same version on both",
		"it sends every 2s and we every 1s: set the same interval on both",
		"it serves other addresses (only it [192.0.2.2], only we [192.0.2.3]): give both the same",
		"it has our priority 100: give each router its own",
	}
	if diff := cmp.Diff(want, Compare(&a, &b).Explain(&a, &b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of two active routers with one priority the greater address stays, also when
// it is a new one.
func TestSourceMayChange(t *testing.T) {
	m := in(t, StateActive, usual)
	if next, _ := m.Step(advert(0, 100, high), 0); next.state != StateBackup {
		t.Errorf("against a greater address it is %v", next.state)
	}
	m, _ = m.Step(Event{Kind: EventSource, Source: netip.MustParseAddr("192.0.2.9")}, 0)
	if next, _ := m.Step(advert(0, 100, high), 0); next.state != StateActive {
		t.Errorf("with the greater address it is %v", next.state)
	}
}

// Other parameters leave alone what is no parameter of the election, and what
// was learnt.
func TestParamsMayChange(t *testing.T) {
	p := Params{Version: 2, Priority: 50, Interval: second / 10, NoPreempt: true, Address: low}
	m := in(t, StateBackup, usual)
	m, _ = m.Step(Event{Kind: EventPriority, Priority: 70}, 0)
	m, _ = m.Step(Event{Kind: EventParams, Params: &p}, 0)
	if m.p.Version != 3 || m.p.Address != own || m.p.Grouped || m.priority != 50 || m.learned != second || m.p.DownAdverts != DefaultDownAdverts {
		t.Errorf("%+v", m)
	}
	m, _ = m.Step(Event{Kind: EventPriority, Priority: 70}, 0)
	if m, _ = m.Step(Event{Kind: EventParams, Params: &p}, 0); m.priority != 70 {
		t.Errorf("the same configured priority makes it %d", m.priority)
	}
	p.Priority = PriorityOwner
	if m, _ = m.Step(Event{Kind: EventParams, Params: &p}, 0); m.p.Priority == PriorityOwner {
		t.Error("it became an owner")
	}
	m = NewMachine(usual, 0)
	m, _ = m.Step(Event{Kind: EventStart}, 0)
	if m, _ = m.Step(Event{Kind: EventParams, Params: &p}, 0); m.learned != second/10 {
		t.Errorf("with nobody heard the interval is %v", m.learned)
	}
	if n, _ := m.Step(Event{Kind: EventParams}, 0); n != m {
		t.Error("no parameters are some")
	}
}
