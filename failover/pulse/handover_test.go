package pulse

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMachineHandsOver(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"yield serves until the partner does, even as primary", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.step(Event{Kind: EventServing, On: true})
			s.partner(StateBackup)
			s.acts = nil
			s.step(Event{Kind: EventYield})
			s.step(Event{Kind: EventYield}) // asked twice is asked once
			if !s.m.Yielding() || s.m.Taken() {
				t.Error("not yielding, or taken already")
			}
			s.until(s.now + tick/2)
			s.partner(StateBackup) // sent before it heard us
			s.until(s.now + tick/2)
			s.partner(StateActive)
			if !s.m.Taken() {
				t.Error("not taken")
			}
			s.want(StateActive, ReasonPartnerSilent)
			s.keepHearing(StateActive, 50) // its hook takes its time
			s.want(StateActive, ReasonPartnerSilent)
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonYielded)
			if s.m.Yielding() {
				t.Error("still yielding")
			}
			want := []ActionKind{ActionHandOver, ActionSend, ActionHandOverTaken, ActionHandedOver, ActionState, ActionSend}
			if diff := cmp.Diff(want, s.acts); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonPartnerActive)
		}},
		{"yield ends if the partner does not take it", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventYield})
			s.keepHearing(StateBackup, 2)
			if !s.m.Yielding() {
				t.Error("given up already")
			}
			s.acts = nil
			s.until(s.now + tick)
			s.want(StateActive, ReasonPartnerSilent)
			// And is told at once, as it may be heard to have given way next.
			if diff := cmp.Diff([]ActionKind{ActionHandOverFailed, ActionSend}, s.acts); s.m.Yielding() || diff != "" {
				t.Errorf("yielding %v, actions (-want +got):\n%s", s.m.Yielding(), diff)
			}
		}},
		{"yield ends if the partner takes it and does not come to serve", func(t *testing.T) {
			s := activeScript(t, backupParams())
			s.step(Event{Kind: EventServing, On: true})
			s.partner(StateBackup)
			s.step(Event{Kind: EventYield})
			s.partner(StateActive)
			s.keepHearing(StateActive, int(handOverLimit/tick)-1)
			if !s.m.Taken() || s.count(ActionRivalSeen) != 0 {
				t.Error("given up already, or taken for a rival")
			}
			s.keepHearing(StateActive, 1)
			s.want(StateActive, ReasonPartnerSilent) // although the partner is the primary
			if s.m.Yielding() || s.count(ActionHandOverFailed) != 1 {
				t.Errorf("yielding %v, actions %v", s.m.Yielding(), s.acts)
			}
		}},
		{"yield ends at once if the partner refuses, gives up or falls silent", func(t *testing.T) {
			for name, answer := range map[string]func(*script){
				"refuses":      func(s *script) { s.partner(StateFault) },
				"stops":        func(s *script) { s.partner(StateLeaving) },
				"gives up":     func(s *script) { s.partner(StateActive); s.partner(StateBackup) },
				"falls silent": func(s *script) { s.partner(StateActive); s.until(s.now + dead) },
			} {
				s := activeScript(t, primaryParams())
				s.partner(StateBackup)
				s.step(Event{Kind: EventYield})
				answer(s)
				s.want(StateActive, ReasonPartnerSilent)
				if s.m.Yielding() || s.count(ActionHandOverFailed) != 1 {
					t.Errorf("%s: yielding %v, actions %v", name, s.m.Yielding(), s.acts)
				}
			}
		}},
		{"a fault while handing over is not held", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventYield})
			s.step(Event{Kind: EventFault, On: true})
			s.want(StateFault, ReasonFault)
			if s.m.Yielding() {
				t.Error("still yielding")
			}
		}},
		{"who handed over and gives way was no rival, unless it fell silent between", func(t *testing.T) {
			yields := func(b *Beat) { b.Yielding = true }
			for _, silent := range []bool{false, true} {
				s := newScript(t, backupParams())
				s.partner(StateActive, serves)
				s.partner(StateActive, serves, yields)
				s.want(StateActive, ReasonPartnerYields)
				s.step(Event{Kind: EventServing, On: true})
				if silent {
					s.until(s.now + 2*dead) // it may have changed its mind
				}
				s.partner(StateBackup)
				if seen := s.count(ActionRivalSeen) != 0; seen != silent {
					t.Errorf("silent %v, a rival was seen: %v", silent, seen)
				}
			}
		}},
		{"leaving serves until the partner does", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventLeave})
			s.want(StateLeaving, ReasonStopped)
			s.partner(StateActive)
			if !s.m.Taken() {
				t.Error("not taken")
			}
			s.partner(StateActive, serves)
			s.want(StateLeaving, ReasonStopped)
			if s.m.Yielding() || s.count(ActionHandedOver) != 1 {
				t.Errorf("yielding %v, actions %v", s.m.Yielding(), s.acts)
			}
		}},
		{"a fault while leaving is not held either", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventLeave})
			s.step(Event{Kind: EventFault, On: true})
			s.want(StateLeaving, ReasonStopped)
			if s.m.Yielding() || s.count(ActionHandOverFailed) != 1 {
				t.Errorf("yielding %v, actions %v", s.m.Yielding(), s.acts)
			}
		}},
		{"leaving waits for nobody who cannot take over", func(t *testing.T) {
			for name, before := range map[string]func(*script){
				"no partner": func(*script) {},
				"a fault":    func(s *script) { s.partner(StateFault) },
				"leaving":    func(s *script) { s.partner(StateLeaving) },
			} {
				s := activeScript(t, primaryParams())
				before(s)
				s.step(Event{Kind: EventLeave})
				if s.m.Yielding() {
					t.Errorf("%s: it waits", name)
				}
			}
		}},
		{"take asks until it is active", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.step(Event{Kind: EventTake})
			if s.m.Takes() {
				t.Error("asks although nobody is there")
			}
			s.partner(StateActive)
			s.step(Event{Kind: EventTake})
			if !s.m.Takes() || s.count(ActionTakeAsked) != 1 {
				t.Errorf("takes %v, actions %v", s.m.Takes(), s.acts)
			}
			s.partner(StateActive, func(b *Beat) { b.Yielding = true })
			s.want(StateActive, ReasonPartnerYields)
			if s.m.Takes() || s.count(ActionTakeFailed) != 0 {
				t.Errorf("takes %v, actions %v", s.m.Takes(), s.acts)
			}
		}},
		{"take gives up if the partner keeps it, or this node cannot serve", func(t *testing.T) {
			for name, then := range map[string]func(*script){
				"keeps it": func(s *script) { s.keepHearing(StateActive, 3) },
				"fault":    func(s *script) { s.step(Event{Kind: EventFault, On: true}) },
				"stops":    func(s *script) { s.step(Event{Kind: EventLeave}) },
			} {
				s := newScript(t, backupParams())
				s.partner(StateActive)
				s.step(Event{Kind: EventTake})
				then(s)
				if s.m.Takes() || s.count(ActionTakeFailed) != 1 {
					t.Errorf("%s: takes %v, actions %v", name, s.m.Takes(), s.acts)
				}
			}
		}},
		{"a partner that asks is handed over to, once", func(t *testing.T) {
			asks := func(b *Beat) { b.Takes = true }
			s := activeScript(t, primaryParams())
			s.partner(StateFault, asks)
			if s.m.Yielding() {
				t.Error("handed over to a fault")
			}
			s.partner(StateBackup)
			s.partner(StateBackup, asks)
			if !s.m.Yielding() {
				t.Fatal("not handed over")
			}
			for range 4 { // it never takes it, and goes on asking
				s.until(s.now + tick)
				s.partner(StateBackup, asks)
			}
			if s.m.Yielding() || s.count(ActionHandOver) != 1 {
				t.Errorf("yielding %v, actions %v", s.m.Yielding(), s.acts)
			}
		}},
		{"yield without a partner does nothing", func(t *testing.T) {
			s := activeScript(t, primaryParams())
			s.step(Event{Kind: EventYield})
			s.want(StateActive, ReasonPartnerSilent)
			s.partner(StateFault)
			s.step(Event{Kind: EventYield})
			s.want(StateActive, ReasonPartnerSilent)
		}},
		{"a yielding partner is replaced at once", func(t *testing.T) {
			s := newScript(t, backupParams())
			s.partner(StateActive)
			s.partner(StateActive, func(b *Beat) { b.Yielding = true })
			s.want(StateActive, ReasonPartnerYields)
			s.partner(StateActive, serves, func(b *Beat) { b.Yielding = true })
			s.want(StateActive, ReasonPartnerYields)
			s.partner(StateActive, serves)
			s.want(StateBackup, ReasonPartnerKeeps)
			if s.count(ActionRivalSeen) != 0 {
				t.Error("it was taken for a rival")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

// Only a partner that can be heard and is able to serve relieves this node.
func TestMachineRelieved(t *testing.T) {
	s := activeScript(t, primaryParams())
	if s.m.Relieved() {
		t.Error("by a partner that was never heard")
	}
	for said, want := range map[State]bool{StateInit: true, StateBackup: true, StateActive: true, StateFault: false, StateLeaving: false} {
		if s.partner(said); s.m.Relieved() != want {
			t.Errorf("by a partner that says %v: %v, want %v", said, !want, want)
		}
	}
	s.partner(StateBackup)
	s.until(s.now + 100*tick)
	if s.m.Relieved() {
		t.Error("by a partner that fell silent")
	}
}
