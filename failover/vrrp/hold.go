package vrrp

import "time"

// Hold returns how long the addresses of a router that has just ceased to be
// active stay at most, so that no packet finds nobody: until another router
// speaks, or may not come any more. takeOver is what that one may need from its
// advert to its addresses. A router with a fault has nothing to serve with: 0.
func (m *Machine) Hold(takeOver time.Duration) time.Duration {
	switch {
	case m.state == StateFault:
		return 0
	case m.state == StateInit:
		return SkewLimit(m.p.Version, m.p.Interval) + takeOver
	case m.reason == ReasonHigherHeard:
		return takeOver
	}
	return m.DownInterval() + takeOver
}

// SkewLimit returns the longest that another router waits after the last word,
// which is the skew of one with priority 1 (RFC 9568 section 6.1, and RFC 3768
// for version 2, where it is not of the interval but of a second).
func SkewLimit(version uint8, interval time.Duration) time.Duration {
	if version == 2 {
		return time.Second
	}
	return interval
}
