package ipvs

import "time"

// ReconcilerStatus says what a reconciler does and did.
type ReconcilerStatus struct {
	// Wanted counts the services that are wanted.
	Wanted int `json:"wanted"`
	// Changes counts the changes that were carried out, Repairs those of
	// them that undid what somebody else did to our services.
	Changes uint64 `json:"changes"`
	Repairs uint64 `json:"repairs"`
	// Failures counts failed attempts, Retries those that Run made anew.
	Failures uint64 `json:"failures"`
	Retries  uint64 `json:"retries"`
	// LastResync is when a Resync last succeeded; zero before the first.
	LastResync time.Time `json:"last_resync,omitzero"`
	// Err is why the table is not as wanted, nil when it is or when nothing
	// was tried; FailingSince is when the first failure in a row was.
	Err          error     `json:"-"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	// OwnershipErr is why the file of the [Ownership] could not be written,
	// nil when it is as it should be: a service that is no longer wanted when
	// the program is started again would stay in the table.
	OwnershipErr error `json:"-"`
	// Drains are the destinations that leave now, ordered.
	Drains []Drain `json:"drains"`
}

// Status returns what the reconciler does now. It does not wait for a change
// that is under way.
func (r *Reconciler) Status() ReconcilerStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.st
	st.Wanted = len(r.want)
	st.Drains = []Drain{}
	for _, of := range r.drains {
		for _, d := range of {
			st.Drains = append(st.Drains, d.Drain)
		}
	}
	sortDrains(st.Drains)
	return st
}

// report counts and tells the changes that were carried out.
func (r *Reconciler) report(changes []Change, repairs map[changeID]struct{}) {
	if len(changes) == 0 {
		return
	}
	asked, undone := changes, []Change(nil)
	if len(repairs) > 0 {
		asked = nil
		for _, c := range changes {
			if _, ok := repairs[c.id()]; ok {
				undone = append(undone, c)
			} else {
				asked = append(asked, c)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.st.Changes += uint64(len(changes))
	r.st.Repairs += uint64(len(undone))
	if len(undone) > 0 {
		r.tell(Event{Kind: EventRepaired, Changes: undone})
	}
	if len(asked) > 0 {
		r.tell(Event{Kind: EventChanged, Changes: asked})
	}
}

// failed notes an attempt that failed and when to try again.
func (r *Reconciler) failed(err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.st.Err == nil {
		r.st.FailingSince = now
	}
	r.st.Err = err
	r.st.Failures++
	r.retry = min(max(2*r.retry, retryMin), retryMax)
	r.retryAt = now.Add(r.retry)
	r.tell(Event{Kind: EventFailed, Err: err, Retry: r.retry})
}

// tellStateFile notes how writing the file of the ownership went.
func (r *Reconciler) tellStateFile(err error) {
	r.mu.Lock()
	news := err != nil && (r.st.OwnershipErr == nil || r.st.OwnershipErr.Error() != err.Error())
	r.st.OwnershipErr = err
	r.mu.Unlock()
	if news {
		r.events.log.Warn("a service that is no longer wanted at the next start would stay in the table", "err", err)
	}
}

// tell queues an event, to be passed on when no lock is held.
func (r *Reconciler) tell(e Event) { r.events.push(e) }
