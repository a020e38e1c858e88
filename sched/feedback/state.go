package feedback

import (
	"math"
	"time"
)

// maxWeight is the largest weight of the kernel's table.
const maxWeight = math.MaxInt32

// State is what a law remembers of one server. Start and Steady of a law make
// one, Next makes the one after it. It is a plain value: keep it, copy it,
// store it.
type State struct {
	// Configured is the weight that the operator gave, 0 or more.
	Configured int
	// Weight is the weight for the table, 0 only if Configured is.
	Weight int
	// Climb is how far the slow start of Gradual is, above 0 to 1, where it
	// is over. Piranha does not use it: its slow start lasts while Weight is
	// below Configured.
	Climb float64
	// Share is the part of the configured weight that Gradual allows because
	// of the load, 1 being all of it. Piranha does not use it.
	Share float64
}

// Sample is what was measured of a server since the last one.
type Sample struct {
	// Load is the one-minute load average: how many tasks run or wait for a
	// processor. Below 0, or not a number, it is unknown.
	Load float64
	// Cores is the number of processors that carry the load; below 1 it
	// counts as 1. Piranha does not look at it.
	Cores int
	// Elapsed is the time since the last sample. Piranha does not look at
	// it: its steps are counted, not timed.
	Elapsed time.Duration
}

// known reports whether the load was measured.
func (m Sample) known() bool { return m.Load >= 0 && !math.IsInf(m.Load, 1) }

// perCore is the load of one processor.
func (m Sample) perCore() float64 { return m.Load / float64(max(m.Cores, 1)) }

// configured takes the weights that a table may hold.
func configured(weight int) int { return min(max(weight, 0), maxWeight) }
