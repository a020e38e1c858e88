package ipvs

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// destinationReader is a plane that can be read by service.
type destinationReader interface {
	Destinations(context.Context, ServiceKey) iter.Seq2[DestinationState, error]
}

var _ destinationReader = (*Client)(nil)

// Run keeps the wanted table in force until ctx ends, and then returns nil;
// the table stays as it is. One Run at a time is enough, more do no harm.
func (r *Reconciler) Run(ctx context.Context) error {
	resync := time.NewTicker(r.resync)
	defer resync.Stop()
	poll := time.NewTicker(drainPoll)
	poll.Stop()
	defer poll.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	polling := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-resync.C:
			// A failure is told by events and status, and tried again below.
			_ = r.Resync(ctx)
		case <-poll.C:
			r.pollDrains(ctx)
		case <-retry.C:
			r.tryAgain(ctx)
		case <-r.wake:
		}
		due, after, drains := r.pending()
		if due {
			retry.Reset(after)
		} else {
			retry.Stop()
		}
		if drains != polling {
			polling = drains
			poll.Stop()
			if drains {
				poll.Reset(drainPoll)
			}
		}
	}
}

// pending tells whether something is to be tried again and when, and whether
// anything drains.
func (r *Reconciler) pending() (due bool, after time.Duration, drains bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.troubled(), max(time.Until(r.retryAt), 0), len(r.drains) > 0
}

// troubled tells whether the table may not be as wanted.
func (r *Reconciler) troubled() bool {
	return len(r.open) > 0 || r.allOpen != 0 || r.unread || r.st.Err != nil
}

// tryAgain settles what is open, and reads what could not be read, if it is
// time.
func (r *Reconciler) tryAgain(ctx context.Context) {
	if r.begin(ctx) != nil {
		return
	}
	defer r.end()
	r.mu.Lock()
	if !r.troubled() || time.Now().Before(r.retryAt) {
		r.mu.Unlock()
		return
	}
	var keys []ServiceKey
	if r.allOpen == 0 && r.known {
		keys = make([]ServiceKey, 0, len(r.open))
		for k := range r.open {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, ServiceKey.Compare)
	}
	if r.st.Err != nil {
		r.st.Retries++
	}
	remembered, open := r.remembers(keys), len(r.open) > 0 || r.allOpen != 0
	r.mu.Unlock()
	if !remembered || open || !r.isUnread() {
		_ = r.settleNow(ctx, keys)
	}
	if remembered && r.isUnread() {
		_ = r.converge(ctx, &convergence{plane: r.plane}, goal{})
	}
}

func (r *Reconciler) isUnread() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unread
}

// pollDrains counts the connections of what drains, and removes what has
// drained. Others may write while it reads.
func (r *Reconciler) pollDrains(ctx context.Context) {
	r.mu.Lock()
	keys := make([]ServiceKey, 0, len(r.drains))
	for k := range r.drains {
		keys = append(keys, k)
	}
	r.mu.Unlock()
	slices.SortFunc(keys, ServiceKey.Compare)
	began := time.Now()
	states, err := r.readDestinations(ctx, keys)
	if err != nil {
		// The deadlines hold all the same.
		r.events.log.Debug("cannot count the connections of what drains", "err", err)
	}
	if r.begin(ctx) != nil {
		return
	}
	defer r.end()
	if keys = r.drained(keys, states, began); len(keys) > 0 {
		_ = r.settleNow(ctx, keys)
	}
}

// drained returns those of the services with drains where something is to be
// done; states were read from began on.
func (r *Reconciler) drained(keys []ServiceKey, states map[ServiceKey][]DestinationState, began time.Time) []ServiceKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	return slices.DeleteFunc(keys, func(k ServiceKey) bool {
		due := false
		if list, ok := states[k]; ok {
			due = r.count(k, list, began)
		}
		for _, d := range r.drains[k] {
			due = due || d.over || !now.Before(d.Deadline)
		}
		return !due
	})
}

// readDestinations reads the destinations of services; one that is not there
// has none. What could not be read is left out.
func (r *Reconciler) readDestinations(ctx context.Context, keys []ServiceKey) (map[ServiceKey][]DestinationState, error) {
	states := make(map[ServiceKey][]DestinationState, len(keys))
	reader, ok := r.plane.(destinationReader)
	if !ok {
		snap, err := r.plane.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			states[k] = nil
		}
		for _, e := range snap {
			if _, ok := states[e.Service.Key]; ok {
				states[e.Service.Key] = e.Destinations
			}
		}
		return states, nil
	}
	var errs []error
	for _, k := range keys {
		var list []DestinationState
		var err error
		for s, e := range reader.Destinations(ctx, k) {
			if e != nil {
				err = e
				break
			}
			list = append(list, s)
		}
		if err == nil || errors.Is(err, ErrServiceNotFound) {
			states[k] = list
		} else {
			errs = append(errs, err)
		}
	}
	return states, errors.Join(errs...)
}
