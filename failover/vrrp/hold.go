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
	case m.state == StateInit: // the others wait for their skew, an interval at most
		if m.p.Version == 2 {
			return time.Second + takeOver
		}
		return m.p.Interval + takeOver
	case m.reason == ReasonHigherHeard:
		return takeOver
	}
	return m.DownInterval() + takeOver
}
