package pulse

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	tick = 100 * time.Millisecond // one interval
	dead = 300 * time.Millisecond
)

func primaryParams() Params {
	return Params{Primary: true, Boot: 1, Channels: 2, Interval: tick, DeadAfter: dead}
}

func backupParams() Params {
	return Params{Boot: 2, Channels: 2, Interval: tick, DeadAfter: dead}
}

// script drives one machine and remembers the actions.
type script struct {
	t    *testing.T
	m    Machine
	now  time.Duration
	acts []ActionKind
}

func newScript(t *testing.T, p Params) *script {
	s := &script{t: t, m: NewMachine(p, 0)}
	s.step(Event{})
	return s
}

func (s *script) step(e Event) {
	var acts []Action
	s.m, acts = s.m.Step(e, s.now)
	for _, a := range acts {
		s.acts = append(s.acts, a.Kind)
	}
}

// until passes time and ticks whenever the machine asks for it.
func (s *script) until(t time.Duration) {
	s.t.Helper()
	for n := 0; ; n++ {
		next := s.m.Next()
		if next > t {
			break
		}
		s.now = max(s.now, next)
		s.step(Event{})
		if s.m.Next() <= s.now {
			s.t.Fatalf("at %v the machine wants a tick at %v: it would spin", s.now, s.m.Next())
		}
		if n > 100 {
			s.t.Fatal("too many ticks")
		}
	}
	s.now = t
}

// partner makes a beat of the partner arrive on channel 0.
func (s *script) partner(state State, change ...func(*Beat)) {
	b := Beat{Primary: !s.m.p.Primary, Boot: 3 - s.m.p.Boot, State: state, Hears: true, Interval: tick, DeadAfter: dead}
	for _, c := range change {
		c(&b)
	}
	s.step(Event{Kind: EventHeard, Channel: 0, At: s.now, Proof: Proof{Fresh: true, Channel: true}, Beat: &b})
}

// serves makes the partner one that serves.
func serves(b *Beat) { b.Serving = true }

func (s *script) want(state State, reason Reason) {
	s.t.Helper()
	gotState, gotReason, _ := s.m.State()
	if gotState != state || gotReason != reason {
		s.t.Fatalf("at %v: %v (%v), want %v (%v)", s.now, gotState, gotReason, state, reason)
	}
}

func (s *script) count(k ActionKind) (n int) {
	for _, a := range s.acts {
		if a == k {
			n++
		}
	}
	return n
}

// keepHearing lets the partner beat in one state for some intervals.
func (s *script) keepHearing(state State, intervals int) {
	for range intervals {
		s.until(s.now + tick)
		s.partner(state)
	}
}

func activeScript(t *testing.T, p Params) *script {
	s := newScript(t, p)
	s.until(dead)
	s.want(StateActive, ReasonPartnerSilent)
	return s
}

func TestMachine(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"alone is active at once", func(t *testing.T) {
			s := newScript(t, Params{Primary: false, Interval: tick, DeadAfter: dead})
			s.want(StateActive, ReasonAlone)
		}},
		{"listens for the dead time, then takes over", func(t *testing.T) {
			s := newScript(t, primaryParams())
			s.until(dead - 1)
			s.want(StateInit, ReasonStart)
			s.until(dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"primary and inactive partner: active at once", func(t *testing.T) {
			s := newScript(t, primaryParams())
			s.partner(StateInit)
			s.want(StateActive, ReasonPartnerInactive)
		}},
		{"backup and inactive partner: waits two intervals", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateInit)
			s.want(StateBackup, ReasonPartnerPreferred)
			s.keepHearing(StateBackup, 1)
			s.want(StateBackup, ReasonPartnerPreferred)
			s.until(2 * tick)
			s.want(StateActive, ReasonPartnerInactive)
		}},
		{"backup and inactive partner that becomes active meanwhile", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateInit)
			s.until(tick / 2)
			s.partner(StateActive)
			s.want(StateBackup, ReasonPartnerActive)
			s.keepHearing(StateActive, 10)
			s.want(StateBackup, ReasonPartnerActive)
		}},
		{"a returning primary leaves an active backup alone", func(t *testing.T) {
			s := newScript(t, primaryParams())
			s.partner(StateActive)
			s.want(StateBackup, ReasonPartnerActive)
			s.keepHearing(StateActive, 20)
			s.want(StateBackup, ReasonPartnerActive)
		}},
		{"a silent partner is replaced after the dead time", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.until(dead - 1)
			s.want(StateBackup, ReasonPartnerActive)
			s.until(dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a leaving partner is replaced at once", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.partner(StateLeaving)
			s.want(StateActive, ReasonPartnerLeaving)
		}},
		{"a faulty partner is replaced at once", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.partner(StateFault)
			s.want(StateActive, ReasonPartnerFault)
		}},
		{"both active: the primary stays, announces and sends", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.acts = nil
			s.partner(StateActive)
			s.want(StateActive, ReasonPartnerSilent)
			want := []ActionKind{ActionChannelFound, ActionPartnerFound, ActionRivalSeen, ActionAnnounce, ActionSend}
			if diff := cmp.Diff(want, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			s.acts = nil
			s.partner(StateBackup)
			if diff := cmp.Diff([]ActionKind{ActionRivalGone, ActionAnnounce}, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		}},
		{"both active: the backup steps down and says so", func(t *testing.T) {
			s := activeScript(t, backupParams())
			s.acts = nil
			s.partner(StateActive)
			s.want(StateBackup, ReasonRivalPreferred)
			want := []ActionKind{ActionChannelFound, ActionPartnerFound, ActionRivalSeen, ActionRivalGone, ActionState, ActionSend}
			if diff := cmp.Diff(want, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		}},
		{"a rival that was never heard as such is told and answered", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateBackup)
			s.acts = nil
			s.partner(StateBackup, func(b *Beat) { b.Terms = 1 })
			want := []ActionKind{ActionRivalSeen, ActionRivalGone, ActionAnnounce}
			if diff := cmp.Diff(want, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			s.acts = nil
			s.partner(StateBackup, func(b *Beat) { b.Terms = 1 })
			s.partner(StateInit, func(b *Beat) { b.Boot = 99 })
			if len(s.acts) != 0 {
				t.Errorf("actions: %v", s.acts)
			}
		}},
		{"both active: the primary yields to a partner that is deaf", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			deaf := func(b *Beat) { b.Hears = false }
			for range 3 {
				s.partner(StateActive, deaf)
				s.want(StateActive, ReasonPartnerSilent)
				s.until(s.now + tick - 1)
			}
			s.until(2 * dead)
			s.want(StateBackup, ReasonRivalDeaf)
			s.partner(StateActive, deaf)
			s.want(StateBackup, ReasonPartnerActive)
		}},
		{"both primary: the lower boot wins, and it is told", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateActive, func(b *Beat) { b.Primary = true })
			s.want(StateActive, ReasonPartnerSilent)
			if s.count(ActionRoleConflict) != 1 {
				t.Error("no role conflict was told")
			}
			s.partner(StateActive, func(b *Beat) { b.Primary, b.Boot = true, 0 })
			s.want(StateBackup, ReasonRivalPreferred)
		}},
		{"one silent channel is told and changes nothing", func(t *testing.T) {
			s := newScript(t, backupParams())
			on1 := func(state State) {
				b := Beat{Primary: true, Boot: 1, State: state, Interval: tick, DeadAfter: dead}
				s.step(Event{Kind: EventHeard, Channel: 1, At: s.now, Proof: Proof{Fresh: true, Channel: true}, Beat: &b})
			}
			s.partner(StateActive)
			for range 10 {
				s.until(s.now + tick)
				on1(StateActive)
			}
			s.want(StateBackup, ReasonPartnerActive)
			if s.count(ActionChannelLost) != 1 || s.count(ActionPartnerLost) != 0 {
				t.Errorf("actions: %v", s.acts)
			}
			s.partner(StateActive)
			if s.count(ActionChannelFound) != 3 {
				t.Errorf("the return of channel 0 was not told: %v", s.acts)
			}
		}},
		{"an older copy proves its channel, not the partner", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			for s.now < dead {
				s.until(s.now + tick/2)
				b := Beat{State: StateActive, Interval: tick}
				s.step(Event{Kind: EventHeard, Channel: 1, At: s.now, Proof: Proof{Channel: true}, Beat: &b})
			}
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"an own stall puts off the verdict by two intervals", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.now = 10 * dead
			s.step(Event{Kind: EventStall})
			s.step(Event{})
			s.want(StateBackup, ReasonPartnerActive)
			s.until(10*dead + 2*tick - 1)
			s.want(StateBackup, ReasonPartnerActive)
			s.until(10*dead + 2*tick)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"stalls without end do not put it off for ever", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			for n := 0; ; n++ {
				if n > maxStalls+2 {
					t.Fatal("never took over")
				}
				s.now += 2*tick - 1
				s.step(Event{Kind: EventStall})
				s.step(Event{})
				if st, _, _ := s.m.State(); st == StateActive {
					break
				}
			}
		}},
		{"a packet that waited unread counts by its arrival", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.now = 2 * tick
			b := Beat{Primary: true, Boot: 1, State: StateActive, Interval: tick}
			s.step(Event{Kind: EventHeard, At: tick, Proof: Proof{Fresh: true, Channel: true}, Beat: &b})
			s.until(tick + dead - 1)
			s.want(StateBackup, ReasonPartnerActive)
			s.until(tick + dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a fault yields and keeps from being active", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.acts = nil
			s.step(Event{Kind: EventFault, On: true})
			s.want(StateFault, ReasonFault)
			if diff := cmp.Diff([]ActionKind{ActionState, ActionSend}, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			s.until(s.now + 10*dead)
			s.want(StateFault, ReasonFault)
		}},
		{"a mended fault listens before it takes over", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.step(Event{Kind: EventFault, On: true})
			s.until(10 * dead)
			s.step(Event{Kind: EventFault})
			s.want(StateInit, ReasonFaultCleared)
			s.until(11*dead - 1)
			s.want(StateInit, ReasonFaultCleared)
			s.until(11 * dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a mended fault beside an active partner becomes backup", func(t *testing.T) {
			s := newScript(t, primaryParams())
			s.step(Event{Kind: EventFault, On: true})
			s.partner(StateActive)
			s.want(StateFault, ReasonFault)
			s.step(Event{Kind: EventFault})
			s.want(StateBackup, ReasonPartnerActive)
		}},
		{"both active: who serves goes before who does not yet", func(t *testing.T) {
			s := activeScript(t, backupParams())
			s.step(Event{Kind: EventServing, On: true})
			s.acts = nil
			s.partner(StateActive)
			s.want(StateActive, ReasonPartnerSilent)
			if diff := cmp.Diff([]ActionKind{ActionChannelFound, ActionPartnerFound, ActionRivalSeen, ActionAnnounce, ActionSend}, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			deaf := func(b *Beat) { b.Hears = false }
			for range 10 { // it does not hear us, and nobody would serve without us
				s.until(s.now + tick)
				s.partner(StateActive, deaf)
			}
			s.want(StateActive, ReasonPartnerSilent)
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonRivalPreferred)

			s = activeScript(t, primaryParams())
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonRivalPreferred)
		}},
		{"a partner of the old program has no say in who serves", func(t *testing.T) {
			params := primaryParams()
			params.Legacy = true
			s := activeScript(t, params)
			s.partner(StateActive, serves)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"silence that has to be cleared", func(t *testing.T) {
			params := backupParams()
			params.Clearance = true
			s := newScript(t, params)
			s.step(Event{Kind: EventCleared}) // nobody asked
			s.until(dead)
			s.want(StateInit, ReasonUncleared)
			s.until(10 * dead)
			if !s.m.Waits() {
				t.Error("it waits for nothing")
			}
			s.partner(StateActive)
			s.want(StateBackup, ReasonPartnerActive)
			s.step(Event{Kind: EventCleared}) // too late
			if s.m.Waits() {
				t.Error("it waits beside a partner")
			}
			s.until(11 * dead)
			s.want(StateBackup, ReasonUncleared)
			s.step(Event{Kind: EventBlind, On: true})
			if s.m.Waits() {
				t.Error("it waits while it is blind")
			}
			s.step(Event{Kind: EventCleared})
			s.want(StateBackup, ReasonUncleared)
			s.step(Event{Kind: EventBlind})
			if s.m.Waits() {
				t.Error("it waits before it has listened: the silence was its own")
			}
			s.until(12 * dead)
			s.step(Event{Kind: EventCleared})
			s.want(StateActive, ReasonPartnerSilent)
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonRivalPreferred)
			s.until(s.now + 2*dead)
			s.want(StateBackup, ReasonUncleared) // cleared for one silence only
			s.step(Event{Kind: EventCleared})
			s.partner(StateBackup)
			s.step(Event{Kind: EventFault, On: true})
			s.until(s.now + 2*dead)
			s.step(Event{Kind: EventFault})
			s.until(s.now + 2*dead)
			s.want(StateInit, ReasonUncleared)
		}},
		{"words of a partner need no clearance", func(t *testing.T) {
			params := backupParams()
			params.Clearance = true
			s := newScript(t, params)
			s.partner(StateActive)
			s.partner(StateLeaving)
			s.want(StateActive, ReasonPartnerLeaving)
		}},
		{"a blind node suspects itself, then listens", func(t *testing.T) {
			s := newScript(t, primaryParams())
			s.step(Event{Kind: EventBlind, On: true})
			s.until(10 * dead)
			s.want(StateInit, ReasonBlind)
			s.step(Event{Kind: EventBlind})
			s.want(StateInit, ReasonStart)
			s.until(11*dead - 1)
			s.want(StateInit, ReasonStart)
			s.until(11 * dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"an active node that goes blind goes on", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.step(Event{Kind: EventBlind, On: true})
			s.until(10 * dead)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a slow partner is given three of its intervals", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive, func(b *Beat) { b.Interval = 10 * tick })
			s.until(30*tick - 1)
			s.want(StateBackup, ReasonPartnerActive)
			s.until(30 * tick)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a dead time of two intervals is taken at its word", func(t *testing.T) {
			params := backupParams()
			params.DeadAfter = 2 * tick
			s := newScript(t, params)
			s.partner(StateActive)
			s.until(2*tick - 1)
			s.want(StateBackup, ReasonPartnerActive)
			s.until(2 * tick)
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"leaving is for good", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.step(Event{Kind: EventLeave})
			s.want(StateLeaving, ReasonStopped)
			s.partner(StateLeaving)
			s.until(10 * dead)
			s.want(StateLeaving, ReasonStopped)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func BenchmarkStepHeard(b *testing.B) {
	m := NewMachine(backupParams(), 0)
	beat := Beat{Primary: true, Boot: 1, State: StateActive, Interval: tick}
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += tick
		m, _ = m.Step(Event{Kind: EventHeard, At: now, Proof: Proof{Fresh: true, Channel: true}, Beat: &beat}, now)
	}
}
