package ipvs

import (
	"context"
	"errors"
	"slices"
	"time"
)

// settle makes services what they should be, nil all of ours.
func (r *Reconciler) settle(ctx context.Context, keys []ServiceKey) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.end()
	return r.settleNow(ctx, keys)
}

// settleNow is settle for the holder of the turn. As long as the memory is
// good it reads nothing.
func (r *Reconciler) settleNow(ctx context.Context, keys []ServiceKey) error {
	r.mu.Lock()
	if !r.remembers(keys) {
		r.mu.Unlock()
		return concerning(r.converge(ctx, &convergence{plane: r.plane}, goal{}), keys)
	}
	g := r.compare(keys)
	r.mu.Unlock()
	r.claim(g)
	if len(g.changes) == 0 {
		r.commit(g, nil)
		return nil
	}
	c := &convergence{plane: r.plane, report: Report{Rounds: 1}}
	again, err := c.apply(ctx, g.changes)
	if again {
		return concerning(r.converge(ctx, c, g), keys)
	}
	r.concluded(ctx, g, c, err)
	return err
}

// remembers tells whether the memory is good for these services, nil for all.
func (r *Reconciler) remembers(keys []ServiceKey) bool {
	if !r.known {
		return false
	}
	for _, k := range keys {
		if r.open[k].unread {
			return false
		}
	}
	if keys == nil {
		for _, d := range r.open {
			if d.unread {
				return false
			}
		}
	}
	return true
}

// converge reads the table and makes all of ours what it should be; c may
// have a round behind it, which was for the goal g.
func (r *Reconciler) converge(ctx context.Context, c *convergence, g goal) error {
	var repairs map[changeID]struct{} // nil until the first reading
	err := c.run(ctx, func(snap Snapshot) []Change {
		r.mu.Lock()
		trusted := repairs == nil && r.known && r.allOpen == 0
		if repairs == nil {
			repairs = make(map[changeID]struct{})
		}
		r.observe(snap)
		g = r.compare(nil)
		if trusted {
			for i := range g.changes {
				if ch := &g.changes[i]; r.undoesAnother(ch) {
					repairs[ch.id()] = struct{}{}
				}
			}
		}
		r.mu.Unlock()
		r.claim(g)
		return g.changes
	})
	g.repairs = repairs
	r.concluded(ctx, g, c, err)
	return err
}

// undoesAnother tells whether a change to a table that should be as wanted
// undoes what somebody else did: we have nothing to change there ourselves
// but what drained.
func (r *Reconciler) undoesAnother(c *Change) bool {
	k := c.Service.Key
	if _, ours := r.open[k]; ours || r.leaves(k) {
		return false
	}
	d := r.drains[k][c.Destination.Key]
	return c.Op != OpDelDestination || d == nil || !d.over
}

// goal is what services should be, compared with what they are.
type goal struct {
	version uint64
	// whole: all of ours are among the keys.
	whole bool
	keys  []ServiceKey
	// entries are those that should be there, absent those that should not.
	entries map[ServiceKey]Entry
	absent  []ServiceKey
	changes []Change
	// repairs are those of the changes that undo another's.
	repairs map[changeID]struct{}
}

// compare works out what services should be, nil all of ours, and the
// changes that lead there from what is remembered.
func (r *Reconciler) compare(keys []ServiceKey) goal {
	g := goal{version: r.version, whole: keys == nil, keys: keys}
	if g.whole {
		g.keys = r.allOurs()
	}
	now := time.Now()
	have := make(Table, 0, len(g.keys))
	want := make(Table, 0, len(g.keys))
	g.entries = make(map[ServiceKey]Entry, len(g.keys))
	for _, k := range g.keys {
		if _, wanted := r.want[k]; !wanted && !r.leaves(k) {
			r.cancelDrains(k, nil)
			continue
		}
		if e, there := r.have[k]; there {
			have = append(have, e)
		}
		if e, ok := r.wanted(k, now); ok {
			want = append(want, e)
			g.entries[k] = e
		} else {
			g.absent = append(g.absent, k)
		}
	}
	g.changes = Diff(have, want, func(ServiceKey) bool { return true })
	return g
}

// allOurs lists the services that are wanted or that leave, in order.
func (r *Reconciler) allOurs() []ServiceKey {
	keys := make([]ServiceKey, 0, len(r.want))
	for k := range r.want {
		keys = append(keys, k)
	}
	for k := range r.have {
		if r.leaves(k) {
			keys = append(keys, k)
		}
	}
	for k := range r.gone {
		if _, there := r.have[k]; !there {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, ServiceKey.Compare)
	return keys
}

// wanted returns what a service should be now, with what drains; false for
// not to be there. It begins drains, and ends those whose time is over.
func (r *Reconciler) wanted(k ServiceKey, now time.Time) (Entry, bool) {
	want, wanted := r.want[k]
	have, there := r.have[k]
	var leaving []Destination
	if there && r.drain > 0 {
		leaving = leavingDestinations(have.Destinations, want.Destinations)
	}
	if len(leaving) == 0 {
		r.cancelDrains(k, nil)
		return want, wanted
	}
	if r.drains[k] == nil {
		r.drains[k] = make(map[DestinationKey]*drain)
	}
	still := make(map[DestinationKey]bool, len(leaving))
	leaving = slices.DeleteFunc(leaving, func(d Destination) bool {
		still[d.Key] = true
		return r.draining(k, d.Key, now).over
	})
	r.cancelDrains(k, still)
	if !wanted {
		want.Service = have.Service
	}
	return withDraining(want, leaving), wanted || len(leaving) > 0
}

// draining returns the drain of a destination that leaves, a new one if there
// is none.
func (r *Reconciler) draining(k ServiceKey, dk DestinationKey, now time.Time) *drain {
	d := r.drains[k][dk]
	switch {
	case d == nil:
		d = &drain{Drain: Drain{Service: k, Destination: dk, Since: now, Deadline: now.Add(r.drain)}}
		r.drains[k][dk] = d
		r.tell(Event{Kind: EventDrainStarted, Drain: d.Drain})
	case !d.over && !now.Before(d.Deadline):
		d.over = true
		r.tell(Event{Kind: EventDrainExpired, Drain: d.Drain})
	}
	return d
}

// cancelDrains forgets the drains of a service but those of still: the others
// are wanted again, or not in the table any more.
func (r *Reconciler) cancelDrains(k ServiceKey, still map[DestinationKey]bool) {
	for dk, d := range r.drains[k] {
		if still[dk] {
			continue
		}
		delete(r.drains[k], dk)
		if !d.over {
			r.tell(Event{Kind: EventDrainCancelled, Drain: d.Drain})
		}
	}
	if len(r.drains[k]) == 0 {
		delete(r.drains, k)
	}
}

// observe takes over a table that was read.
func (r *Reconciler) observe(snap Snapshot) {
	now := time.Now()
	have := make(map[ServiceKey]Entry, len(snap))
	for i, e := range snap.Table() {
		k := e.Service.Key
		have[k] = e
		if len(r.drains[k]) > 0 {
			r.count(k, snap[i].Destinations, now)
		}
	}
	r.have, r.known, r.unread = have, true, false
	for k := range r.drains {
		if _, there := have[k]; !there {
			r.cancelDrains(k, nil)
		}
	}
}

// count takes over the connections of a service's draining destinations as
// read from began on; a drain that started later is another matter. It tells
// whether one of them is not there.
func (r *Reconciler) count(k ServiceKey, states []DestinationState, began time.Time) (missing bool) {
	at := make(map[DestinationKey]*DestinationState, len(states))
	for i := range states {
		at[states[i].Key] = &states[i]
	}
	for dk, d := range r.drains[k] {
		switch s := at[dk]; {
		case !d.Since.Before(began):
		case s == nil:
			r.open[k] = doubt{since: r.open[k].since, unread: true}
			missing = true
		case d.count(s, began) && !d.over:
			d.over = true
			r.tell(Event{Kind: EventDrained, Drain: d.Drain})
		}
	}
	return missing
}

// claim remembers the services that are to be in the table as ours, before
// they are.
func (r *Reconciler) claim(g goal) {
	keys := make([]ServiceKey, 0, len(g.entries))
	for k := range g.entries {
		keys = append(keys, k)
	}
	r.tellStateFile(r.owned.claim(keys))
}

// concluded takes over how the changes to a goal went.
func (r *Reconciler) concluded(ctx context.Context, g goal, c *convergence, err error) {
	r.report(c.report.Changes, g.repairs)
	if err == nil {
		r.commit(g, nil)
		return
	}
	switch result, ok := errors.AsType[*ApplyError](err); {
	case ok && result.Cause == nil:
		bad := make(map[ServiceKey]struct{}, len(result.Failed))
		for _, f := range result.Failed {
			bad[f.Service] = struct{}{}
		}
		r.commit(g, bad)
	case c.tried:
		r.lost(g)
	default:
		r.mu.Lock()
		r.unread = true
		r.mu.Unlock()
	}
	if ctx.Err() == nil {
		r.failed(err)
	}
}

// commit remembers that the goal is reached, but for the services in bad.
func (r *Reconciler) commit(g goal, bad map[ServiceKey]struct{}) {
	r.mu.Lock()
	for k, e := range g.entries {
		if _, ok := bad[k]; !ok {
			r.have[k] = e
			r.dropEnded(k)
		}
	}
	var forget []ServiceKey
	for _, k := range g.absent {
		if _, ok := bad[k]; ok {
			continue
		}
		delete(r.have, k)
		delete(r.drains, k)
		if _, wanted := r.want[k]; !wanted {
			delete(r.gone, k)
			forget = append(forget, k)
		}
	}
	if g.whole && r.whole {
		forget = append(forget, r.vanished()...)
	}
	r.closeDoubts(g, bad)
	if r.st.Err != nil && len(r.open) == 0 && r.allOpen == 0 && !r.unread {
		r.st.Err, r.st.FailingSince, r.retry, r.retryAt = nil, time.Time{}, 0, time.Time{}
		r.tell(Event{Kind: EventRecovered})
	}
	r.mu.Unlock()
	r.tellStateFile(r.owned.forget(forget))
}

// closeDoubts settles the doubts that the goal answers, and opens those of
// bad.
func (r *Reconciler) closeDoubts(g goal, bad map[ServiceKey]struct{}) {
	settled := func(k ServiceKey) {
		if r.open[k].since <= g.version {
			delete(r.open, k)
		}
	}
	if g.whole {
		if r.allOpen <= g.version {
			r.allOpen = 0
		}
		for k := range r.open {
			settled(k)
		}
	} else {
		for _, k := range g.keys {
			settled(k)
		}
	}
	for k := range bad {
		r.open[k] = doubt{since: r.open[k].since, unread: true}
	}
}

// dropEnded forgets the drains of a service whose destinations are removed.
func (r *Reconciler) dropEnded(k ServiceKey) {
	for dk, d := range r.drains[k] {
		if d.over {
			delete(r.drains[k], dk)
		}
	}
	if len(r.drains[k]) == 0 {
		delete(r.drains, k)
	}
}

// vanished lists the services that are remembered as ours and are neither
// wanted nor in the table.
func (r *Reconciler) vanished() []ServiceKey {
	return r.owned.unless(func(k ServiceKey) bool {
		_, wanted := r.want[k]
		_, there := r.have[k]
		return wanted || there
	})
}

// lost remembers that nobody knows what became of the goal: the services are
// read again before anything else is done with them.
func (r *Reconciler) lost(g goal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.whole || len(g.keys) == 0 {
		r.version++
		r.known, r.allOpen = false, r.version
		return
	}
	for _, k := range g.keys {
		r.open[k] = doubt{since: max(r.open[k].since, g.version), unread: true}
	}
}
