package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// quickRepairs is how often what others removed is put back at once. Who
	// removes it again gets more and more time, up to slowestRepair, so that
	// two programs do not fight for the processor. calm is how long nothing is
	// to be removed until it counts from the start.
	quickRepairs  = 3
	firstRepair   = time.Second
	slowestRepair = 30 * time.Second
	calm          = time.Minute
	// defendAfter is left for the news that whoever claims an address is the
	// rightful one by now: its advert may still be on the way through this
	// process.
	defendAfter = 10 * time.Millisecond
	// defendEvery is the least time between two answers to claims. Each is a
	// whole plan of announcements, whose first second holds four of them.
	defendEvery = time.Second
	// claimEvery is how often a claim of the same machine on the same device is
	// told; claimPause is the pause after any on that device.
	claimEvery = time.Minute
	claimPause = time.Second
)

// watch passes sightings on until ctx ends.
func (e *effects) watch(ctx context.Context, w AddressWatcher) {
	pause := firstRetry
	var told string
	for {
		begin := time.Now()
		err := w.Watch(ctx, e.sighted)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			err = errors.New("the watch ended by itself")
		}
		if time.Since(begin) > calm {
			pause = firstRetry
		}
		if text := err.Error(); text != told {
			told = text
			e.emit(Event{Kind: EventAddressTrouble, Err: fmt.Errorf("watch addresses: %w", err)})
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
	}
}

// sights is what was seen and is not answered yet. It belongs to effects.mu.
type sights struct {
	repairAt time.Time // acquire again; zero: nothing is known to be missing
	removals int       // in a row, with less than calm between
	removed  time.Time // when the last one was seen

	defendAt time.Time // announce anew; zero: nobody claims anything
	defended time.Time // when that was done last
	claims   []claims  // of each device that there were any on

	claimedBy net.HardwareAddr // heard last
	claimedAt time.Time
}

// claims are those on one device. A rival of several devices claims on each of
// them, often with another MAC: none of them shall hide the others.
type claims struct {
	last     Sighting         // that was not looked at yet
	claimant net.HardwareAddr // told last
	toldAt   time.Time
}

// on returns the claims on a device.
func (v *sights) on(device string) *claims {
	for i := range v.claims {
		if v.claims[i].last.Device == device {
			return &v.claims[i]
		}
	}
	v.claims = append(v.claims, claims{last: Sighting{Device: device}})
	return &v.claims[len(v.claims)-1]
}

// claimedFor is how long a claim is worth telling of: two that hold an address
// answer each other every second.
const claimedFor = 5 * time.Second

// rival returns the MAC of a machine that claimed our addresses just now, nil
// if there is none.
func (e *effects) rival() net.HardwareAddr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.want != RoleActive || time.Since(e.sights.claimedAt) > claimedFor {
		return nil
	}
	return e.sights.claimedBy
}

// sighted takes in what was seen. It never waits.
func (e *effects) sighted(s Sighting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if e.want != RoleActive {
		if s.Kind == SightingClaimed && now.Before(e.hold) {
			// Who took over has taught the neighbours: from now on we answer
			// nobody but those who missed it.
			e.hold = now
			e.poke()
		}
		return // another one may serve, and what he says is right
	}
	switch s.Kind {
	case SightingRemoved:
		e.removedBy(s, now)
		e.poke()
	case SightingRestored:
		e.sights.repairAt = now
		e.poke()
	case SightingDuplicate:
		e.emit(Event{Kind: EventDuplicate, Channel: s.Device, Address: s.Address, Reason: "the kernel found it on another machine and keeps it unusable; " +
			"it is added again without that test: find who else has it, and who adds it here without nodad"})
		e.sights.repairAt = now
		e.poke()
	case SightingClaimed:
		if !e.aside {
			e.sights.on(s.Device).last = s
			e.sights.claimedBy, e.sights.claimedAt = s.MAC, now
			e.defend(now)
		}
	case SightingUnbelieved:
		e.emit(Event{Kind: EventUnbelieved, Channel: s.Device, Address: s.Address, Peer: s.Neighbour, Reason: fmt.Sprintf(
			"%v answers our own address and not %v: it still sends that to another machine, or drops it; "+
				"look at its neighbour table (ip neigh) and its filters", s.Neighbour, s.Address)})
		e.defend(now)
	}
}

// removedBy plans the repair and tells of it. What goes in one sweep is one
// removal.
func (e *effects) removedBy(s Sighting, now time.Time) {
	v := &e.sights
	if !v.repairAt.IsZero() {
		return
	}
	if now.Sub(v.removed) > calm {
		v.removals = 0
	}
	v.removals, v.removed, v.repairAt = v.removals+1, now, now
	what := "the address"
	if s.Route.IsValid() {
		what = fmt.Sprintf("the route to %v", s.Route)
	}
	reason := what + " was removed by someone else and is put back at once"
	if over := v.removals - quickRepairs; over > 0 {
		pause := slowestRepair
		if over < 6 {
			pause = min(firstRepair<<(over-1), slowestRepair)
		}
		v.repairAt = now.Add(pause)
		reason = fmt.Sprintf("%s was removed by someone else for the %dth time in a row and is put back after a pause of %v: look for a network manager, "+
			"a DHCP client or another failover program that holds %s for its own, and make it leave our addresses alone",
			what, v.removals, pause, s.Device)
	}
	e.emit(Event{Kind: EventRemoved, Channel: s.Device, Address: s.Address, Reason: reason})
}

// defend announces anew soon, or as soon as that may be done again.
func (e *effects) defend(now time.Time) {
	v := &e.sights
	if !v.defendAt.IsZero() {
		return
	}
	v.defendAt = now.Add(defendAfter)
	if next := v.defended.Add(defendEvery); next.After(v.defendAt) {
		v.defendAt = next
	}
	if e.serving { // else what fails would be tried again as often as others speak
		e.poke()
	}
}

// due returns what is to be done now about what was seen, and when the next of
// it is; zero if there is none.
func (e *effects) due(now time.Time) (repair, defend bool, next time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &e.sights
	repair, defend, next = v.take(now)
	for i := range v.claims {
		c := &v.claims[i]
		s, since := c.last, now.Sub(c.toldAt)
		if !defend || s.Kind != SightingClaimed {
			continue
		}
		c.last = Sighting{Device: s.Device}
		if since >= claimEvery || since >= claimPause && c.claimant.String() != s.MAC.String() {
			c.claimant, c.toldAt = s.MAC, now
			e.emit(Event{Kind: EventClaimed, Channel: s.Device, Address: s.Address, MAC: s.MAC, Reason: fmt.Sprintf(
				"%v told the network that it has %v; it is announced from here again: find that machine, and take the address from it", s.MAC, s.Address)})
		}
	}
	return repair, defend, next
}

// take returns what of it is due now, and when the rest is; zero if there is
// none.
func (v *sights) take(now time.Time) (repair, defend bool, next time.Time) {
	due := func(at *time.Time) bool {
		if at.IsZero() {
			return false
		}
		if now.Before(*at) {
			if next.IsZero() || at.Before(next) {
				next = *at
			}
			return false
		}
		*at = time.Time{}
		return true
	}
	if repair = due(&v.repairAt); repair {
		v.defended = now
	}
	if defend = due(&v.defendAt); defend {
		v.defended = now
	}
	return repair, defend, next
}
