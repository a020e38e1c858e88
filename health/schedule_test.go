package health

import (
	"testing"
	"time"
)

func TestNextTurn(t *testing.T) {
	const s = time.Second
	const phase = 1000 * time.Hour
	for name, tt := range map[string]struct {
		taken, now, interval time.Duration // taken and now count from phase
		fast                 bool
		want                 time.Duration
		skipped              uint64
	}{
		"in time":                        {0, s, 10 * s, false, 10 * s, 0},
		"keeps phase after a late start": {0, 7 * s, 10 * s, false, 10 * s, 0},
		"ends exactly at the next turn":  {0, 10 * s, 10 * s, false, 10 * s, 0},
		"a little late is in time":       {0, 11 * s, 10 * s, false, 10 * s, 0},
		"too late skips the turn":        {0, 12 * s, 10 * s, false, 20 * s, 1},
		"skips many turns":               {0, 55 * s, 10 * s, false, 60 * s, 5},
		"back on the grid from between":  {13 * s, 13 * s, 10 * s, false, 20 * s, 0},
		"before the phase":               {-3 * s, -2 * s, 10 * s, false, 0, 0},
		"long before the phase":          {-30 * s, -29 * s, 10 * s, false, -20 * s, 0},
		"fast":                           {13 * s, 13 * s, 2 * s, true, 15 * s, 0},
		"fast and late asks at once":     {13 * s, 18 * s, 2 * s, true, 18 * s, 2},
	} {
		t.Run(name, func(t *testing.T) {
			next, skipped := nextTurn(phase, phase+tt.taken, phase+tt.now, tt.interval, tt.fast)
			if got := next - phase; got != tt.want || skipped != tt.skipped {
				t.Errorf("next turn at %v, %d skipped; want %v, %d", got, skipped, tt.want, tt.skipped)
			}
		})
	}
}

func FuzzNextTurn(f *testing.F) {
	f.Add(int64(0), int64(5), int64(3), false)
	f.Add(int64(-70), int64(500), int64(10), true)
	f.Fuzz(func(t *testing.T, taken, late, interval int64, fast bool) {
		const most = int64(time.Hour)
		if taken < -most || taken > most || late < 0 || late > most || interval < int64(minInterval) || interval > most {
			return
		}
		const phase = 1000 * time.Hour
		from, d := phase+time.Duration(taken), time.Duration(interval)
		now := from + time.Duration(late)
		next, _ := nextTurn(phase, from, now, d, fast)
		if next <= from || next > now+d || next < now-d/graceParts {
			t.Errorf("taken %v, now %v: next %v", from-phase, now-phase, next-phase)
		}
		if !fast && (next-phase)%d != 0 {
			t.Errorf("next %v is off the grid of %v", (next - phase), d)
		}
	})
}
