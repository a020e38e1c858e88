package director

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/lvscf"
)

// longestWindow bounds the time within which failures belong together: with
// rare checks a longer one would hold back what has nothing to do with it.
const longestWindow = time.Minute

// setAlarm takes the control target. Without one there is no alarm: the
// partner would be a bad one, as it may be off, and the gateway is not ours to
// guess.
func (s *Setup) setAlarm(c *lvscf.Config) error {
	host := c.ControlTarget
	if host.IsZero() {
		if c.MassFailure != 0 {
			s.note("mass_failure = %d has no effect without control_target: every failure is believed", c.MassFailure)
		}
		return nil
	}
	ping, err := health.NewICMP(nil)
	if err != nil {
		return err
	}
	s.Control = ControlTarget{health.Target{Addr: netip.AddrPortFrom(host.Addr, 0), Name: "control target"}, ping}
	s.Alarm = pool.Alarm{Share: float64(cmp.Or(c.MassFailure, lvscf.DefaultMassFailure)) / 100, Window: s.window()}
	return nil
}

// window is the longest time in which servers that die at once are noticed one
// after the other: from turn to turn, and the time-out of a check.
func (s *Setup) window() (longest time.Duration) {
	for i := range s.Services {
		for r := range s.Services[i].each() {
			p := r.Policy
			interval := cmp.Or(p.Interval, health.DefaultInterval)
			longest = max(longest, interval+cmp.Or(p.Timeout, interval))
		}
	}
	return min(longest, longestWindow)
}
