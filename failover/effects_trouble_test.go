package failover

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// lackingOwner cannot have all of its addresses while lack is set.
type lackingOwner struct {
	NoAddresses
	lack error // changed while all wait
	told int
	see  func(Sighting)
}

func (o *lackingOwner) Acquire(context.Context) error { return o.lack }

func (o *lackingOwner) Announce(context.Context) error {
	o.told++
	return nil
}

// announced returns how often they were, once all wait.
func (o *lackingOwner) announced() int {
	synctest.Wait()
	return o.told
}

func (o *lackingOwner) Watch(ctx context.Context, see func(Sighting)) error {
	o.see = see
	<-ctx.Done()
	return nil
}

// lacking runs effects with an owner, and returns the kinds of its events.
func lacking(t *testing.T, o *lackingOwner, f func(e *effects, events func() []EventKind)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		var kinds []EventKind
		e := newEffects(o, nil, func(e Event) { kinds = append(kinds, e.Kind) })
		go e.run()
		f(e, func() []EventKind {
			synctest.Wait()
			return kinds
		})
		e.request(RoleLeaving, 0)
		<-e.done
	})
}

func TestAnAddressThatFailsTakesNoOtherAlong(t *testing.T) {
	o := &lackingOwner{lack: errors.New("one of them fails")}
	lacking(t, o, func(e *effects, events func() []EventKind) {
		e.request(RoleActive, 0)
		if got := events(); !slices.Equal(got, []EventKind{EventAddressTrouble}) || o.announced() == 0 {
			t.Errorf("events %v, %d announcements: the neighbours know of none", got, o.announced())
		}
		time.Sleep(time.Minute)
		if n := o.announced(); n < 5 || n > 20 {
			t.Errorf("%d announcements in a minute", n)
		}
	})
}

func TestWhatCannotBePutBackStaysATrouble(t *testing.T) {
	o := new(lackingOwner)
	lacking(t, o, func(e *effects, events func() []EventKind) {
		e.request(RoleActive, 0)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		o.lack = errors.New("one of them fails")
		o.see(Sighting{Kind: SightingRemoved, Device: "eth0"})
		for range 100 {
			time.Sleep(600 * time.Millisecond)
			if _, err := e.status(); !errors.Is(err, o.lack) {
				t.Errorf("the status tells %v", err)
				break
			}
		}
		if got := events(); !slices.Equal(got, []EventKind{EventRemoved, EventAddressTrouble}) {
			t.Errorf("events %v", got)
		}
		synctest.Wait()
		o.lack = nil
		time.Sleep(lastRetry + time.Second)
		if got := events(); got[len(got)-1] != EventAddressMended {
			t.Errorf("events %v", got)
		}
	})
}

// Another one may have served for a moment within the hold.
func TestWhoIsActiveAgainWithinTheHoldAnnounces(t *testing.T) {
	o := new(lackingOwner)
	lacking(t, o, func(e *effects, _ func() []EventKind) {
		e.request(RoleActive, 0)
		time.Sleep(10 * time.Second)
		before := o.announced()
		e.request(RoleBackup, 250*time.Millisecond)
		time.Sleep(86 * time.Millisecond)
		e.request(RoleActive, 0)
		time.Sleep(10 * time.Second)
		if got := o.announced() - before; got != 6 {
			t.Errorf("%d announcements, want a whole plan", got)
		}
	})
}
