package alarm

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// Each kind of alarm rings once, when it was last set to, and not before.
func TestAlarm(t *testing.T) {
	for name, make := range map[string]func() (Alarm, error){"of the runtime": func() (Alarm, error) { return Runtime(), nil }, "of the kernel": Kernel} {
		t.Run(name, func(t *testing.T) {
			a, err := make()
			if runtime.GOOS != "linux" && errors.Is(err, errors.ErrUnsupported) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer a.Stop()
			wait := func(limit time.Duration) bool {
				select {
				case <-a.Rings():
					return true
				case <-time.After(limit):
					return false
				}
			}
			const d, never = 20 * time.Millisecond, 10 * time.Second
			if wait(d) {
				t.Error("it rang before it was set")
			}
			for _, sets := range [][]time.Duration{{d}, {0}, {-d}, {time.Hour, d}, {d, 2 * d}} {
				begin := time.Now()
				for _, s := range sets {
					a.Set(begin.Add(s))
				}
				if !wait(never) {
					t.Fatalf("set to %v: it did not ring", sets)
				}
				if took := time.Since(begin); took < sets[len(sets)-1] {
					t.Errorf("set to %v: it rang after %v", sets, took)
				}
			}
			if wait(d) {
				t.Error("it rang twice")
			}
		})
	}
}
