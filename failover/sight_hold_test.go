package failover

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heldOwner counts, and lets the test see for it.
type heldOwner struct {
	NoAddresses
	mu    sync.Mutex
	calls []string
	see   func(Sighting)

	announced int
}

func (o *heldOwner) Announce(context.Context) error {
	o.announced++
	return nil
}

func (o *heldOwner) Release(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "release")
	return nil
}

func (o *heldOwner) Watch(ctx context.Context, see func(Sighting)) error {
	o.see = see
	<-ctx.Done()
	return nil
}

func TestTheOtherOnesAnnouncementEndsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(heldOwner)
		e := newEffects(o, nil, func(e Event) { t.Errorf("event %v", e) })
		go e.run()
		e.request(RoleActive, 0)
		time.Sleep(time.Second)
		e.request(RoleBackup, time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !e.holds() || len(o.calls) > 0 {
			t.Fatalf("it let go before: %v", o.calls)
		}
		o.see(Sighting{Kind: SightingRestored, Device: "eth0"})
		synctest.Wait()
		if len(o.calls) > 0 {
			t.Fatal("a device that comes up ended the hold")
		}
		o.see(Sighting{Kind: SightingClaimed, Device: "eth0"})
		synctest.Wait()
		if !slices.Equal(o.calls, []string{"release"}) {
			t.Errorf("after the other one announced: %v", o.calls)
		}
		e.request(RoleLeaving, 0)
		<-e.done
	})
}

// What is held already is not held for longer by who stops meanwhile: the hold
// may be over soon, as another one serves.
func TestAStopProlongsNoHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(heldOwner)
		e := newEffects(o, nil, func(e Event) { t.Errorf("event %v", e) })
		go e.run()
		e.request(RoleActive, 0)
		time.Sleep(time.Minute)
		e.request(RoleBackup, time.Second)
		time.Sleep(900 * time.Millisecond)
		e.request(RoleLeaving, time.Hour)
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if !e.holds() {
			t.Error("the stop ended the hold")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if e.holds() {
			t.Error("the stop prolonged the hold")
		}
		e.request(RoleLeaving, 0)
		<-e.done
	})
}

// While another one takes over at our wish, its announcements are right, and
// ours would be wrong.
func TestWhoHandsOverDoesNotAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(heldOwner)
		e := newEffects(o, nil, func(e Event) { t.Errorf("event %v", e) })
		go e.run()
		e.request(RoleActive, 0)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		before := o.announced
		e.stepAside(true)
		o.see(Sighting{Kind: SightingClaimed, Device: "eth0"})
		e.announce()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if o.announced != before || len(o.calls) > 0 {
			t.Errorf("%d announcements, calls %v", o.announced-before, o.calls)
		}
		e.stepAside(false) // it came to nothing
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if o.announced != before+6 {
			t.Errorf("%d announcements afterwards, want a whole plan", o.announced-before)
		}
		e.request(RoleLeaving, 0)
		<-e.done
	})
}

// holds reports whether the addresses are served.
func (e *effects) holds() bool {
	serving, _ := e.status()
	return serving
}

func TestSightingKindsAreWrittenAndRead(t *testing.T) {
	for k := range SightingUnbelieved + 3 {
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again SightingKind
		if err := again.UnmarshalText(text); err != nil || again != k {
			t.Errorf("%s is read as %v, %v", text, again, err)
		}
	}
	s := Sighting{Kind: SightingRemoved, Device: "eth0", Route: netip.MustParsePrefix("0.0.0.0/0")}
	if got := s.String(); got != "removed route to 0.0.0.0/0 on eth0" {
		t.Error(got)
	}
}
