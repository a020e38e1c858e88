package health

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unique"
)

// pace is the shortest time between the first checks of questions that come
// in one by one.
const pace = 50 * time.Microsecond

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
	if err := m.validate(watches); err != nil {
		return err
	}
	// First the new ones in, then the old ones out, so that a watch under a
	// new name finds what was known under the old one.
	p := m.placing()
	order := make([]*watch, len(watches))
	for i := range watches {
		order[i] = p.place(&watches[i])
	}
	for w := m.order.first; w != nil; w = w.after {
		if w.mark != m.marks {
			m.forget(w)
		}
	}
	m.order = list{}
	for _, w := range order {
		m.order.push(w)
	}
	p.arm()
	return nil
}

// Put adds watches to the set, or changes those of the same ID; all others
// stay as they are. What is known survives as in [Monitor.Set], and so does
// the meaning of an error. It costs what the watches named cost, however many
// there are.
func (m *Monitor) Put(watches ...Watch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.validate(watches); err != nil {
		return err
	}
	p := m.placing()
	for i := range watches {
		old := m.watches[watches[i].ID]
		switch w := p.place(&watches[i]); {
		case old == nil:
			m.order.push(w)
		case old != w:
			m.order.replace(old, w)
			m.forget(old)
		}
	}
	p.arm()
	return nil
}

// Remove takes watches out of the set; IDs that it does not have are passed
// over. As with [Monitor.Set], nothing is told of them afterwards.
func (m *Monitor) Remove(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if w := m.watches[id]; w != nil {
			m.order.remove(w)
			m.forget(w)
		}
	}
	m.signal()
}

// validate checks watches and changes nothing but marks.
func (m *Monitor) validate(watches []Watch) error {
	var errs []error
	m.marks++
	fresh := make(map[string]struct{}, max(len(watches)-len(m.watches), 0))
	for i := range watches {
		w := &watches[i]
		if err := w.validate(); err != nil {
			errs = append(errs, fmt.Errorf("watch %d %q: %w", i, w.ID, err))
		}
		_, twice := fresh[w.ID]
		if old := m.watches[w.ID]; old != nil {
			twice = old.mark == m.marks
			old.mark = m.marks
		} else {
			fresh[w.ID] = struct{}{}
		}
		if twice {
			errs = append(errs, fmt.Errorf("watch %d %q: the ID is used twice", i, w.ID))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("watches refused, the old ones stay: %w", errors.Join(errs...))
	}
	return nil
}

// placement is a change of the set under way.
type placement struct {
	m     *Monitor
	now   time.Duration
	added []*probe // questions that have to be given their turns

	checker Checker // the one whose identity is known, for the next watch
	check   unique.Handle[string]
}

func (m *Monitor) placing() *placement {
	m.marks++
	return &placement{m: m, now: m.now()}
}

// identity is the checker's. It is long to write, and sets share checkers.
func (p *placement) identity(c Checker, old *watch) unique.Handle[string] {
	switch {
	case old != nil && same(c, old.probe.checker):
		return old.probe.key.check
	case !same(c, p.checker):
		p.checker, p.check = c, unique.Make(c.Identity())
	}
	return p.check
}

// same tells whether two checkers are one and the same.
func same(a, b Checker) bool {
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && t.Kind() == reflect.Pointer && a == b
}

// place brings one watch in and returns its inner form.
func (p *placement) place(cfg *Watch) *watch {
	m := p.m
	w := m.watches[cfg.ID]
	if w != nil && w.target.Addr != cfg.Target.Addr {
		w = nil // the caller forgets it
	}
	policy := cfg.Policy.withDefaults()
	key := question{cfg.Target.Addr, p.identity(cfg.Checker, w), policy.Timeout}
	rules := unique.Make(policy)
	if w != nil && w.probe.key == key {
		w.target, w.mark = cfg.Target, m.marks
		if w.rules != rules {
			w.rules = rules
			m.replan(w, p.now)
		}
		return w
	}
	q := m.probes[key]
	if q == nil {
		q = newProbe(key, cfg)
		m.probes[key] = q
	}
	if len(q.watches) == 0 { // it is new, or what it did for others still has to end
		p.added = append(p.added, q)
	}
	if w != nil { // another question
		m.leave(w)
		w.target, w.rules, w.mark = cfg.Target, rules, m.marks
		w.fresh(&m.texts)
		m.join(w, q, p.now)
		return w
	}
	w = &watch{id: cfg.ID, target: cfg.Target, rules: rules, mark: m.marks, machine: machine{state: cfg.Initial}}
	m.watches[cfg.ID] = w
	for _, other := range q.watches {
		if other.state != Unknown {
			w.adopt(&m.texts, other, m.keep)
			if w.state != cfg.Initial {
				m.emit(w, cfg.Initial, nil)
			}
			break
		}
	}
	m.join(w, q, p.now)
	return w
}

func newProbe(key question, cfg *Watch) *probe {
	p := &probe{key: key, name: cfg.Target.Name, checker: cfg.Checker, index: -1, phase: never, triggered: never}
	if c, ok := cfg.Checker.(Standing); ok {
		p.stand = &standing{checker: c}
	}
	return p
}

// arm ends a change: what is new gets its turns.
func (p *placement) arm() {
	if p.m.active {
		p.m.arm(p.added, p.now)
		p.m.signal()
	}
}

// join makes w ask p. A known answer waits for its turn, an unknown one is
// asked for at once; probes that are new get their first turn in arm.
func (m *Monitor) join(w *watch, p *probe, now time.Duration) {
	w.probe = p
	p.watches = append(p.watches, w)
	w.turn, w.next = now, now
	if w.asked() && p.phase != never {
		m.slowTurn(w, now)
	}
	m.requeue(p)
}

// slowTurn gives w the next turn of its question's grid.
func (m *Monitor) slowTurn(w *watch, now time.Duration) {
	policy := w.policy()
	d, _ := w.interval(policy)
	w.turn = onGrid(w.probe.phase, now, d)
	w.next = w.turn + jitter(m.seed, w.turn, d, policy.Jitter)
}

// replan gives w its next turn under a changed policy.
func (m *Monitor) replan(w *watch, now time.Duration) {
	p := w.probe
	if p.phase == never || !w.asked() || w.next <= now {
		return // the turn under way comes first
	}
	m.slowTurn(w, now)
	m.requeue(p)
}

func (m *Monitor) requeue(p *probe) {
	if !p.running && m.active && p.phase != never {
		p.plan()
		m.queue.put(p)
	}
}

// leave takes w away from its question, and ends the question if w was the
// last to ask.
func (m *Monitor) leave(w *watch) {
	p := w.probe
	p.remove(w)
	if len(p.watches) > 0 {
		m.requeue(p)
		return
	}
	m.queue.drop(p)
	p.triggered = never
	if p.running {
		p.dropped = true
		p.cancel()
	}
	if p.stand != nil {
		p.stand.end()
	}
	m.bury(p)
}

// bury lets go of a question that nobody asks and that does nothing more.
func (m *Monitor) bury(p *probe) {
	if len(p.watches) == 0 && !p.running && (p.stand == nil || !p.stand.open) {
		delete(m.probes, p.key)
	}
}

// forget ends a watch. The caller takes it out of the order.
func (m *Monitor) forget(w *watch) {
	w.removed = true
	m.leave(w)
	w.clear(&m.texts)
	if m.watches[w.id] == w {
		delete(m.watches, w.id)
	}
}

// arm gives probes their first turns and their phases, spread by their order.
// Those that come in later calls fall between the ones before, as multiples
// of the golden ratio do.
func (m *Monitor) arm(probes []*probe, now time.Duration) {
	n := 0
	for _, p := range probes {
		if len(p.watches) > 0 {
			n++
		}
	}
	if n == 0 {
		return
	}
	shift := math.Mod(float64(m.batches)*(math.Phi-1), 1)
	m.batches++
	i := 0
	for _, p := range probes {
		if len(p.watches) == 0 {
			continue
		}
		interval := p.watches[0].policy().Interval
		first, phase := spread(i, n, interval, m.budget)
		p.phase = now + phase + time.Duration(shift*float64(interval))
		first += now
		if i == 0 {
			first = max(first, m.paced)
			m.paced = first + pace
		}
		for _, w := range p.watches {
			w.turn, w.next = first, first
		}
		m.requeue(p)
		i++
	}
}
