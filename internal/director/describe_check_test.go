package director

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/control"
)

func TestAnswersAreToldWithTheirPhases(t *testing.T) {
	weight, at := 7, time.Unix(1000, 0)
	got := describeResult(&health.Result{
		Verdict: health.Fail, Reason: "read: status 500", Start: at, Duration: 3500 * time.Microsecond, Seen: []byte("500\x1b[2J\r\n"), Weight: &weight,
		Phases: []health.Phase{{Name: "connect", Duration: time.Millisecond}, {Name: "read", Duration: 2500 * time.Microsecond}},
	})
	want := control.Result{
		At: at, Verdict: "fail", Reason: "read: status 500", TookMS: 3.5, Seen: `500\x1b[2J\r\n`, Weight: &weight,
		Phases: []control.Phase{{Name: "connect", TookMS: 1}, {Name: "read", TookMS: 2.5}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
