package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is something that happens to a server at a time.
type Event struct {
	// At counts from the beginning of what is shown, after the settling.
	At   time.Duration
	Kind Kind
	// Server is the name of a server.
	Server string
	// Weight is the new weight, for SetWeight.
	Weight int
}

// ParseEvent reads the text form: "30s fail C", "1m return C", "90s drain C",
// "90s weight C 4". Commas may stand in place of blanks.
func ParseEvent(text string) (Event, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) < 3 {
		return Event{}, fmt.Errorf("event %q: want TIME WHAT SERVER, such as %q", text, "30s fail C")
	}
	var e Event
	var err error
	if e.At, err = parseTime(words[0]); err != nil {
		return Event{}, fmt.Errorf("event %q: %w", text, err)
	}
	if err := e.Kind.UnmarshalText([]byte(words[1])); err != nil {
		return Event{}, fmt.Errorf("event %q: %w", text, err)
	}
	e.Server = words[2]
	rest := words[3:]
	switch {
	case e.Kind == SetWeight && len(rest) != 1:
		return Event{}, fmt.Errorf("event %q: want the weight at its end, such as %q", text, "30s weight C 4")
	case e.Kind == SetWeight:
		if e.Weight, err = strconv.Atoi(rest[0]); err != nil {
			return Event{}, fmt.Errorf("event %q: weight %q: want a whole number", text, rest[0])
		}
	case len(rest) > 0:
		return Event{}, fmt.Errorf("event %q: %q is too much", text, strings.Join(rest, " "))
	}
	return e, nil
}

// String returns the text form.
func (e Event) String() string { return fmt.Sprintf("%v %s", e.At, e.Label()) }

// Label returns the event without its time: "fail C", "weight C 4".
func (e Event) Label() string {
	if e.Kind == SetWeight {
		return fmt.Sprintf("weight %s %d", e.Server, e.Weight)
	}
	return fmt.Sprintf("%v %s", e.Kind, e.Server)
}

// MarshalText writes the text form.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [ParseEvent] does.
func (e *Event) UnmarshalText(text []byte) error {
	got, err := ParseEvent(string(text))
	if err == nil {
		*e = got
	}
	return err
}
