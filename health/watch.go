package health

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unique"
)

// Watch asks for the state of one target, under a name of the caller's.
type Watch struct {
	// ID names the watch; it is unique within a set and must not be empty.
	ID string
	// Target is what to ask about. Its port may be 0 if the check needs none.
	Target Target
	// Checker is the question.
	Checker Checker
	// Policy says how often to ask and how many answers count.
	Policy Policy
	// Initial is the state that a watch starts with when nothing is known of
	// it: Up or Down if the caller remembers one, from a state file or a
	// peer. The zero value is Unknown: the first answer decides.
	Initial State
}

func (w *Watch) validate() error {
	var errs []error
	if w.ID == "" {
		errs = append(errs, errors.New("the ID is empty"))
	}
	if !w.Target.Addr.IsValid() {
		errs = append(errs, fmt.Errorf("target %v: want an address", w.Target.Addr))
	}
	if w.Checker == nil {
		errs = append(errs, errors.New("there is no checker"))
	}
	if w.Initial > Down {
		errs = append(errs, fmt.Errorf("initial %v: want unknown, up or down", w.Initial))
	}
	if err := w.Policy.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// WatchState is what a Monitor knows about one watch.
type WatchState struct {
	// ID and Target are the watch's own.
	ID     string `json:"id"`
	Target Target `json:"target"`
	// Check is the identity of the watch's checker.
	Check string `json:"check"`
	// State, Since and Reason: what it is, since when, and the reason of
	// the result that made it so. Since is zero while nothing has made it.
	State  State     `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Last is the newest result; nil before the first.
	Last *Result `json:"last,omitempty"`
	// OKs and Fails are the answers of one kind in a row; one of them is 0.
	OKs   int `json:"oks"`
	Fails int `json:"fails"`
	// Counters count since the question was first asked for this watch.
	Counters Counters `json:"counters"`
	// WorstDetection is what the policy adds up to; see
	// [Policy.WorstDetection].
	WorstDetection time.Duration `json:"worst_detection_ns"`
	// History are the newest results, oldest first, at most Config.History.
	// Their Start has no monotonic reading, and only Last has what is not
	// verdict, reason, phases, bytes seen or weight. [Monitor.States] leaves
	// the history out.
	History []*Result `json:"history,omitempty"`
}

// Counters count what happened to a watch.
type Counters struct {
	// OK, Fail and NoResult count results by verdict.
	OK       uint64 `json:"ok"`
	Fail     uint64 `json:"fail"`
	NoResult uint64 `json:"no_result"`
	// Changes counts changes of the state.
	Changes uint64 `json:"changes"`
	// Overruns counts turns that were skipped because the check before had
	// not ended, or had to wait for its turn too long.
	Overruns uint64 `json:"overruns"`
}

// Event is a change of a watch's state.
type Event struct {
	// Seq numbers the events of a Monitor from 1 without gaps.
	Seq uint64 `json:"seq"`
	// ID and Target are the watch's own.
	ID     string `json:"id"`
	Target Target `json:"target"`
	// Old and New are the states.
	Old State `json:"old"`
	New State `json:"new"`
	// Reason is that of the result which made the change.
	Reason string `json:"reason"`
	// At is when the change was seen: wall clock and monotonic.
	At time.Time `json:"at"`
	// Result made the change; nil when a watch took over a known state from
	// another watch that asks the same question. Read only.
	Result *Result `json:"result,omitempty"`
}

// question is what makes two checks one: asked of the same address, by the
// same check, with the same patience.
type question struct {
	addr    netip.AddrPort
	check   unique.Handle[string]
	timeout time.Duration
}

// watch is a Watch and its state inside a Monitor. All fields are guarded by
// the monitor's lock.
type watch struct {
	id     string
	target Target
	rules  unique.Handle[Policy] // with defaults filled in
	probe  *probe
	mark   uint64 // the last call of Set or Put that named it
	// The order of the watches is a list, so that one leaves it at no cost.
	before, after *watch
	removed       bool

	machine
	since  time.Time
	reason string
	history
	rich     *Result // the newest result if a record does not carry all of it
	counters Counters

	// turn is the turn that the watch waits for, next is when it will ask:
	// the turn and its jitter. Both stay in the past while the check of that
	// turn runs.
	turn, next time.Duration
}

func (w *watch) policy() Policy { return w.rules.Value() }

// asked tells whether there is any answer yet.
func (w *watch) asked() bool { return w.n > 0 }

// take feeds a result; the bool tells whether the state changed.
func (w *watch) take(t *texts, r *Result, keep int) (old State, changed bool) {
	switch r.Verdict {
	case OK:
		w.counters.OK++
	case Fail:
		w.counters.Fail++
	default:
		w.counters.NoResult++
	}
	w.record(t, r, keep)
	old = w.state
	w.machine, changed = w.step(w.policy(), r.Verdict)
	if changed {
		w.since, w.reason = r.Start.Add(r.Duration), r.Reason
		w.counters.Changes++
	}
	return old, changed
}

func (w *watch) record(t *texts, r *Result, keep int) {
	w.push(t, r, keep)
	w.rich = nil
	if !whole(r) {
		w.rich = new(*r)
	}
}

// last is the newest result; nil before the first.
func (w *watch) last(t *texts) *Result {
	if !w.asked() || w.rich != nil {
		return w.rich
	}
	return w.results(t, 1)[0]
}

// fresh forgets the answers but not the state: the question has changed.
func (w *watch) fresh(t *texts) {
	w.machine = machine{state: w.state}
	w.clear(t)
	w.rich, w.counters = nil, Counters{}
}

// adopt takes over what is known from a watch that asks the same question.
func (w *watch) adopt(t *texts, from *watch, keep int) {
	w.machine, w.since, w.reason = from.machine, from.since, from.reason
	if r := from.last(t); r != nil {
		w.record(t, r, keep)
	}
}

// snapshot tells all, with the newest results as far as most.
func (w *watch) snapshot(t *texts, most int) WatchState {
	s := WatchState{
		ID: w.id, Target: w.target, Check: w.probe.key.check.Value(),
		State: w.state, Since: w.since, Reason: w.reason, Last: w.last(t), OKs: int(w.oks), Fails: int(w.fails),
		Counters: w.counters, WorstDetection: w.policy().WorstDetection(),
	}
	if most > 0 {
		s.History = w.results(t, most)
	}
	return s
}

// list is the order of the watches.
type list struct {
	first, last *watch
	n           int
}

// push puts w at the end.
func (l *list) push(w *watch) {
	w.before, w.after = l.last, nil
	if l.last != nil {
		l.last.after = w
	} else {
		l.first = w
	}
	l.last = w
	l.n++
}

func (l *list) remove(w *watch) {
	if w.before != nil {
		w.before.after = w.after
	} else {
		l.first = w.after
	}
	if w.after != nil {
		w.after.before = w.before
	} else {
		l.last = w.before
	}
	w.before, w.after = nil, nil
	l.n--
}

// replace puts w in the place of old.
func (l *list) replace(old, w *watch) {
	w.before, w.after = old.before, old.after
	if old.before != nil {
		old.before.after = w
	} else {
		l.first = w
	}
	if old.after != nil {
		old.after.before = w
	} else {
		l.last = w
	}
	old.before, old.after = nil, nil
}
