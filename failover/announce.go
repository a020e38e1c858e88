package failover

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultRefresh is the Refresh that 0 stands for in [Announcing]. It is
	// well under the 300 s after which switches forget an address.
	DefaultRefresh = time.Minute
	maxAnnounced   = 1000
	maxAnnouncing  = time.Hour
	minRefresh     = 100 * time.Millisecond
)

// announceAt are the moments of announcements after a take-over. The first is
// what counts; the others are for frames that get lost while switches learn,
// and for a loser that answered once more.
var announceAt = [...]time.Duration{
	0, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Announcing is a plan of when the neighbours are told after a take-over. Each
// time they are told of all addresses, spread over time as [Announcer] says.
// The zero value is at once and after 20, 100 and 500 ms, 1 and 5 s, and then
// once a minute.
type Announcing struct {
	// Count is how often, up to 1000, without the refreshes; 0 means 6.
	Count int
	// Interval is the time between, up to an hour. 0 means the moments of the
	// zero value, and every 5 s beyond them.
	Interval time.Duration
	// Refresh is how often after that, 100 ms to an hour; each time what others
	// removed is also put back. 0 means DefaultRefresh.
	Refresh time.Duration
}

func (p Announcing) check() error {
	var errs []error
	if p.Count < 0 || p.Count > maxAnnounced {
		errs = append(errs, fmt.Errorf("failover: %d announcements are out of range; use 0 for the default, or 1 to %d", p.Count, maxAnnounced))
	}
	if p.Interval < 0 || p.Interval > maxAnnouncing {
		errs = append(errs, fmt.Errorf("failover: interval %v between announcements is out of range; use 0 for the default, or up to %v", p.Interval, maxAnnouncing))
	}
	if p.Refresh != 0 && (p.Refresh < minRefresh || p.Refresh > maxAnnouncing) {
		errs = append(errs, fmt.Errorf("failover: refresh of announcements every %v is out of range; use 0 for the default, or %v to %v", p.Refresh, minRefresh, maxAnnouncing))
	}
	return errors.Join(errs...)
}

// rounds is how many announcements there are before the refreshes.
func (p Announcing) rounds() int { return cmp.Or(p.Count, len(announceAt)) }

// next is when the round, counted from 0, is due in a plan that began at base,
// or a refresh after the last one.
func (p Announcing) next(base time.Time, round int) time.Time {
	last := len(announceAt) - 1
	switch {
	case round >= p.rounds():
		return base.Add(cmp.Or(p.Refresh, DefaultRefresh))
	case p.Interval > 0:
		return base.Add(time.Duration(round) * p.Interval)
	case round > last:
		return base.Add(time.Duration(round-last+1) * announceAt[last])
	}
	return base.Add(announceAt[round])
}
