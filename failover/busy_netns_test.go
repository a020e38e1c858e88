//go:build linux && netns

package failover_test

import (
	"testing"
	"time"
)

// Busy loops on all processors: with real-time priority hardly an advert is
// missing. The machine below may take its processors away, so that a take-over
// is told and fails nothing here; LVSKIT_BUSY=10m is for a quiet machine.
func TestNetnsBusyLoops(t *testing.T) {
	_, share, realTime := busyPair(t, busyTime(t, 2*time.Second), nil)
	if least := 0.9; realTime && share < least {
		t.Errorf("%.2f %% of the adverts sent", 100*share)
	}
}
