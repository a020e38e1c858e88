package health

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Defaults of a [Config].
const (
	DefaultHistory     = 10
	DefaultStartBudget = 5 * time.Second
	DefaultMaxSessions = 1024
)

// Config sets up a [Monitor].
type Config struct {
	// OnEvent is called for each change of a state, in order, by the
	// goroutine of Run. While it runs no check is started, so it should be
	// quick; it may call every method of the Monitor except Run. nil means
	// that nobody listens.
	OnEvent func(Event)
	// MaxConcurrent is how many checks may run at the same time; the others
	// wait in the order in which they are due. Each check of this package
	// needs one file descriptor, programs a few more. 0 means half of what
	// the process may open (RLIMIT_NOFILE), but 256 to 16,384: checks of
	// servers that are dead last for their whole time-out, and if many are
	// dead at once the others must not have to wait for them.
	MaxConcurrent int
	// History is how many results are kept for each watch. 0 means
	// DefaultHistory, a negative number none.
	History int
	// StartBudget is the time within which every new watch is asked for the
	// first time, as far as MaxConcurrent allows. 0 means
	// DefaultStartBudget. An interval shorter than it counts instead.
	StartBudget time.Duration
	// MaxSessions is how many sessions of checkers that are [Standing] may be
	// open; the other questions are asked by turns. 0 means
	// DefaultMaxSessions, a negative number none. Each session of this
	// package needs one file descriptor.
	MaxSessions int
	// Logger receives changes of state and stalls; nil discards them.
	Logger *slog.Logger
}

// Stats count what a Monitor did.
type Stats struct {
	// Watches and Questions: how many watches there are, and how many
	// different questions they ask.
	Watches   int `json:"watches"`
	Questions int `json:"questions"`
	// Running is how many checks run now, of MaxConcurrent at most, and
	// Sessions how many sessions of [Standing] checkers are open.
	Running       int `json:"running"`
	MaxConcurrent int `json:"max_concurrent"`
	Sessions      int `json:"sessions"`
	// Checks counts the checks started, Reports what sessions told, Events
	// the events delivered.
	Checks  uint64 `json:"checks"`
	Reports uint64 `json:"reports"`
	Events  uint64 `json:"events"`
	// NoResult counts the checks that could not be made for a reason on our
	// side, Panics those of them whose checker panicked.
	NoResult uint64 `json:"no_result"`
	Panics   uint64 `json:"panics"`
	// Late tells how punctual checks begin: Late[i] counts those that began
	// less than 2^i ms after they were due, the last one all the others.
	Late [12]uint64 `json:"late"`
	// Stalls counts the times that this process itself stood still for more
	// than a quarter of a second, Stalled is how long in all. Excused counts
	// the failures that became NoResult because of it.
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
	shown   int // how much of a history is shown
	keep    int // and how much is kept: the newest result always is
	budget  time.Duration
	wake    chan struct{} // has room for one: something changed

	maxSessions int
	seed        uint64    // of the jitter
	base        time.Time // of all times inside

	mu       sync.Mutex
	active   bool // Run is running
	marks    uint64
	watches  map[string]*watch
	order    list
	probes   map[question]*probe
	queue    queue
	batches  int           // how many times arm was called
	paced    time.Duration // no first check of a new question before
	done     []finished
	events   []pending
	texts    texts
	stats    Stats
	lastBeat time.Duration
	stallEnd time.Duration
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
		onEvent: cfg.OnEvent, logger: cfg.Logger, max: cfg.MaxConcurrent, shown: cfg.History, budget: cfg.StartBudget,
		wake: make(chan struct{}, 1), watches: map[string]*watch{}, probes: map[question]*probe{},
		maxSessions: cfg.MaxSessions, seed: rand.Uint64(), base: time.Now(), stallEnd: never,
	}
	if m.onEvent == nil {
		m.onEvent = func(Event) {}
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	if m.max <= 0 {
		m.max = defaultConcurrent(descriptors())
	}
	m.stats.MaxConcurrent = m.max
	if m.shown == 0 {
		m.shown = DefaultHistory
	}
	m.keep = max(m.shown, 1)
	if m.budget <= 0 {
		m.budget = DefaultStartBudget
	}
	if m.maxSessions == 0 {
		m.maxSessions = DefaultMaxSessions
	}
	return m
}

// defaultConcurrent is MaxConcurrent for so many descriptors; the other half
// is for the caller and for sessions.
func defaultConcurrent(descriptors int) int {
	return min(max(descriptors/2, 256), 16_384)
}

// now is the time inside.
func (m *Monitor) now() time.Duration { return time.Since(m.base) }

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
	if now := m.now(); w.probe.triggered == never || w.probe.triggered > now {
		w.probe.triggered = now
		m.requeue(w.probe)
		m.signal()
	}
	return true
}

// States returns every watch in the order of the last Set, those that Put has
// added behind them, without histories.
func (m *Monitor) States() []WatchState {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make([]WatchState, 0, m.order.n)
	for w := m.order.first; w != nil; w = w.after {
		states = append(states, w.snapshot(&m.texts, 0))
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
	return w.snapshot(&m.texts, m.shown), true
}

// Stats returns the counters.
func (m *Monitor) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Watches, s.Questions = m.order.n, len(m.probes)
	return s
}

// emit queues an event.
func (m *Monitor) emit(w *watch, old State, r *Result) {
	m.events = append(m.events, pending{w, Event{
		ID: w.id, Target: w.target, Old: old, New: w.state, Reason: w.reason, At: time.Now(), Result: r,
	}})
}

// signal wakes the scheduler.
func (m *Monitor) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
