package pulse

import (
	"strings"
	"testing"
)

// The state that each state goes to at each event, of a primary: I(nit),
// B(ackup), A(ctive), F(ault), L(eaving). What a row begins with is in begin.
const matrix = `
                  init starting backup waiting active rival yielding taken taking fault leaving
tick              I    I        B      B       A      A     A        A     B      F     L
silence           A    I        A      B       A      A     A        A     A      F     L
heard-init        A    A        A      A       A      A     A        A     A      F     L
heard-backup      A    A        A      A       A      A     A        A     A      F     L
heard-active      B    B        B      B       A      A     A        A     B      F     L
heard-serving     B    B        B      B       B      B     B        B     B      F     L
heard-yielding    A    A        A      A       A      A     B        B     A      F     L
heard-fault       A    A        A      A       A      A     A        A     A      F     L
heard-leaving     A    A        A      A       A      A     A        A     A      F     L
stall             I    I        B      B       A      A     A        A     B      F     L
fault             F    F        F      F       F      F     F        F     F      F     L
fault-mended      I    I        B      B       A      A     A        A     B      B     L
blind             I    I        B      B       A      A     A        A     B      F     L
not-blind         I    I        B      B       A      A     A        A     B      F     L
serving           I    I        B      B       A      A     A        A     B      F     L
not-serving       I    I        B      B       A      A     A        A     B      F     L
yield             I    I        B      B       A      A     A        A     B      F     L
take              I    I        B      B       A      A     A        A     B      F     L
cleared           I    I        B      A       A      A     A        A     B      F     L
leave             L    L        L      L       L      L     L        L     L      L     L
`

func TestEveryStateMeetsEveryEvent(t *testing.T) {
	type row = func(*script)
	begin := map[string]func(*testing.T) *script{
		"init": func(t *testing.T) *script { return newScript(t, primaryParams()) },
		"starting": func(t *testing.T) *script { // and silence has to be cleared
			p := primaryParams()
			p.Clearance = true
			return newScript(t, p)
		},
		"backup": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateActive, serves)
			return s
		},
		"waiting": func(t *testing.T) *script { // for the clearance
			p := primaryParams()
			p.Clearance = true
			s := newScript(t, p)
			s.partner(StateActive, serves)
			s.until(s.now + dead)
			return s
		},
		"active": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateBackup)
			return s
		},
		"rival": func(t *testing.T) *script {
			s := activeScript(t, primaryParams())
			s.partner(StateActive)
			return s
		},
		"yielding": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventYield})
			return s
		},
		"taken": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventYield})
			s.partner(StateActive)
			return s
		},
		"taking": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateActive, serves)
			s.step(Event{Kind: EventTake})
			return s
		},
		"fault": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateActive, serves)
			s.step(Event{Kind: EventFault, On: true})
			return s
		},
		"leaving": func(t *testing.T) *script {
			s := newScript(t, primaryParams())
			s.partner(StateBackup)
			s.step(Event{Kind: EventLeave})
			return s
		},
	}
	kinds := map[EventKind]bool{EventHeard: true}
	on := func(k EventKind, on bool) row {
		kinds[k] = true
		return func(s *script) { s.step(Event{Kind: k, On: on}) }
	}
	events := map[string]row{
		"tick":           on(EventTick, false),
		"silence":        func(s *script) { s.until(s.now + dead) },
		"heard-init":     func(s *script) { s.partner(StateInit) },
		"heard-backup":   func(s *script) { s.partner(StateBackup) },
		"heard-active":   func(s *script) { s.partner(StateActive) },
		"heard-serving":  func(s *script) { s.partner(StateActive, serves) },
		"heard-yielding": func(s *script) { s.partner(StateActive, serves, func(b *Beat) { b.Yielding = true }) },
		"heard-fault":    func(s *script) { s.partner(StateFault) },
		"heard-leaving":  func(s *script) { s.partner(StateLeaving) },
		"stall":          on(EventStall, false),
		"fault":          on(EventFault, true),
		"fault-mended":   on(EventFault, false),
		"blind":          on(EventBlind, true),
		"not-blind":      on(EventBlind, false),
		"serving":        on(EventServing, true),
		"not-serving":    on(EventServing, false),
		"yield":          on(EventYield, false),
		"take":           on(EventTake, false),
		"cleared":        on(EventCleared, false),
		"leave":          on(EventLeave, false),
	}
	states := map[string]State{"I": StateInit, "B": StateBackup, "A": StateActive, "F": StateFault, "L": StateLeaving}
	lines := strings.Split(strings.Trim(matrix, "\n"), "\n")
	columns := strings.Fields(lines[0])
	if len(columns) != len(begin) || len(lines)-1 != len(events) {
		t.Fatalf("the matrix has %d states and %d events, want %d and %d", len(columns), len(lines)-1, len(begin), len(events))
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		for i, column := range columns {
			t.Run(column+"/"+cells[0], func(t *testing.T) {
				s := begin[column](t)
				events[cells[0]](s)
				got, why, _ := s.m.State()
				if got != states[cells[1+i]] {
					t.Errorf("%v (%v), want %v", got, why, states[cells[1+i]])
				}
				// Whatever came, it asks for a tick that is not for ever due.
				s.until(s.now + 20*dead)
			})
		}
	}
	for k := EventTick; k <= EventLeave; k++ {
		if !kinds[k] {
			t.Errorf("event %d is not in the matrix", k)
		}
	}
}
