package health

import (
	"errors"
	"fmt"
	"time"
)

// DefaultInterval is a Policy's interval when it names none: nanny's.
const DefaultInterval = 10 * time.Second

// minInterval keeps a slip of the unit from turning a check into a flood.
const minInterval = time.Millisecond

// Policy says how often to ask and how many answers in a row change a state.
// The zero value asks every 10 s and believes each answer, as nanny did.
type Policy struct {
	// Interval is the time from the start of one check to the start of the
	// next. 0 means DefaultInterval.
	Interval time.Duration `json:"interval_ns"`
	// FastInterval is used while the last answers contradict the state:
	// failures of a target that is up, successes of one that is down. 0
	// means Interval.
	FastInterval time.Duration `json:"fast_interval_ns,omitempty"`
	// DownInterval is used while the target is down and agrees with it. 0
	// means Interval.
	DownInterval time.Duration `json:"down_interval_ns,omitempty"`
	// Timeout limits the whole check. 0 means Interval. It may be longer
	// than Interval: checks that take so long then skip turns, which are
	// counted as overruns.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// Rise is how many successes in a row bring a target up that is down.
	// 0 means 1. The first answer of all needs no company, whichever it is.
	Rise int `json:"rise,omitempty"`
	// Fall is how many failures in a row bring a target down that is up. 0
	// means 1.
	Fall int `json:"fall,omitempty"`
	// Jitter is the share of the interval by which a turn may come earlier
	// or later, 0 to MaxJitter, so that many monitors of one server do not
	// fall into step. Turns do not drift for it. 0 keeps them exact. Fast
	// turns have none: they decide how soon a death is seen.
	Jitter float64 `json:"jitter,omitempty"`
}

// MaxJitter is the largest Jitter of a [Policy].
const MaxJitter = 0.5

// withDefaults returns the policy with every zero replaced by its meaning.
func (p Policy) withDefaults() Policy {
	if p.Interval == 0 {
		p.Interval = DefaultInterval
	}
	if p.FastInterval == 0 {
		p.FastInterval = p.Interval
	}
	if p.DownInterval == 0 {
		p.DownInterval = p.Interval
	}
	if p.Timeout == 0 {
		p.Timeout = p.Interval
	}
	p.Rise = max(p.Rise, 1)
	p.Fall = max(p.Fall, 1)
	return p
}

// Validate reports every field that cannot be used.
func (p Policy) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"interval", p.Interval}, {"fast interval", p.FastInterval}, {"down interval", p.DownInterval}, {"timeout", p.Timeout}} {
		if d.value != 0 && d.value < minInterval {
			errs = append(errs, fmt.Errorf("%s %v: want %v or more, or 0 for the default", d.name, d.value, minInterval))
		}
	}
	if p.Rise < 0 {
		errs = append(errs, fmt.Errorf("rise %d: want 1 or more, or 0 for the default", p.Rise))
	}
	if p.Fall < 0 {
		errs = append(errs, fmt.Errorf("fall %d: want 1 or more, or 0 for the default", p.Fall))
	}
	if !(p.Jitter >= 0 && p.Jitter <= MaxJitter) { // NaN, too
		errs = append(errs, fmt.Errorf("jitter %v: want 0 to %v", p.Jitter, MaxJitter))
	}
	return errors.Join(errs...)
}

// WorstDetection is the longest time from a target's death to its state
// being down: it dies just after it answered, and every further check runs
// into its time-out.
//
//	interval x (1 + 2 x jitter) + (fall-1) x max(fast interval, timeout) + timeout
//
// One turn may come early by the jitter and the next late by it.
// The timeout is in the middle term because a check never begins before the
// one before it has ended.
func (p Policy) WorstDetection() time.Duration {
	p = p.withDefaults()
	jitter := time.Duration(2 * p.Jitter * float64(p.Interval))
	return p.Interval + jitter + time.Duration(p.Fall-1)*max(p.FastInterval, p.Timeout) + p.Timeout
}
