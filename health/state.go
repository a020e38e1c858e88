package health

import (
	"fmt"
	"math"
	"time"
)

// State is what the answers of a watch add up to.
type State uint8

// The states. The zero value is Unknown.
const (
	// Unknown means that no question has been answered yet.
	Unknown State = iota
	// Up means that new connections may go to the target.
	Up
	// Down means that they may not.
	Down
)

var stateNames = [...]string{Unknown: "unknown", Up: "up", Down: "down"}

// String returns "unknown", "up", "down", or "state(N)" for a number that
// this version does not know.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes the same text as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *State) UnmarshalText(text []byte) error {
	n, err := parseEnum(string(text), stateNames[:], "state")
	if err == nil {
		*s = State(n)
	}
	return err
}

// machine is the state of one watch and the answers that contradict it. It
// knows no clock and no goroutine.
type machine struct {
	state State
	// oks and fails are the answers of a kind in a row; one of them is 0.
	oks, fails int32
}

// step takes one verdict. The second value tells whether the state changed.
func (m machine) step(p Policy, v Verdict) (machine, bool) {
	switch v {
	case OK:
		m.oks, m.fails = more(m.oks), 0
	case Fail:
		m.oks, m.fails = 0, more(m.fails)
	default:
		return m, false // we could not ask: nothing is known that was not known before
	}
	was := m.state
	switch {
	case was == Unknown && v == OK, was == Down && int(m.oks) >= p.Rise:
		m.state = Up
	case was == Unknown && v == Fail, was == Up && int(m.fails) >= p.Fall:
		m.state = Down
	}
	return m, m.state != was
}

// more counts on, and stays at the end: at one answer a millisecond that is
// after 24 days.
func more(n int32) int32 {
	if n == math.MaxInt32 {
		return n
	}
	return n + 1
}

// interval is the time until the next check: fast while the last answer
// contradicts the state.
func (m machine) interval(p Policy) (d time.Duration, fast bool) {
	switch {
	case m.state == Up && m.fails > 0, m.state == Down && m.oks > 0:
		return p.FastInterval, true
	case m.state == Down:
		return p.DownInterval, false
	}
	return p.Interval, false
}
