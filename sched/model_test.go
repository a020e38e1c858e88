package sched

import (
	"net/netip"
	"slices"
)

// model states the rules a second time, as plainly as can be: slices instead
// of the ring, one step at a time instead of turns. The list is newest first.
type model struct {
	kind  string
	opts  Options // with the defaults in place
	flags Flags
	rules Rules
	list  []*entry
	// removed has the latest removed server of each name.
	removed map[byte]*entry
	at      *entry // the mark of rr and wrr; nil is the place before the head
	level   int
	maglev  []*entry // the table of mh
	cache   modelCache
}

type entry struct {
	name             byte
	addr             netip.AddrPort
	weight, last     int // last is the latest weight above 0
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
	if m.kind == "mh" {
		m.maglev = m.populate()
	}
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

// add returns the entry of a new server, which is that of a removed one if
// its address comes back before its connections ended.
func (m *model) add(name byte, addr netip.AddrPort, weight, upper, lower int) *entry {
	e := m.removed[name]
	if e == nil || e.active+e.inactive == 0 {
		e = &entry{name: name, addr: addr}
	}
	m.list = append([]*entry{e}, m.list...)
	m.configure(e, weight, upper, lower)
	e.last = weight
	m.changed()
	return e
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
	m.removed[e.name] = e
	m.changed()
}

func (m *model) edit(e *entry, weight, upper, lower int) {
	m.configure(e, weight, upper, lower)
	if weight > 0 {
		e.last = weight
	}
	m.changed()
}

func (m *model) configure(e *entry, weight, upper, lower int) {
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

func (m *model) pick(f Flow, avoid *entry, random uint64) *entry {
	free := func(e *entry) bool { return !e.over && e != avoid }
	var able []*entry
	for _, e := range m.list {
		if free(e) && e.weight > 0 {
			able = append(able, e)
		}
	}
	switch m.kind {
	case "none":
		return nil
	case "rr":
		return m.pickRR(able)
	case "wrr":
		return m.pickWRR(free)
	case "sh", "dh", "mh":
		return m.pickHash(f, able)
	case "lblc":
		return m.pickLBLC(f, able, avoid)
	case "lblcr":
		return m.pickLBLCR(f, able, avoid)
	case "twos":
		return m.pickTwos(able, random)
	case "nq":
		for _, e := range able {
			if e.active == 0 {
				return e
			}
		}
	case "ovf":
		able = slices.DeleteFunc(able, func(e *entry) bool { return e.active > e.weight })
	}
	return m.best(able)
}

// best is the server with the least load a unit of weight, or the greatest
// weight; the first of equal ones.
func (m *model) best(able []*entry) *entry {
	if len(able) == 0 {
		return nil
	}
	return slices.MinFunc(able, func(a, b *entry) int {
		switch m.kind {
		case "lc":
			return m.overhead(a) - m.overhead(b)
		case "sed", "nq":
			return (a.active+1)*b.weight - (b.active+1)*a.weight
		case "fo", "ovf":
			return b.weight - a.weight
		}
		return m.overhead(a)*b.weight - m.overhead(b)*a.weight
	})
}

func (m *model) pickRR(able []*entry) *entry {
	// The list turned so that it begins behind the mark.
	i := m.index(m.at) + 1
	for _, e := range append(slices.Clone(m.list[i:]), m.list[:i]...) {
		if slices.Contains(able, e) {
			m.at = e
			return e
		}
	}
	return nil
}

// pickTwos writes the name of each server on as many tickets as it weighs,
// the first on one more, and draws two.
func (m *model) pickTwos(able []*entry, random uint64) *entry {
	if len(able) == 0 {
		return nil
	}
	tickets := []*entry{able[0]}
	for _, e := range able {
		for range e.weight {
			tickets = append(tickets, e)
		}
	}
	one := tickets[random>>32%uint64(len(tickets))]
	two := tickets[random&(1<<32-1)%uint64(len(tickets))]
	if two.weight*m.overhead(one) > one.weight*m.overhead(two) {
		return two
	}
	return one
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
