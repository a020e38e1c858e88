package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// model states the rules a second time, as plainly as can be: slices instead
// of the ring, one step at a time instead of turns. The list is newest first.
type model struct {
	kind  string
	rules Rules
	list  []*entry
	at    *entry // the mark of rr and wrr; nil is the place before the head
	level int
}

type entry struct {
	name             byte
	weight           int
	active, inactive int
	upper, lower     int
	over             bool
}

func (m *model) index(e *entry) int { return slices.Index(m.list, e) } // -1 for nil

// divisor is the greatest number that divides all weights above 0.
func (m *model) divisor() int {
	for d := m.heaviest(); d > 1; d-- {
		if !slices.ContainsFunc(m.list, func(e *entry) bool { return e.weight%d != 0 }) {
			return d
		}
	}
	return 1
}

func (m *model) heaviest() int {
	h := 0
	for _, e := range m.list {
		h = max(h, e.weight)
	}
	return h
}

func (m *model) changed() {
	if m.kind != "wrr" {
		return
	}
	m.at = nil
	di := m.divisor()
	mw := m.heaviest() - (di - 1)
	if m.level > mw || m.level == 0 {
		m.level = mw
	} else if di > 1 {
		m.level = (m.level/di)*di + 1
	}
}

func (m *model) add(e *entry) {
	m.list = append([]*entry{e}, m.list...)
	m.changed()
}

func (m *model) remove(e *entry) {
	i := m.index(e)
	if m.kind == "rr" && m.at == e {
		m.at = nil
		if i > 0 {
			m.at = m.list[i-1]
		}
	}
	m.list = slices.Delete(m.list, i, i+1)
	m.changed()
}

func (m *model) edit(e *entry, weight, upper, lower int) {
	n := e.active + e.inactive
	if m.rules == OlderRules {
		if upper == 0 || upper > e.upper {
			e.over = false
		}
	} else if upper != e.upper || lower != e.lower {
		if l := m.lowerOf(upper, lower); upper == 0 || n < l {
			e.over = false
		}
		if upper > 0 && n >= upper {
			e.over = true
		}
	}
	e.weight, e.upper, e.lower = weight, upper, lower
	m.changed()
}

// lowerOf is the number of connections below which an overload ends.
func (m *model) lowerOf(upper, lower int) int {
	if lower > 0 {
		return lower
	}
	n := 0
	for 4*n < 3*upper { // The least n that is no longer below.
		n++
	}
	return n
}

func (m *model) opened(e *entry) {
	e.inactive++
	if e.upper > 0 && e.active+e.inactive >= e.upper {
		e.over = true
	}
}

func (m *model) closed(e *entry, active bool) {
	if active {
		e.active--
	} else {
		e.inactive--
	}
	if e.upper == 0 && e.lower == 0 || e.active+e.inactive < m.lowerOf(e.upper, e.lower) {
		e.over = false
	}
}

func (m *model) overhead(e *entry) int {
	if m.rules == NewerRules {
		return 257*e.active + e.inactive
	}
	return 256*e.active + e.inactive
}

func (m *model) pick(avoid *entry) *entry {
	free := func(e *entry) bool { return !e.over && e != avoid }
	n := len(m.list)
	switch m.kind {
	case "rr":
		start := m.index(m.at)
		for k := 1; k <= n; k++ {
			e := m.list[(start+k+n)%n]
			if start == -1 {
				e = m.list[k-1]
			}
			if free(e) && e.weight > 0 {
				m.at = e
				return e
			}
		}
		return nil
	case "wrr":
		return m.pickWRR(free)
	}
	var best *entry
	for _, e := range m.list {
		if !free(e) || e.weight == 0 {
			continue
		}
		less := func() bool {
			if m.kind == "lc" {
				return m.overhead(e) < m.overhead(best)
			}
			return m.overhead(best)*e.weight > m.overhead(e)*best.weight
		}
		if best == nil || less() {
			best = e
		}
	}
	return best
}

func (m *model) pickWRR(free func(*entry) bool) *entry {
	di := m.divisor()
	mw := m.heaviest() - (di - 1)
	if mw == 0 {
		return nil
	}
	start, startedLow := m.at, m.level <= di
	seenLow := map[*entry]bool{} // those looked at with a level that any weight reaches
	i := m.index(m.at)
	for {
		i++
		if i == len(m.list) {
			if m.level -= di; m.level <= 0 {
				m.level = mw
			}
			// All were looked at in one unbroken walk: the mark stays at
			// the head.
			if len(seenLow) == len(m.list) {
				m.at = nil
				return nil
			}
			i = -1
			continue
		}
		e := m.list[i]
		if free(e) && e.weight >= m.level {
			m.at = e
			return e
		}
		if m.level <= di {
			seenLow[e] = true
		}
		// The walk began in the middle and is back there.
		if e == start && startedLow && len(seenLow) == len(m.list) {
			return nil
		}
	}
}

// TestAgainstModel plays random lives of a service to a scheduler and to the
// model, and wants the same pick every time.
func TestAgainstModel(t *testing.T) {
	for _, kind := range Names() {
		for _, rules := range []Rules{OlderRules, NewerRules} {
			t.Run(kind+" "+rules.String(), func(t *testing.T) {
				for seed := range uint64(300) {
					if !t.Run(fmt.Sprint(seed), func(t *testing.T) { playRandom(t, kind, rules, seed) }) {
						return
					}
				}
			})
		}
	}
}

func playRandom(t *testing.T, kind string, rules Rules, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	s := mustNew(t, kind, &Options{Rules: rules})
	m := &model{kind: kind, rules: rules}
	servers := map[byte]*Server{}
	factor := []int{1, 1, 2, 3, 10}[rnd.IntN(5)]
	weight := func() int { return rnd.IntN(5) * factor }
	threshold := func() (upper, lower int) {
		if rnd.IntN(3) > 0 {
			return 0, 0
		}
		upper = 1 + rnd.IntN(6)
		return upper, rnd.IntN(upper + 1)
	}
	some := func() *entry { return m.list[rnd.IntN(len(m.list))] }
	type open struct {
		e      *entry
		active bool
	}
	var conns []open
	for i := range 400 {
		switch what := rnd.IntN(20); {
		case what == 0 && len(m.list) < 8:
			name := byte('a')
			for slices.ContainsFunc(m.list, func(e *entry) bool { return e.name == name }) {
				name++
			}
			e := &entry{name: name, weight: weight()}
			e.upper, e.lower = threshold()
			servers[name] = mustAdd(t, s, name, ServerConfig{Weight: e.weight, Upper: uint32(e.upper), Lower: uint32(e.lower)})
			m.add(e)
		case what == 1 && len(m.list) > 0 && rnd.IntN(2) == 0:
			e := some()
			if m.at != nil && rnd.IntN(2) == 0 {
				e = m.at
			}
			if err := s.Remove(servers[e.name]); err != nil {
				t.Fatal(err)
			}
			m.remove(e)
			conns = slices.DeleteFunc(conns, func(o open) bool { return o.e == e })
		case what == 2 && len(m.list) > 0:
			e, w := some(), weight()
			u, l := threshold()
			if rnd.IntN(2) == 0 {
				u, l = e.upper, e.lower
			}
			if err := s.Edit(servers[e.name], ServerConfig{Weight: w, Upper: uint32(u), Lower: uint32(l)}); err != nil {
				t.Fatal(err)
			}
			m.edit(e, w, u, l)
		case what < 8 && len(conns) > 0:
			k := rnd.IntN(len(conns))
			o := conns[k]
			conns = slices.Delete(conns, k, k+1)
			servers[o.e.name].Closed(o.active)
			m.closed(o.e, o.active)
		default:
			var avoid *entry
			var avoided *Server
			if len(m.list) > 0 && rnd.IntN(4) == 0 {
				avoid = some()
				avoided = servers[avoid.name]
			}
			want, got := m.pick(avoid), s.PickOther(Flow{}, avoided)
			wantName := "-"
			if want != nil {
				wantName = string(rune(want.name))
			}
			if nameOf(got) != wantName {
				t.Fatalf("step %d: picked %s, the model %s", i, nameOf(got), wantName)
			}
			if got == nil || rnd.IntN(3) == 0 {
				continue
			}
			got.Opened()
			m.opened(want)
			active := rnd.IntN(2) == 0
			if active {
				got.Activated()
				want.inactive, want.active = want.inactive-1, want.active+1
			}
			conns = append(conns, open{want, active})
			if got.Overloaded() != want.over || got.Active() != want.active || got.Inactive() != want.inactive {
				t.Fatalf("step %d: %s is %d/%d overloaded %t, the model %d/%d %t", i, wantName,
					got.Active(), got.Inactive(), got.Overloaded(), want.active, want.inactive, want.over)
			}
		}
		if w, ok := s.alg.(*wrr); ok && int(w.level) != m.level {
			t.Fatalf("step %d: level %d, the model %d", i, w.level, m.level)
		}
	}
}
