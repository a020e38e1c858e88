package ipvs

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

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

// EventKind is what an [Event] tells.
type EventKind uint8

// The kinds of events.
const (
	// EventChanged: changes that the caller asked for, or that end a drain,
	// were carried out.
	EventChanged EventKind = iota + 1
	// EventRepaired: somebody else had changed a service of ours; these
	// changes undid it.
	EventRepaired
	// EventDrainStarted: a destination takes no new connections and leaves.
	EventDrainStarted
	// EventDrained: it carries nothing any more and is removed.
	EventDrained
	// EventDrainExpired: it is removed with connections, at its deadline.
	EventDrainExpired
	// EventDrainCancelled: it is wanted again, or somebody else removed it.
	EventDrainCancelled
	// EventFailed: an attempt failed; it is tried again.
	EventFailed
	// EventRecovered: the table is as wanted again.
	EventRecovered
)

var eventNames = [...]string{
	EventChanged:        "changed",
	EventRepaired:       "repaired",
	EventDrainStarted:   "drain started",
	EventDrained:        "drained",
	EventDrainExpired:   "drain expired",
	EventDrainCancelled: "drain cancelled",
	EventFailed:         "failed",
	EventRecovered:      "recovered",
}

// String returns the kind in words ("drain started"), or the number of one
// without a name.
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return strconv.Itoa(int(k))
}

// MarshalText writes the same text as String.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *EventKind) UnmarshalText(text []byte) error {
	for i, name := range eventNames {
		if name != "" && string(text) == name {
			*k = EventKind(i)
			return nil
		}
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return fmt.Errorf("event %q: want words like \"drain started\" or a number 0..255", text)
	}
	*k = EventKind(n)
	return nil
}

// Event is what happened to the table of a [Reconciler].
type Event struct {
	Kind EventKind `json:"kind"`
	// Changes are those that were carried out, of EventChanged and
	// EventRepaired.
	Changes []Change `json:"changes,omitempty"`
	// Drain is that of the drain events.
	Drain Drain `json:"drain,omitzero"`
	// Err is what failed, and Retry after what time Run tries again, of
	// EventFailed.
	Err   error         `json:"-"`
	Retry time.Duration `json:"-"`
}

// logChanges is how many changes of one step are logged by themselves.
const logChanges = 20

// report counts, logs and tells the changes that were carried out.
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
	r.st.Changes += uint64(len(changes))
	r.st.Repairs += uint64(len(undone))
	if len(undone) > 0 {
		r.tell(Event{Kind: EventRepaired, Changes: undone})
	}
	if len(asked) > 0 {
		r.tell(Event{Kind: EventChanged, Changes: asked})
	}
	r.mu.Unlock()
	if len(undone) > 0 {
		r.log.Warn("somebody else changed our services, which is put right", "changes", len(undone))
	}
	for i, c := range changes {
		if i == logChanges {
			r.log.Info("and more changes", "count", len(changes)-i)
			return
		}
		r.log.Info(c.String(), "service", c.Service.Key.String())
	}
}

// failed notes an attempt that failed and when to try again.
func (r *Reconciler) failed(err error) {
	now := time.Now()
	r.mu.Lock()
	news := r.st.Err == nil || r.st.Err.Error() != err.Error()
	if r.st.Err == nil {
		r.st.FailingSince = now
	}
	r.st.Err = err
	r.st.Failures++
	r.retry = min(max(2*r.retry, retryMin), retryMax)
	r.retryAt = now.Add(r.retry)
	after := r.retry
	r.tell(Event{Kind: EventFailed, Err: err, Retry: after})
	r.mu.Unlock()
	if news {
		r.log.Error("cannot make the table what it should be, will try again", "err", err, "after", after)
	}
}

// tellStateFile notes how writing the file of the ownership went.
func (r *Reconciler) tellStateFile(err error) {
	r.mu.Lock()
	news := err != nil && (r.st.OwnershipErr == nil || r.st.OwnershipErr.Error() != err.Error())
	r.st.OwnershipErr = err
	r.mu.Unlock()
	if news {
		r.log.Warn("a service that is no longer wanted at the next start would stay in the table", "err", err)
	}
}

// tell queues an event, for deliver to pass on once no lock is held.
func (r *Reconciler) tell(e Event) {
	if e.Drain.Destination.IsValid() {
		r.log.Info(e.Kind.String(), "service", e.Drain.Service, "destination", e.Drain.Destination,
			"active", e.Drain.Active, "inactive", e.Drain.Inactive, "persistent", e.Drain.Persistent, "deadline", e.Drain.Deadline)
	}
	r.events.push(e)
}

// eventQueue passes events on in order, to one call at a time.
type eventQueue struct {
	hook func(Event)

	mu    sync.Mutex
	queue []Event
	busy  bool
}

func (q *eventQueue) push(e Event) {
	if q.hook == nil {
		return
	}
	q.mu.Lock()
	q.queue = append(q.queue, e)
	q.mu.Unlock()
}

// deliver calls the hook for what is queued. When a call is under way, that
// one goes on with it: another caller's, or the hook's own.
func (q *eventQueue) deliver() {
	if q.hook == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy {
		return
	}
	q.busy = true
	for len(q.queue) > 0 {
		e := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		q.hook(e)
		q.mu.Lock()
	}
	q.busy = false
}
