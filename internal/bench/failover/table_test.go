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
