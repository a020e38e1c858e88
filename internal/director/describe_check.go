package director

import (
	"strconv"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/control"
)

// describeResult tells one answer, so that the reason of a state can be seen
// after the fact.
func describeResult(r *health.Result) control.Result {
	out := control.Result{
		At: r.Start, Verdict: r.Verdict.String(), Reason: r.Reason, TookMS: millis(r.Duration),
		Phases: make([]control.Phase, len(r.Phases)), Weight: r.Weight,
	}
	for i, p := range r.Phases {
		out.Phases[i] = control.Phase{Name: p.Name, TookMS: millis(p.Duration)}
	}
	if len(r.Seen) > 0 {
		quoted := strconv.QuoteToASCII(string(r.Seen))
		out.Seen = quoted[1 : len(quoted)-1]
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
