package failover

import "time"

// arrivals tells when the packets of one socket came. The zero value is that of
// a socket that was empty when the machine began.
type arrivals struct {
	emptyAt time.Duration // when the socket was last seen empty
}

// at is when a packet came, on the machine's clock, of which it is now. The
// kernel stamps packets by the clock of the day. The packet came after the
// socket was empty and before now. If its stamp says otherwise, or there is none,
// that clock was set meanwhile, and it counts from now on: that finds a silence
// late, but never one that is none.
func (a *arrivals) at(stamp time.Time, now time.Duration) time.Duration {
	if stamp.IsZero() {
		return now
	}
	came := now - time.Now().Round(0).Sub(stamp)
	if came < a.emptyAt || came > now {
		return now
	}
	return came
}
