package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lvskit/lvskit/health"
)

// Alarm says when failures are too many at once to be believed without
// asking a control target: something that must answer as long as we are well
// ourselves, such as the gateway. The zero value believes every failure.
type Alarm struct {
	// Share is the share of the targets that were not down, above 0 to 1,
	// above which failures within Window are looked into. 0 never does.
	Share float64 `json:"share,omitempty"`
	// Least is how many such targets there must be at least; 0 means 4. Of
	// fewer a single machine is a large share.
	Least int `json:"least,omitempty"`
	// Window is the time within which failures belong together, the interval
	// of the checks and the time-out of one; 0 means 15 s.
	Window time.Duration `json:"window_ns,omitempty"`
}

// The settings of an Alarm that zero stands for.
const (
	DefaultLeast  = 4
	DefaultWindow = 15 * time.Second
)

// Validate reports every field that cannot be used.
func (a Alarm) Validate() error {
	var errs []error
	if !(a.Share >= 0 && a.Share <= 1) {
		errs = append(errs, fmt.Errorf("share %v: want 0..1", a.Share))
	}
	if a.Least < 0 {
		errs = append(errs, fmt.Errorf("least %d: want 1 or more, or 0 for %d", a.Least, DefaultLeast))
	}
	if a.Window < 0 {
		errs = append(errs, fmt.Errorf("window %v: want more than 0, or 0 for %v", a.Window, DefaultWindow))
	}
	return errors.Join(errs...)
}

func (a Alarm) settings() Alarm {
	if a.Least <= 0 {
		a.Least = DefaultLeast
	}
	if a.Window <= 0 {
		a.Window = DefaultWindow
	}
	return a
}

// Wave remembers the failures of a moment and what came of them: the state
// beside an [Alarm]. The zero value is calm. It has no clock: the methods take
// the time, which must not run backwards. It is not safe for concurrent use.
//
// Failures are believed one by one as long as they are few. The one that is
// too many starts the phase Asking, in which failures are held back and the
// control target is asked. When it answers, all are believed, and more of them
// for the time of a window (Granted). When it does not, or cannot be asked, it
// is us (Holding): all targets keep the states that they had before the wave,
// those which went first included, until the control target answers; then
// they have the time of a window to answer too (Settling), and who is down
// after that is down. A target that answers is up in every phase.
type Wave struct {
	phase  Phase
	since  time.Time
	until  time.Time
	reason string
	fallen int // how many it was about, of how many
	of     int
	// recent are the failures of a window that were believed; order are their
	// turns, with some that do not count any more.
	recent map[string]fall
	order  []turn
	// held are the states that targets keep.
	held map[string]health.State
}

type fall struct {
	was health.State
	at  time.Time
}

type turn struct {
	id string
	at time.Time
}

// Fell takes the failure of a target that had the state was, and tells whether
// to believe it; otherwise the target keeps that state for now. standing is
// how many targets are not down, without this one. It ends no phase, so what
// was held until now is let go by [Wave.Tick] alone.
func (w *Wave) Fell(a Alarm, id string, was health.State, standing int, now time.Time) bool {
	a = a.settings()
	switch w.phase {
	case Granted:
		return true
	case Calm:
		w.prune(a, now)
	default:
		w.hold(id, was)
		return false
	}
	if a.Share <= 0 {
		return true
	}
	if w.recent == nil {
		w.recent = make(map[string]fall)
	}
	if _, again := w.recent[id]; !again {
		w.recent[id] = fall{was, now}
		w.order = append(w.order, turn{id, now})
		if len(w.order) > 2*len(w.recent)+64 { // of targets that flap
			w.order = slices.DeleteFunc(w.order, func(t turn) bool { return !w.recent[t.id].at.Equal(t.at) })
		}
	}
	all := standing + len(w.recent)
	if all < a.Least || float64(len(w.recent)) <= a.Share*float64(all) {
		return true
	}
	delete(w.recent, id)
	w.to(Asking, now)
	w.fallen, w.of = len(w.recent)+1, all
	w.hold(id, was)
	return false
}

// Rose takes that a target is up, or is no target any more.
func (w *Wave) Rose(id string) {
	delete(w.held, id)
	delete(w.recent, id)
}

// Answer takes what the control target said: whether it answered well, and a
// line that says so. It reports whether states may have changed by it.
func (w *Wave) Answer(a Alarm, ok bool, reason string, now time.Time) bool {
	a = a.settings()
	changed := w.Tick(a, now)
	switch {
	case ok && w.phase == Asking:
		w.to(Granted, now)
		w.until = now.Add(a.Window)
		w.forget()
	case ok && w.phase == Holding:
		w.to(Settling, now)
		w.until = now.Add(a.Window)
	case !ok && w.phase == Asking:
		w.to(Holding, now)
		for id, f := range w.recent {
			w.hold(id, f.was)
		}
		clear(w.recent)
		w.order = nil
	case !ok && w.phase == Settling:
		w.to(Holding, now)
	case w.phase == Holding:
		w.reason = reason
		return changed
	default:
		return changed
	}
	w.reason = reason
	return true
}

// Tick takes that time has gone by, and reports whether states may have
// changed by it. It is due at [Wave.Until].
func (w *Wave) Tick(a Alarm, now time.Time) bool {
	a = a.settings()
	switch w.phase {
	case Calm:
		w.prune(a, now)
	case Granted, Settling:
		if now.Before(w.until) {
			return false
		}
		held := len(w.held) > 0
		w.to(Calm, now)
		w.forget()
		return held
	}
	return false
}

// prune forgets the failures that a window does not hold any more.
func (w *Wave) prune(a Alarm, now time.Time) {
	n := 0
	for n < len(w.order) && now.Sub(w.order[n].at) > a.Window {
		if t := w.order[n]; w.recent[t.id].at.Equal(t.at) {
			delete(w.recent, t.id)
		}
		n++
	}
	w.order = w.order[n:]
}

// Phase returns the phase and since when it lasts.
func (w *Wave) Phase() (Phase, time.Time) { return w.phase, w.since }

// Until returns when Tick is due; the zero time is never.
func (w *Wave) Until() time.Time {
	if w.phase == Granted || w.phase == Settling {
		return w.until
	}
	return time.Time{}
}

// Asks tells whether the control target is to be asked: at once in the phase
// Asking, and now and then while states are held.
func (w *Wave) Asks() bool { return w.phase == Asking || w.phase == Holding || w.phase == Settling }

// Held returns the state that a target keeps although it failed.
func (w *Wave) Held(id string) (health.State, bool) {
	s, ok := w.held[id]
	return s, ok
}

// Holds counts the targets that keep a state.
func (w *Wave) Holds() int { return len(w.held) }

// Why says in one line what is going on; empty when nothing is.
func (w *Wave) Why() string {
	n := fmt.Sprintf("%d of %d targets failed at once", w.fallen, w.of)
	switch w.phase {
	case Asking:
		return n + ": asking the control target before it is believed"
	case Holding:
		return withReason(fmt.Sprintf("%s, and the control target does not answer either: this router is cut off, and %d targets keep their states", n, len(w.held)), w.reason)
	case Settling:
		return fmt.Sprintf("%s, and the control target answers again: %d targets keep their states until they had the time to answer", n, len(w.held))
	case Granted:
		return withReason(n+", and the control target answers: they are down", w.reason)
	}
	return ""
}

func (w *Wave) to(p Phase, now time.Time) {
	w.phase, w.since, w.until, w.reason = p, now, time.Time{}, ""
}

func (w *Wave) hold(id string, was health.State) {
	if w.held == nil {
		w.held = make(map[string]health.State)
	}
	if _, there := w.held[id]; !there {
		w.held[id] = was
	}
}

func (w *Wave) forget() {
	clear(w.recent)
	clear(w.held)
	w.order = nil
}
