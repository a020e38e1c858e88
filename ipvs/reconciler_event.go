package ipvs

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

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

// eventQueue logs events and passes them on in order, to one call at a time.
type eventQueue struct {
	hook func(Event) // nil: nobody asked for them
	log  *slog.Logger

	mu    sync.Mutex
	queue []Event
	busy  bool
	// trouble is the last failure that was logged; it belongs to the one who
	// is busy.
	trouble string
}

func (q *eventQueue) push(e Event) {
	if q.hook == nil && !q.log.Enabled(context.Background(), slog.LevelError) {
		return
	}
	q.mu.Lock()
	q.queue = append(q.queue, e)
	q.mu.Unlock()
}

// deliver passes on what is queued. When that is under way already, the other
// goes on with it: another caller's, or one that called the hook.
func (q *eventQueue) deliver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy {
		return
	}
	q.busy = true
	defer func() { q.busy = false }()
	for len(q.queue) > 0 {
		e := q.queue[0]
		q.queue = q.queue[1:]
		q.pass(e)
	}
	q.queue = nil
}

// pass tells an event without the lock, and holds it again afterwards even if
// the hook panics: whoever recovers finds the queue in order.
func (q *eventQueue) pass(e Event) {
	q.mu.Unlock()
	defer q.mu.Lock()
	q.write(e)
	if q.hook != nil {
		q.hook(e)
	}
}

// logChanges is how many changes of one step are logged by themselves.
const logChanges = 20

// write logs an event; the same failure again and again is logged once.
func (q *eventQueue) write(e Event) {
	switch e.Kind {
	case EventRepaired:
		q.log.Warn("somebody else changed our services, which is put right", "changes", len(e.Changes))
		q.writeChanges(e.Changes)
	case EventChanged:
		q.writeChanges(e.Changes)
	case EventFailed:
		if text := e.Err.Error(); text != q.trouble {
			q.trouble = text
			q.log.Error("cannot make the table what it should be, will try again", "err", e.Err, "after", e.Retry)
		}
	case EventRecovered:
		q.trouble = ""
		q.log.Info("the table is as wanted again")
	default:
		d := e.Drain
		q.log.Info(e.Kind.String(), "service", d.Service.String(), "destination", d.Destination.String(),
			"active", d.Active, "inactive", d.Inactive, "persistent", d.Persistent, "deadline", d.Deadline)
	}
}

func (q *eventQueue) writeChanges(changes []Change) {
	if !q.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	for i, c := range changes {
		if i == logChanges {
			q.log.Info("and more changes", "count", len(changes)-i)
			return
		}
		q.log.Info(c.String(), "service", c.Service.Key.String())
	}
}
