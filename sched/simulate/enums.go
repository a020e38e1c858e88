package simulate

import (
	"fmt"
	"slices"
	"strings"
)

// Process is the way in which connections arrive.
type Process uint8

// The processes. Zero is Poisson.
const (
	// Poisson is many independent clients: gaps are exponential.
	Poisson Process = iota
	// Constant is one connection after the other at equal gaps.
	Constant
	// Bursty is Poisson that is switched on and off.
	Bursty
	// Closed is a number of clients that each have one connection at a time
	// and think between two.
	Closed
)

var processNames = []string{"poisson", "constant", "bursty", "closed"}

// String returns "poisson", "constant", "bursty" or "closed", or the number of
// an unknown process.
func (p Process) String() string { return enumString("process", processNames, uint8(p)) }

// MarshalText writes the name; an unknown process is an error.
func (p Process) MarshalText() ([]byte, error) {
	return enumText("arrival process", processNames, uint8(p))
}

// UnmarshalText reads a name.
func (p *Process) UnmarshalText(text []byte) error {
	return enumRead("arrival process", processNames, text, (*uint8)(p))
}

// Feedback is who changes the weights of servers.
type Feedback uint8

// The kinds of feedback. Zero is none.
const (
	// NoFeedback enters a returning server with its whole weight.
	NoFeedback Feedback = iota
	// Piranha is Piranha's slow start alone.
	Piranha
	// PiranhaLoad is Piranha's slow start and its formula for the load.
	PiranhaLoad
	// Gradual is the bounded and damped law of package feedback.
	Gradual
)

var feedbackNames = []string{"none", "piranha", "piranha-load", "gradual"}

// String returns "none", "piranha", "piranha-load" or "gradual", or the number
// of an unknown kind.
func (f Feedback) String() string { return enumString("feedback", feedbackNames, uint8(f)) }

// MarshalText writes the name; an unknown kind is an error.
func (f Feedback) MarshalText() ([]byte, error) {
	return enumText("feedback", feedbackNames, uint8(f))
}

// UnmarshalText reads a name.
func (f *Feedback) UnmarshalText(text []byte) error {
	return enumRead("feedback", feedbackNames, text, (*uint8)(f))
}

// Kind is what happens to a server.
type Kind uint8

// The kinds of events.
const (
	// Fail breaks the server's connections at once, and it refuses new
	// ones: a process that died. Its refusals end the connections in the
	// table, so a least-connection scheduler likes it until the checks
	// notice.
	Fail Kind = iota + 1
	// Hang leaves all connections without an answer, and new ones too: a
	// host without power. In the table they stay as they are.
	Hang
	// Return brings a server back, or one that was down at the start.
	Return
	// Drain sets the weight to 0: no new connections, the old ones stay.
	Drain
	// SetWeight changes the configured weight.
	SetWeight
	// Remove takes the server out of the table; its connections break.
	Remove
)

var kindNames = []string{"", "fail", "hang", "return", "drain", "weight", "remove"}

// String returns "fail", "hang", "return", "drain", "weight" or "remove", or
// the number of an unknown kind.
func (k Kind) String() string { return enumString("event", kindNames, uint8(k)) }

// MarshalText writes the name; an unknown kind is an error.
func (k Kind) MarshalText() ([]byte, error) { return enumText("event", kindNames, uint8(k)) }

// UnmarshalText reads a name.
func (k *Kind) UnmarshalText(text []byte) error {
	return enumRead("event", kindNames, text, (*uint8)(k))
}

func enumString(what string, names []string, v uint8) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", what, v)
}

func enumText(what string, names []string, v uint8) ([]byte, error) {
	if int(v) < len(names) && names[v] != "" {
		return []byte(names[v]), nil
	}
	return nil, fmt.Errorf("%s %d: want %s", what, v, known(names))
}

func enumRead(what string, names []string, text []byte, v *uint8) error {
	if i := slices.Index(names, string(text)); i >= 0 && len(text) > 0 {
		*v = uint8(i)
		return nil
	}
	return fmt.Errorf("%s %q: want %s", what, text, known(names))
}

// known lists names for a message.
func known(names []string) string {
	var some []string
	for _, n := range names {
		if n != "" {
			some = append(some, n)
		}
	}
	if len(some) == 1 {
		return some[0]
	}
	return strings.Join(some[:len(some)-1], ", ") + " or " + some[len(some)-1]
}
