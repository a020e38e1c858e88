package dsr

import "time"

// marks hands out the marks of a range. A mark that comes back rests: packets
// of the last check with it may still be on their way when the next service
// would take them for its own.
type marks struct {
	first uint32
	n     uint32 // size of the range
	fresh uint32 // how many were ever handed out
	rest  time.Duration
	back  []resting // in the order in which they came back
}

type resting struct {
	mark  uint32
	until time.Time
}

// take returns a mark that nobody uses; false if there is none now.
func (m *marks) take(now time.Time) (uint32, bool) {
	if m.fresh < m.n {
		m.fresh++
		return m.first + m.fresh - 1, true
	}
	if len(m.back) == 0 || now.Before(m.back[0].until) {
		return 0, false
	}
	mark := m.back[0].mark
	m.back = m.back[1:]
	return mark, true
}

// give takes a mark back.
func (m *marks) give(mark uint32, now time.Time) {
	m.back = append(m.back, resting{mark, now.Add(m.rest)})
}

// has tells whether a mark is of the range.
func (m *marks) has(mark uint32) bool { return mark >= m.first && mark-m.first < m.n }
