package convert

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLabelsOfOneName(t *testing.T) {
	u := labels{}
	var got []string
	for _, name := range []string{"web", "web_2", "web", "web", "web_2", "web_2_2", "web"} {
		got = append(got, u.virtual(name))
	}
	got = append(got, u.server("web", "web"), u.server("web_2", "web"))
	want := []string{"web", "web_2", "web_3", "web_4", "web_2_2", "web_2_2_2", "web_5", "web", "web"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// A search that begins anew for each name needs minutes here, not a tenth of
// a second.
func TestLabelsOfOneNameTakeLinearTime(t *testing.T) {
	const names, patience = 100_000, 20 * time.Second
	u, begin := labels{}, time.Now()
	last := ""
	for i := range names {
		if last = u.virtual("web"); time.Since(begin) > patience {
			t.Fatalf("only %d names in %v", i, patience)
		}
	}
	if want := fmt.Sprintf("web_%d", names); last != want {
		t.Errorf("the last name is %s, want %s", last, want)
	}
}
