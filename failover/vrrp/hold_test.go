package vrrp

import (
	"testing"
	"time"
)

// Who stops being active keeps the addresses until another router has had the
// time to come.
func TestHold(t *testing.T) {
	const takeOver = 250 * time.Millisecond
	p := Params{Version: 3, Priority: 128, Interval: time.Second, Address: low}
	for _, c := range []struct {
		name    string
		version uint8
		event   Event
		want    time.Duration
	}{
		{"it stops", 3, Event{Kind: EventStop}, time.Second + takeOver},
		{"it stops, and skews of version 2 are of a second", 2, Event{Kind: EventStop}, time.Second + takeOver},
		{"it yields", 3, Event{Kind: EventYield}, 3500*time.Millisecond + takeOver},
		{"its group gives way", 3, Event{Kind: EventFollow, State: StateBackup}, 3500*time.Millisecond + takeOver},
		{"another one has precedence", 3, Event{Kind: EventHeard, Priority: 200, Interval: time.Second, Source: high}, takeOver},
		{"it has a fault", 3, Event{Kind: EventFault, On: true}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p
			p.Version = c.version
			m, _ := NewMachine(p, 0).Step(Event{Kind: EventStart}, 0)
			m, _ = m.Step(Event{}, 10*time.Second)
			if m, _ = m.Step(c.event, 11*time.Second); m.state == StateActive {
				t.Fatalf("still active")
			}
			if got := m.Hold(takeOver); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
