package feedback

import (
	"math"
	"time"
)

// Piranha is the law of nanny, the checking daemon of Piranha 0.8.6, for each
// server by itself.
//
// Slow start: the first weight is a thirty-second of the configured one,
// rounded down but at least 1, and each adjustment doubles it until the
// configured one is reached. A weight of 100 goes 3, 6, 12, 24, 48, 96, 100.
//
// Load (only with Load, and once the slow start is over): with the configured
// weight W, the current one w and the one-minute load average L,
//
//	L < 1: w + W/2 * cube root of (1 - L), at most Scale * W
//	L > 1: w - W/2 * cube root of (L - 1), at least W
//
// cut to a whole number, and used only if it is at least W/4 away from w. A
// load of exactly 1, or an unknown one, changes nothing.
//
// So an idle server climbs to ten times its weight, one with too much to do
// never falls below its configured weight, and a server with many processors
// is treated as one with a single one: see [Gradual] for something better.
// The zero value is the slow start alone, what Piranha does without a load
// monitor.
type Piranha struct {
	// Load makes the weight follow the load, as load_monitor does.
	Load bool
	// Scale bounds the weight to this multiple of the configured one; 0
	// means 10, which Piranha cannot change.
	Scale int
}

// Interval returns the time between two adjustments: 20 s. (Piranha counts
// good checks, as many as make up 20 s; one that checks less often adjusts at every
// check.)
func (Piranha) Interval() time.Duration { return 20 * time.Second }

// Start returns the state of a server that enters the table.
func (Piranha) Start(weight int) State {
	w := configured(weight)
	return State{Configured: w, Weight: min(max(w/32, 1), w), Climb: 1, Share: 1}
}

// Steady returns the state of a server that has long been in the table.
func (Piranha) Steady(weight int) State {
	w := configured(weight)
	return State{Configured: w, Weight: w, Climb: 1, Share: 1}
}

// Next returns the state after one adjustment.
func (p Piranha) Next(s State, m Sample) State {
	full := s.Configured
	if s.Weight < full {
		// At least 1, for a weight that somebody set to 0 by hand.
		s.Weight = int(min(int64(max(s.Weight, 1))*2, int64(full)))
		return s
	}
	if !p.Load || !m.known() || m.Load == 1 || full == 0 {
		return s
	}
	scale := p.Scale
	if scale <= 0 {
		scale = 10
	}
	half := float64(full) / 2
	w := float64(s.Weight)
	if m.Load < 1 {
		w = min(math.Trunc(w+half*math.Pow(1-m.Load, 1.0/3)), float64(scale)*float64(full), maxWeight)
	} else {
		w = max(math.Trunc(w-half*math.Pow(m.Load-1, 1.0/3)), float64(full))
	}
	if math.Abs(w-float64(s.Weight)) >= float64(full)/4 {
		s.Weight = int(w)
	}
	return s
}
