package health

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Defaults of a [Config].
const (
	DefaultMaxConcurrent = 256
	DefaultHistory       = 10
	DefaultStartBudget   = 5 * time.Second
)

// Config sets up a [Monitor].
type Config struct {
	// OnEvent is called for each change of a state, in order, by the
	// goroutine of Run. While it runs no check is started, so it should be
	// quick; it may call every method of the Monitor except Run. nil means
	// that nobody listens.
	OnEvent func(Event)
	// MaxConcurrent is how many checks may run at the same time; the others
	// wait in the order in which they are due. 0 means
	// DefaultMaxConcurrent. Each check of this package needs one file
	// descriptor, programs a few more.
	MaxConcurrent int
	// History is how many results are kept for each watch. 0 means
	// DefaultHistory, a negative number none.
	History int
	// StartBudget is the time within which every new watch is asked for the
	// first time, as far as MaxConcurrent allows. 0 means
	// DefaultStartBudget. An interval shorter than it counts instead.
	StartBudget time.Duration
	// Logger receives changes of state and stalls; nil discards them.
	Logger *slog.Logger
}

// Stats count what a Monitor did.
type Stats struct {
	// Watches and Questions: how many watches there are, and how many
	// different questions they ask.
	Watches   int `json:"watches"`
	Questions int `json:"questions"`
	// Running is how many checks run now.
	Running int `json:"running"`
	// Checks counts the checks started, Events the events delivered.
	Checks uint64 `json:"checks"`
	Events uint64 `json:"events"`
	// Stalls counts the times that this process itself stood still for more
	// than a second, Stalled is how long in all. Excused counts the
	// failures that became NoResult because of it.
	Stalls  uint64        `json:"stalls"`
	Stalled time.Duration `json:"stalled_ns"`
	Excused uint64        `json:"excused"`
}

// Monitor runs the checks of a set of watches and keeps their states. All
// methods are safe for concurrent use.
type Monitor struct {
	onEvent func(Event)
	logger  *slog.Logger
	max     int
	keep    int
	budget  time.Duration
	wake    chan struct{} // has room for one: something changed

	mu      sync.Mutex
	active  bool // Run is running
	sets    uint64
	watches map[string]*watch
	order   []*watch // as in the last Set
	probes  map[question]*probe
	queue   queue
	done    []finished
	events  []pending
	stats   Stats
}

// pending is an event that has not been delivered yet.
type pending struct {
	watch *watch
	event Event
}

// NewMonitor returns a Monitor without watches that does nothing until Run.
// A nil cfg means the defaults.
func NewMonitor(cfg *Config) *Monitor {
	if cfg == nil {
		cfg = &Config{}
	}
	m := &Monitor{
		onEvent: cfg.OnEvent, logger: cfg.Logger, max: cfg.MaxConcurrent, keep: cfg.History, budget: cfg.StartBudget,
		wake: make(chan struct{}, 1), watches: map[string]*watch{}, probes: map[question]*probe{},
	}
	if m.onEvent == nil {
		m.onEvent = func(Event) {}
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	if m.max <= 0 {
		m.max = DefaultMaxConcurrent
	}
	if m.keep == 0 {
		m.keep = DefaultHistory
	}
	if m.budget <= 0 {
		m.budget = DefaultStartBudget
	}
	return m
}

// Set replaces the whole set of watches. On error nothing has changed; the
// error names every watch that cannot be used.
//
// What is known survives as follows. A watch that keeps its ID and its
// question (address, checker identity and timeout) keeps everything, even if
// its intervals, rise or fall change. One that keeps its ID and address but
// asks another question keeps its state and counts its answers afresh. One
// whose address changed is a new watch. A new watch that asks a question of
// which the answer is known starts with that answer and gets an event for it.
//
// Checks that nobody asks for any more are cancelled. Once Set has returned,
// no call of OnEvent begins for a watch that it removed; one that had begun
// before may still be running.
func (m *Monitor) Set(watches []Watch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	if err := m.validate(watches); err != nil {
		return err
	}
	now := time.Now()
	// First the new ones in, then the old ones out, so that a watch under a
	// new name finds what was known under the old one.
	order := make([]*watch, len(watches))
	var added []*probe
	for i := range watches {
		order[i] = m.place(&watches[i], now, &added)
		order[i].mark = m.sets
	}
	for _, w := range m.order {
		if w.mark != m.sets {
			m.forget(w)
		}
	}
	m.order = order
	if m.active {
		m.arm(added, now)
		m.signal()
	}
	return nil
}

// validate checks a set and changes nothing but marks.
func (m *Monitor) validate(watches []Watch) error {
	var errs []error
	fresh := make(map[string]bool)
	for i := range watches {
		w := &watches[i]
		if err := w.validate(); err != nil {
			errs = append(errs, fmt.Errorf("watch %d %q: %w", i, w.ID, err))
		}
		if old := m.watches[w.ID]; old != nil {
			if old.mark == m.sets {
				errs = append(errs, fmt.Errorf("watch %d %q: the ID is used twice", i, w.ID))
			}
			old.mark = m.sets
		} else if fresh[w.ID] {
			errs = append(errs, fmt.Errorf("watch %d %q: the ID is used twice", i, w.ID))
		} else {
			fresh[w.ID] = true
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("watches refused, the old ones stay: %w", errors.Join(errs...))
	}
	for _, w := range m.order {
		w.mark = 0 // place marks those that stay
	}
	return nil
}

// place brings one watch in and returns its inner form. Probes that did not
// exist are appended to added.
func (m *Monitor) place(cfg *Watch, now time.Time, added *[]*probe) *watch {
	policy := cfg.Policy.withDefaults()
	key := question{cfg.Target.Addr, cfg.Checker.Identity(), policy.Timeout}
	w := m.watches[cfg.ID]
	if w != nil && w.probe.key.addr != key.addr {
		delete(m.watches, cfg.ID) // m.order still has it, so it will be forgotten
		w = nil
	}
	if w != nil && w.probe.key == key {
		w.Watch = *cfg
		if w.policy != policy {
			w.policy = policy
			m.replan(w, now)
		}
		return w
	}
	p := m.probes[key]
	if p == nil {
		p = &probe{key: key, target: cfg.Target, checker: cfg.Checker, index: -1}
		m.probes[key] = p
		*added = append(*added, p)
	} else if p.dropped && len(p.watches) == 0 {
		// Its cancelled check still has to end; then it is asked afresh.
		*added = append(*added, p)
	}
	if w != nil { // another question
		m.leave(w)
		w.Watch, w.policy = *cfg, policy
		w.fresh()
		m.join(w, p, now)
		return w
	}
	w = &watch{Watch: *cfg, policy: policy, machine: machine{state: cfg.Initial}}
	m.watches[cfg.ID] = w
	for _, other := range p.watches {
		if other.state != Unknown {
			w.adopt(other)
			if w.state != cfg.Initial {
				m.emit(w, cfg.Initial, nil, now)
			}
			break
		}
	}
	m.join(w, p, now)
	return w
}

// join makes w ask p. A known answer waits for its turn, an unknown one is
// asked for at once; probes that are new get their first turn in arm.
func (m *Monitor) join(w *watch, p *probe, now time.Time) {
	w.probe = p
	p.watches = append(p.watches, w)
	w.next = now
	if w.last != nil && !p.phase.IsZero() {
		d, _ := w.interval(w.policy)
		w.next = onGrid(p.phase, now, d)
	}
	m.requeue(p)
}

// replan gives w its next turn under a changed policy.
func (m *Monitor) replan(w *watch, now time.Time) {
	p := w.probe
	if p.phase.IsZero() || w.last == nil || !w.next.After(now) {
		return // the turn under way comes first
	}
	d, _ := w.interval(w.policy)
	w.next = onGrid(p.phase, now, d)
	m.requeue(p)
}

func (m *Monitor) requeue(p *probe) {
	if !p.running && m.active && !p.phase.IsZero() {
		p.plan()
		m.queue.put(p)
	}
}

// leave takes w away from its question, and ends the question if w was the
// last to ask.
func (m *Monitor) leave(w *watch) {
	p := w.probe
	p.remove(w)
	switch {
	case len(p.watches) > 0:
		m.requeue(p)
	case p.running:
		p.dropped = true
		p.cancel()
	default:
		m.queue.drop(p)
		delete(m.probes, p.key)
	}
}

func (m *Monitor) forget(w *watch) {
	w.removed = true
	m.leave(w)
	if m.watches[w.ID] == w {
		delete(m.watches, w.ID)
	}
}

// arm gives probes their first turns and their phases, spread by their order.
func (m *Monitor) arm(probes []*probe, now time.Time) {
	n := 0
	for _, p := range probes {
		if len(p.watches) > 0 {
			n++
		}
	}
	i := 0
	for _, p := range probes {
		if len(p.watches) == 0 {
			continue
		}
		first, phase := spread(i, n, p.watches[0].policy.Interval, m.budget)
		i++
		p.phase = now.Add(phase)
		for _, w := range p.watches {
			w.next = now.Add(first)
		}
		m.requeue(p)
	}
}

// Trigger asks the question of a watch at once, without moving its turns, and
// gives the answer to every watch that asks it. A question that is being
// asked is asked once more afterwards. It reports whether there is such a
// watch. Triggers do not add up.
func (m *Monitor) Trigger(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watches[id]
	if w == nil {
		return false
	}
	if w.probe.triggered.IsZero() {
		w.probe.triggered = time.Now()
		m.requeue(w.probe)
		m.signal()
	}
	return true
}

// States returns every watch in the order of the last Set, without histories.
func (m *Monitor) States() []WatchState {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make([]WatchState, len(m.order))
	for i, w := range m.order {
		states[i] = w.snapshot(false)
	}
	return states
}

// State returns one watch with its history; false if there is none.
func (m *Monitor) State(id string) (WatchState, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watches[id]
	if w == nil {
		return WatchState{}, false
	}
	return w.snapshot(true), true
}

// Stats returns the counters.
func (m *Monitor) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Watches, s.Questions = len(m.order), len(m.probes)
	return s
}

// emit queues an event.
func (m *Monitor) emit(w *watch, old State, r *Result, at time.Time) {
	m.events = append(m.events, pending{w, Event{
		ID: w.ID, Target: w.Target, Old: old, New: w.state, Reason: w.reason, At: at, Result: r,
	}})
}

// signal wakes the scheduler.
func (m *Monitor) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
