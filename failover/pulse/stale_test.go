package pulse

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What was heard before a node was blind, deaf or cut off may be true no more.

func TestNothingHeardWhileBlindDecides(t *testing.T) {
	t.Run("a fault that is mended after it", func(t *testing.T) {
		s := newScript(t, primaryParams())
		s.partner(StateBackup)
		s.step(Event{Kind: EventFault, On: true})
		s.step(Event{Kind: EventBlind, On: true})
		s.until(10 * dead)
		s.step(Event{Kind: EventBlind})
		s.step(Event{Kind: EventFault})
		if state, reason, _ := s.m.State(); state == StateActive {
			t.Fatalf("active at once (%v), and the partner has served for long", reason)
		}
		s.partner(StateActive)
		s.want(StateBackup, ReasonPartnerActive)
	})
	t.Run("a fault that is mended during it", func(t *testing.T) {
		s := newScript(t, primaryParams())
		s.partner(StateBackup)
		s.step(Event{Kind: EventFault, On: true})
		s.step(Event{Kind: EventBlind, On: true})
		s.until(10 * dead)
		s.step(Event{Kind: EventFault})
		s.want(StateInit, ReasonBlind)
	})
	t.Run("the wait for the primary", func(t *testing.T) {
		s := newScript(t, backupParams())
		s.partner(StateInit)
		s.step(Event{Kind: EventBlind, On: true})
		s.until(10 * dead)
		s.want(StateBackup, ReasonPartnerPreferred)
	})
	t.Run("the partner is told that it is not heard", func(t *testing.T) {
		s := newScript(t, backupParams())
		s.partner(StateActive)
		s.step(Event{Kind: EventBlind, On: true})
		if s.m.Hears() {
			t.Error("says that it hears its partner")
		}
	})
}

// The partner fell silent while it was active, and is heard again as a backup:
// it was active beside us, gave way to nobody it told, and taught the
// neighbours last.
func TestWhoWasCutOffWhileActiveLetsUsAnnounce(t *testing.T) {
	s := newScript(t, backupParams())
	s.partner(StateActive)
	s.until(dead)
	s.want(StateActive, ReasonPartnerSilent)
	s.acts = nil
	s.partner(StateBackup)
	want := []ActionKind{ActionChannelFound, ActionRivalSeen, ActionRivalGone, ActionAnnounce, ActionPartnerFound}
	if diff := cmp.Diff(want, s.acts); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	s.acts = nil
	s.keepHearing(StateBackup, 3)
	if len(s.acts) > 0 {
		t.Errorf("again: %v", s.acts)
	}
	// One that has started anew was no rival that we know of.
	s = newScript(t, backupParams())
	s.partner(StateActive)
	s.until(dead)
	s.acts = nil
	s.partner(StateInit, func(b *Beat) { b.Boot = 77 })
	if s.count(ActionRivalSeen) > 0 {
		t.Errorf("a restarted partner counts as a rival: %v", s.acts)
	}
}

// A rival that does not hear us is left to serve only if it is still heard
// itself: in a whole cut the wait for it ends a moment before the silence.
func TestWholeCutDoesNotLookLikeADeafRival(t *testing.T) {
	deaf := func(b *Beat) { b.Hears = false }
	s := activeScript(t, primaryParams())
	s.partner(StateActive, deaf)
	s.until(s.now + tick/10)
	s.partner(StateActive, deaf)
	s.until(s.now + 3*dead)
	s.want(StateActive, ReasonPartnerSilent)
	if s.count(ActionState) != 1 {
		t.Errorf("moved: %v", s.acts)
	}
	s = activeScript(t, primaryParams())
	for range 5 {
		s.partner(StateActive, deaf)
		s.until(s.now + tick)
	}
	s.want(StateBackup, ReasonPartnerActive)
}

// The same if it hands over when it is heard again: we did not take over by
// that, but by its silence.
func TestWhoHandsOverAfterASilenceWasARival(t *testing.T) {
	s := newScript(t, backupParams())
	s.partner(StateActive)
	s.until(dead)
	s.want(StateActive, ReasonPartnerSilent)
	s.partner(StateActive, func(b *Beat) { b.Yielding = true })
	s.acts = nil
	s.partner(StateBackup)
	if s.count(ActionAnnounce) != 1 {
		t.Errorf("actions %v", s.acts)
	}
}
