package sched

import "fmt"

// Rules names a generation of kernels whose arithmetic differs. A kernel's
// release number alone does not tell which it is: the newer rules were
// carried back into stable series (6.12.117 has them, 6.1.176 does not).
type Rules uint8

const (
	// OlderRules are those of kernels up to the middle of 2026, and the
	// zero value: lc, wlc, lblc, lblcr and twos weigh a server by
	// 256*active + inactive, a change of thresholds looks only at the upper
	// one, and the caches of lblc and lblcr grow without a bound of the
	// kernel's (here: 262,144 addresses).
	OlderRules Rules = iota
	// NewerRules are those that followed: they weigh a server by
	// 256*active + all connections (257*active + inactive), every change of
	// thresholds judges anew whether the server is overloaded, and a cache
	// takes no new address when it has 24,576.
	NewerRules
)

// String returns "older", "newer", or the number of an unknown generation.
func (r Rules) String() string {
	switch r {
	case OlderRules:
		return "older"
	case NewerRules:
		return "newer"
	}
	return fmt.Sprintf("rules(%d)", uint8(r))
}

// MarshalText writes "older" or "newer"; other values are an error.
func (r Rules) MarshalText() ([]byte, error) {
	if r > NewerRules {
		return nil, fmt.Errorf("scheduler rules %d: want older (0) or newer (1)", uint8(r))
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads "older" or "newer".
func (r *Rules) UnmarshalText(text []byte) error {
	switch string(text) {
	case "older":
		*r = OlderRules
	case "newer":
		*r = NewerRules
	default:
		return fmt.Errorf("scheduler rules %q: want older or newer", text)
	}
	return nil
}

// overhead is the load of a server as lc, wlc and their kin see it. The kernel
// computes in 32 bits with a sign, so huge counts wrap here as they do there.
func (r Rules) overhead(c *cell) int32 {
	a, i := c.counts()
	if r == NewerRules {
		i += a
	}
	return a<<8 + i
}

// relieved reports whether n connections are few enough to end an overload.
func (r Rules) relieved(n, upper, lower uint32) bool {
	switch {
	case lower > 0:
		return n < lower
	case upper == 0:
		return true
	case r == NewerRules:
		return n < upper-upper>>2
	}
	// 64 bits: a threshold may be as large as 2^32-1.
	return 4*uint64(n) < 3*uint64(upper)
}
