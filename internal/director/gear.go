package director

import (
	"math"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/sched/feedback"
)

const (
	// followEvery is the time between two steps of a weight that follows a
	// load: short beside the law's time constant, long beside the work.
	followEvery = 5 * time.Second
	// loadLife is how long a load counts. rwhod(8) tells it every three
	// minutes only.
	loadLife = 5 * time.Minute
	// still is the step of a share below which it has arrived.
	still = 1e-3
)

// gear moves the weight of one server: up in a slow start, and after its load.
type gear struct {
	law feedback.Gradual
	// climbs tells that there is a slow start.
	climbs bool
	state  feedback.State
	// at is when the state was worked out.
	at time.Time
	// on while the server is up.
	on bool
	// load is believed until then; without one the share stays till then.
	load  *health.Load
	until time.Time
	// due is when the next step is, zero for none.
	due time.Time
}

// gearOf is what moves the weight of a server, nil for nothing.
func gearOf(v *VirtualService, r *RealServer) *gear {
	if r.SlowStart <= 0 && !r.FollowLoad {
		return nil
	}
	g := &gear{climbs: r.SlowStart > 0, law: feedback.Gradual{SlowStart: max(r.SlowStart, 0), Unit: max(v.Unit, 1), IgnoreLoad: !r.FollowLoad}}
	g.state = g.law.Steady(r.Destination.Weight)
	return g
}

// enter is for a server that comes up and had no clients.
func (g *gear) enter(now time.Time) {
	weight := g.state.Configured
	g.state = g.law.Steady(weight)
	if g.climbs {
		g.state = g.law.Start(weight)
	}
	g.on, g.at = true, now
	g.plan(now, true)
}

// resume is for one that was found in the table with this part of its whole
// weight, 0 if that is not known: a daemon that starts again goes on where the
// one before was.
func (g *gear) resume(part float64, now time.Time) {
	g.state = g.law.Steady(g.state.Configured)
	g.on, g.at, g.until = true, now, now.Add(loadLife)
	switch {
	case part <= 0 || g.state.Weight == 0:
	case g.climbs && part < 1 && (part < lowestShare || g.law.IgnoreLoad):
		g.state.Climb = part
		g.state.Weight = max(int(math.Round(part*float64(g.state.Weight))), 1)
	case !g.law.IgnoreLoad:
		g.state.Share = min(max(part, lowestShare), highestShare)
		g.state.Weight = max(int(math.Round(g.state.Share*float64(g.state.Weight))), 1)
	}
	g.plan(now, g.state.Climb < 1)
}

// lowestShare and highestShare are those of the law as it is used here.
const lowestShare, highestShare = 0.5, 1.5

// inherit takes over from the gear of a configuration before.
func (g *gear) inherit(old *gear, now time.Time) {
	weight := g.state.Configured
	g.on, g.at, g.until, g.load = old.on, old.at, old.until, old.load
	if g.climbs && old.state.Climb < 1 {
		g.state.Climb = old.state.Climb
	}
	if !g.law.IgnoreLoad {
		g.state.Share = old.state.Share
	}
	if weight > 0 {
		g.state.Weight = max(int(math.Round(float64(weight*g.law.Unit)*g.state.Climb*g.state.Share)), 1)
	}
	g.plan(now, true)
}

// leave is for a server that goes down.
func (g *gear) leave() { g.on, g.due = false, time.Time{} }

// feel takes a load, nil when it is not known any more.
func (g *gear) feel(l *health.Load, now time.Time) {
	g.step(now) // what was before counts up to now
	g.load, g.until = l, now.Add(loadLife)
	if l == nil {
		g.until = now
	}
	if g.on {
		g.plan(now, true)
	}
}

// step works the state out for now, and reports whether the weight changed.
func (g *gear) step(now time.Time) bool {
	if !g.on {
		return false
	}
	m := feedback.Sample{Load: -1, Elapsed: now.Sub(g.at)}
	known := g.load != nil && now.Before(g.until)
	if known {
		m.Load, m.Cores = g.load.One, g.load.Cores
	} else {
		g.load = nil
	}
	if !known && g.state.Climb == 1 && now.Before(g.until) {
		// Found like this: it stays until a load can have come.
		g.at = now
		g.plan(now, false)
		return false
	}
	was := g.state
	g.state = g.law.Next(g.state, m)
	g.at = now
	g.plan(now, g.state.Climb < 1 || math.Abs(g.state.Share-was.Share) > still)
	return g.state.Weight != was.Weight
}

// plan sets when the next step is.
func (g *gear) plan(now time.Time, moving bool) {
	switch {
	case !g.on:
		g.due = time.Time{}
	case moving && g.state.Climb < 1:
		g.due = now.Add(g.law.Interval())
	case moving:
		g.due = now.Add(followEvery)
	case now.Before(g.until):
		g.due = g.until
	default:
		g.due = time.Time{}
	}
}

// factors are what the weight is multiplied with: for the load and for the
// slow start.
func (g *gear) factors() (load, climb float64) {
	full := float64(g.state.Configured) * float64(max(g.law.Unit, 1))
	switch {
	case full == 0:
		return 1, 1
	case g.state.Climb < 1:
		return g.state.Share, g.state.Climb
	}
	return float64(g.state.Weight) / full, 1
}
