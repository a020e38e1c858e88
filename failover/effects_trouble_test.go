package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lackingOwner cannot have all of its addresses while it lacks something.
type lackingOwner struct {
	NoAddresses
	mu   sync.Mutex
	err  error
	told int
	see  func(Sighting)
}

func (o *lackingOwner) lack(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *lackingOwner) Acquire(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *lackingOwner) Announce(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told++
	return nil
}

// announced returns how often they were, once all wait.
func (o *lackingOwner) announced() int {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
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
		var mu sync.Mutex
		var kinds []EventKind
		e := newEffects(o, nil, func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		})
		go e.run()
		f(e, func() []EventKind {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(kinds)
		})
		e.request(RoleLeaving, 0)
		<-e.done
	})
}

func TestAnAddressThatFailsTakesNoOtherAlong(t *testing.T) {
	o := &lackingOwner{err: errors.New("one of them fails")}
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
		failed := errors.New("one of them fails")
		o.lack(failed)
		o.see(Sighting{Kind: SightingRemoved, Device: "eth0"})
		for range 100 {
			time.Sleep(600 * time.Millisecond)
			if _, err := e.status(); !errors.Is(err, failed) {
				t.Errorf("the status tells %v", err)
				break
			}
		}
		if got := events(); !slices.Equal(got, []EventKind{EventRemoved, EventAddressTrouble}) {
			t.Errorf("events %v", got)
		}
		o.lack(nil)
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

// hangingOwner does not return from Acquire before it is freed, whatever becomes
// of the context.
type hangingOwner struct {
	lackingOwner
	free chan struct{}
}

func (o *hangingOwner) Acquire(context.Context) error {
	<-o.free
	return nil
}

// While a call hangs nothing is served, and the status and one event say why.
func TestCallThatDoesNotReturnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o := &hangingOwner{free: make(chan struct{})}
		e := newEffects(o, nil, func(e Event) { told = append(told, e) })
		go e.run()
		e.request(RoleActive, 0)
		time.Sleep(tardyAfter - time.Millisecond)
		if _, err := e.status(); err != nil {
			t.Errorf("told early: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		const want = "acquire addresses: it has not returned for 10s, and nothing else is done before it does"
		if serving, err := e.status(); serving || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("serving %v, %v", serving, err)
		}
		close(o.free)
		time.Sleep(time.Second)
		synctest.Wait()
		if serving, err := e.status(); !serving || err != nil {
			t.Errorf("serving %v, %v", serving, err)
		}
		if len(told) != 2 || told[0].Kind != EventAddressTrouble || told[1].Kind != EventAddressMended {
			t.Errorf("events %v", told)
		}
		e.request(RoleLeaving, 0)
		<-e.done
		time.Sleep(time.Minute)
		if len(told) != 2 {
			t.Errorf("events of calls that returned: %v", told)
		}
	})
}
