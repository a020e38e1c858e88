package pool

import (
	"fmt"
	"math"
	"strings"
)

// base is the weight that is multiplied: the told one, or the configured one.
func (m *Member) base() int {
	w := m.Weight
	if m.Told != nil {
		w = *m.Told
	}
	return min(max(w, 0), MaxWeight)
}

// serving tells whether the member was found with clients to come.
func (m *Member) serving() bool { return m.Found != nil && *m.Found > 0 }

// weigh works the weight out, and keeps what it was made of.
func (p Policy) weigh(d *Decision, m *Member) {
	d.Unit, d.Share, d.Load, d.Climb = max(p.Unit, 1), factor(m.Share), factor(m.Load), min(factor(m.Climb), 1)
	d.Weight = round(float64(d.Base) * float64(d.Unit) * d.Share * d.Load * d.Climb)
	if d.Base == 0 {
		d.Weight = 0
	}
}

// factor reads a factor: what is none changes nothing.
func factor(f float64) float64 {
	if !(f > 0) || math.IsInf(f, 1) {
		return 1
	}
	return f
}

// round makes a weight of a product above 0: little is not none, for a weight
// of 0 has a meaning of its own.
func round(w float64) int { return int(min(max(math.Round(w), 1), MaxWeight)) }

// Why says in one line why the member has this weight, or none.
func (d *Decision) Why() string {
	switch d.Cause {
	case CauseUp:
		return d.because("up")
	case CauseSorry:
		return d.because("sorry server, serves")
	case CausePanic:
		return d.because("down, and kept since too few are up")
	case CauseFound:
		if d.Weight == 0 {
			return "no verdict yet: stays with weight 0, as it was found"
		}
		return "no verdict yet: serves as it was found"
	case CauseUnasked:
		return "no verdict yet: out until it has one"
	case CauseDown:
		why := "down"
		if d.In {
			why = "down, kept with weight 0"
		}
		return withReason(why, d.Reason)
	case CauseDrain:
		return "drain: weight 0 by order"
	case CauseMaintenance:
		return "maintenance: no new clients by order"
	case CauseTold:
		return withReason("its check tells weight 0", d.Reason)
	case CauseConfigured:
		return "up, and configured with weight 0"
	case CauseQuorum:
		return "the quorum is not there: weight 0 while sorry servers serve"
	case CauseStandby:
		return "sorry server, not needed"
	}
	return d.Cause.String()
}

// because adds what a weight was multiplied from.
func (d *Decision) because(what string) string {
	var b strings.Builder
	b.WriteString(what)
	source := "configured"
	if d.Told {
		source = "told"
	}
	fmt.Fprintf(&b, ": %s weight %d", source, d.Base)
	if d.Unit > 1 {
		fmt.Fprintf(&b, " x %d", d.Unit)
	}
	if d.Share != 1 {
		fmt.Fprintf(&b, ", x %.2f by its agent", d.Share)
	}
	if d.Load != 1 {
		fmt.Fprintf(&b, ", x %.2f for its load", d.Load)
	}
	if d.Climb != 1 {
		fmt.Fprintf(&b, ", slow start at %.0f %%", 100*d.Climb)
	}
	return b.String()
}

func withReason(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// Why says in one line how the quorum stands.
func (g *Group) Why() string {
	switch g.Quorum {
	case Gained:
		if g.Live < g.Need {
			return fmt.Sprintf("quorum kept: live weight %d, and %d servers have not answered yet", g.Live, g.Unasked)
		}
		return fmt.Sprintf("quorum gained: live weight %d, lost below %d", g.Live, g.Need)
	case Lost:
		return fmt.Sprintf("quorum lost: live weight %d, gained at %d", g.Live, g.Need)
	}
	return fmt.Sprintf("quorum undecided: live weight %d of %d, and %d servers have not answered yet", g.Live, g.Need, g.Unasked)
}
