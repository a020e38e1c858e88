package sched

import "testing"

func TestOverload(t *testing.T) {
	const (
		open  = iota // counts one connection more
		shut         // and one less
		check        // of the mark
		edit
	)
	type step struct {
		do           int
		n            int // of connections, or 1 for "marked"
		upper, lower uint32
	}
	opens := func(n int) step { return step{do: open, n: n} }
	shuts := func(n int) step { return step{do: shut, n: n} }
	marked, clear := step{do: check, n: 1}, step{do: check}
	edits := func(upper, lower uint32) step { return step{do: edit, upper: upper, lower: lower} }
	tests := []struct {
		name         string
		rules        Rules
		upper, lower uint32
		steps        []step
	}{
		{"no threshold", OlderRules, 0, 0, []step{opens(1000), clear}},
		{"set when the upper threshold is reached", OlderRules, 4, 0, []step{opens(3), clear, opens(1), marked}},
		// Without a lower one: clear when 4n < 3U. U 4: n < 3.
		{"cleared below three quarters", OlderRules, 4, 0, []step{opens(4), marked, shuts(1), marked, shuts(1), clear}},
		// U 5: 4n < 15, n <= 3. U 6: 4n < 18, n <= 4.
		{"three quarters of five", OlderRules, 5, 0, []step{opens(5), shuts(1), marked, shuts(1), clear}},
		{"three quarters of six", OlderRules, 6, 0, []step{opens(6), shuts(1), marked, shuts(1), clear}},
		// Newer: below U - U/4. U 5: 5-1=4, n <= 3. U 6: 6-1=5, n <= 4.
		{"newer: five", NewerRules, 5, 0, []step{opens(5), shuts(1), marked, shuts(1), clear}},
		{"newer: six", NewerRules, 6, 0, []step{opens(6), shuts(1), marked, shuts(1), clear}},
		// U 1: older 4n < 3, n 0; newer below 1-0 = 1, n 0.
		{"a single connection", OlderRules, 1, 0, []step{opens(1), marked, shuts(1), clear}},
		{"newer: a single connection", NewerRules, 1, 0, []step{opens(1), marked, shuts(1), clear}},
		{"a lower threshold", OlderRules, 5, 2, []step{opens(5), marked, shuts(3), marked, shuts(1), clear}},
		{"lower and upper the same", OlderRules, 3, 3, []step{opens(3), marked, shuts(1), clear}},
		{"an edit that raises the upper one clears", OlderRules, 2, 0, []step{opens(5), marked, edits(3, 0), clear, opens(1), marked}},
		{"an edit that lowers it changes nothing", OlderRules, 9, 0, []step{opens(5), clear, edits(3, 0), clear, shuts(1), clear, opens(1), marked}},
		{"an edit to none clears", OlderRules, 2, 0, []step{opens(2), marked, edits(0, 0), clear}},
		{"an edit that keeps it keeps the mark", OlderRules, 2, 0, []step{opens(2), marked, edits(2, 1), marked}},
		{"newer: an edit judges anew", NewerRules, 9, 0, []step{opens(5), clear, edits(3, 0), marked, edits(6, 0), marked, edits(9, 0), clear}},
		{"newer: the same thresholds judge nothing", NewerRules, 6, 0, []step{opens(6), shuts(1), marked, edits(6, 0), marked}},
		{"newer: an edit to none clears", NewerRules, 2, 0, []step{opens(2), marked, edits(0, 0), clear}},
		// 3*2^31 does not fit 32 bits.
		{"thresholds near the end of 32 bits", OlderRules, 1<<32 - 1, 0, []step{opens(3), clear, shuts(1), clear}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustNew(t, "rr", &Options{Rules: tt.rules})
			d := mustAdd(t, s, 'a', ServerConfig{Weight: 1, Upper: tt.upper, Lower: tt.lower})
			for i, st := range tt.steps {
				switch st.do {
				case open:
					for range st.n {
						d.Opened()
						d.Activated() // The kind does not matter.
					}
				case shut:
					for range st.n {
						d.Closed(true)
					}
				case edit:
					if err := s.Edit(d, ServerConfig{Weight: 1, Upper: st.upper, Lower: st.lower}); err != nil {
						t.Fatal(err)
					}
				case check:
					if got := d.Overloaded(); got != (st.n == 1) {
						t.Fatalf("step %d: overloaded %t with %d connections", i, got, d.Active())
					}
					if got := s.Pick(Flow{}) == nil; got != (st.n == 1) {
						t.Fatalf("step %d: picked no server %t", i, got)
					}
				}
			}
		})
	}
}
