package feedback

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Gradual is the law to use: a slow start in a straight line, and weights that
// follow the load by bounded and damped steps. The zero value has sane
// settings; [Gradual.Validate] tells what is wrong with others.
//
// Slow start: the weight climbs from a thirty-second to the whole within
// SlowStart. While there is more work than cores the climb waits, and one
// sample, however late, never moves it by more than an eighth.
//
// Load: with r the load average per core, the share that a server should have
// is the square root of 0.7/r, kept between Lowest and Highest. 0.7 is a busy
// server that still has room; only the ratio of the servers' shares matters, so the
// number does not. The square root makes it stable: an answer of half the
// deviation, turned back by the load that follows it, dies out however late the
// load average is. The share follows what it should be with TimeConstant, and the
// weight only when it would change by Step or more, because a change costs
// some schedulers their place in the round or a new table. An unknown load
// leads back to the whole weight. During a slow start the share is at most 1.
type Gradual struct {
	// SlowStart is how long a returning server climbs; 0 means a minute.
	// Take at least three times what a connection lasts.
	SlowStart time.Duration
	// Lowest and Highest bound the share of the configured weight that the
	// load may lead to. 0 means 0.5 and 1.5.
	Lowest, Highest float64
	// TimeConstant is the time in which two thirds of a deviation are made
	// up for; 0 means 30 s.
	TimeConstant time.Duration
	// Step is the least change of the share that changes the weight, once
	// the slow start is over; 0 means 0.05.
	Step float64
	// Unit is the weight in the table for each 1 of the configured weight; 0
	// means 64. The package's documentation says where it has to be 1.
	Unit int
	// IgnoreLoad leaves the load to itself: slow start alone.
	IgnoreLoad bool
}

// The settings that zero stands for.
const (
	defaultSlowStart    = time.Minute
	defaultLowest       = 0.5
	defaultHighest      = 1.5
	defaultTimeConstant = 30 * time.Second
	defaultStep         = 0.05
	defaultUnit         = 64
	// busy is the load per core at which a share of 1 is right.
	busy = 0.7
	// firstClimb is where a slow start begins, longestClimb what one sample
	// adds at most.
	firstClimb, longestClimb = 1.0 / 32, 1.0 / 8
)

// settings are those in force.
func (g Gradual) settings() Gradual {
	if g.SlowStart == 0 {
		g.SlowStart = defaultSlowStart
	}
	if g.Lowest == 0 {
		g.Lowest = min(defaultLowest, cmpOr(g.Highest, defaultLowest))
	}
	if g.Highest == 0 {
		g.Highest = max(defaultHighest, g.Lowest)
	}
	if g.TimeConstant == 0 {
		g.TimeConstant = defaultTimeConstant
	}
	if g.Step == 0 {
		g.Step = defaultStep
	}
	if g.Unit == 0 {
		g.Unit = defaultUnit
	}
	return g
}

func cmpOr(v, other float64) float64 {
	if v == 0 {
		return other
	}
	return v
}

// Validate tells what is wrong with the settings, all of it. Start, Steady and
// Next of settings that are not valid do not panic, but mean nothing.
func (g Gradual) Validate() error {
	s := g.settings()
	var errs []error
	if s.SlowStart < 0 {
		errs = append(errs, fmt.Errorf("slow start %v: want more than 0, or 0 for %v", g.SlowStart, defaultSlowStart))
	}
	if s.TimeConstant < 0 {
		errs = append(errs, fmt.Errorf("time constant %v: want more than 0, or 0 for %v", g.TimeConstant, defaultTimeConstant))
	}
	if !(s.Lowest > 0 && s.Lowest <= s.Highest && s.Highest <= 100) {
		errs = append(errs, fmt.Errorf("bounds %v..%v of the share: want the lowest above 0, the highest not below it and at most 100", g.Lowest, g.Highest))
	}
	if !(s.Step > 0 && s.Step < 1) {
		errs = append(errs, fmt.Errorf("step %v: want above 0 and below 1, or 0 for %v", g.Step, defaultStep))
	}
	if s.Unit < 1 || s.Unit > 65535 {
		errs = append(errs, fmt.Errorf("unit %d: want 1..65535, or 0 for %d", g.Unit, defaultUnit))
	}
	return errors.Join(errs...)
}

// Interval returns the time between two samples that the law is made for: a
// sixtieth of the slow start, at least 100 ms and at most 5 s. So the steps of
// a slow start are small.
func (g Gradual) Interval() time.Duration {
	return min(max(g.settings().SlowStart/60, 100*time.Millisecond), 5*time.Second)
}

// Start returns the state of a server that enters the table.
func (g Gradual) Start(weight int) State {
	s := State{Configured: configured(weight), Climb: firstClimb, Share: 1}
	s.Weight = g.settings().weight(s)
	return s
}

// Steady returns the state of a server that has long been in the table.
func (g Gradual) Steady(weight int) State {
	s := State{Configured: configured(weight), Climb: 1, Share: 1}
	s.Weight = g.settings().weight(s)
	return s
}

// Next returns the state after one sample.
func (g Gradual) Next(s State, m Sample) State {
	g = g.settings()
	elapsed := max(m.Elapsed, 0)
	want := 1.0
	if m.known() && !g.IgnoreLoad {
		want = min(max(math.Sqrt(busy/max(m.perCore(), 1e-9)), g.Lowest), g.Highest)
	}
	s.Share += (want - s.Share) * -math.Expm1(-elapsed.Seconds()/g.TimeConstant.Seconds())
	if s.Climb < 1 {
		s.Share = min(s.Share, 1)
		if !m.known() || m.perCore() <= 1 {
			s.Climb = min(s.Climb+min(elapsed.Seconds()/g.SlowStart.Seconds(), longestClimb), 1)
		}
		s.Weight = g.weight(s)
		return s
	}
	w := g.weight(s)
	if math.Abs(float64(w-s.Weight)) >= g.Step*float64(s.Configured)*float64(g.Unit) {
		s.Weight = w
	}
	return s
}

// weight is that of the table.
func (g Gradual) weight(s State) int {
	if s.Configured == 0 {
		return 0
	}
	w := math.Round(float64(s.Configured) * float64(g.Unit) * s.Climb * s.Share)
	return int(min(max(w, 1), maxWeight))
}
