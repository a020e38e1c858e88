package failover

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	r := results{}
	for _, v := range []float64{3, 1.25, never} {
		r.note("row", "one", v)
	}
	r.note("row", "two", 4)
	r.note("row", "two", 5)
	got := strings.Fields(r.write([]string{"row", "other row"}, []string{"one", "two", "three"}))
	want := strings.Fields("median (min to max) one two three row 3 (1.25 to never) 4.50 (4 to 5) -")
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGoals(t *testing.T) {
	r := results{}
	r.note("gap", "one", 3)
	r.note("gap", "two", 5)
	r.note("gap", "other", 4)
	r.note("share", "one", 99)
	r.note("share", "two", 99.9)
	got := r.judge([]goal{{row: "gap", versus: "other"}, {row: "gap", limit: 5}, {row: "share", limit: 99.5, least: true}, {row: "none", limit: 1}}, []string{"one", "two", "other"})
	want := `goal at most 4 other: one met (3), two missed (5)
     gap
goal at most 5 : one met (3), two met (5), other met (4)
     gap
goal at least 99.50 : one missed (99), two met (99.90)
     share
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
