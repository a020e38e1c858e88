package failover

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestArrivalBesideASetClock: the kernel stamps a packet by the clock of the
// day, which may be set before it is read.
func TestArrivalBesideASetClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := arrivals{emptyAt: 2 * time.Second}
		const now = 5 * time.Second
		time.Sleep(now)
		for _, c := range []struct {
			name  string
			stamp time.Time
			want  time.Duration
		}{
			{"a second ago", time.Now().Add(-time.Second), 4 * time.Second},
			{"when the socket was empty", time.Now().Add(-3 * time.Second), 2 * time.Second},
			{"no time", time.Time{}, now},
			{"the clock was set forward", time.Now().Add(-time.Hour), now},
			{"the clock was set back", time.Now().Add(time.Hour), now},
		} {
			if got := a.at(c.stamp.Round(0), now); got != c.want {
				t.Errorf("%s: at %v, want %v", c.name, got, c.want)
			}
		}
	})
}
