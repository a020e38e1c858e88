package health

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func programs(t *testing.T, atOnce, perSecond int) *Programs {
	t.Helper()
	p, err := NewPrograms(&ProgramsConfig{AtOnce: atOnce, PerSecond: perSecond})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgramsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := programs(t, 3, 10_000)
		var mu sync.Mutex
		running, most, done, refused := 0, 0, 0, 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := p.enter(t.Context(), 3500*time.Millisecond); err != nil {
					if !errors.Is(err, errNoTurn) || !strings.Contains(err.Error(), "3 programs are running, and none ended within 3.5s") {
						t.Errorf("error %v", err)
					}
					mu.Lock()
					refused++
					mu.Unlock()
					return
				}
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				done++
				mu.Unlock()
				p.leave()
			})
		}
		all.Wait()
		// Those who come to it at 0, 1, 2 and 3 s.
		if most != 3 || done != 12 || refused != 8 {
			t.Errorf("at most %d at once, %d ran, %d did not", most, done, refused)
		}
	})
}

func TestProgramsPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := programs(t, 1000, 20)
		start := time.Now()
		var mu sync.Mutex
		starts := map[time.Duration]int{}
		refused := 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				err := p.enter(t.Context(), 2*time.Second)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					if !errors.Is(err, errNoTurn) || !strings.Contains(err.Error(), "more than 20 programs a second") {
						t.Errorf("error %v", err)
					}
					refused++
					return
				}
				starts[time.Since(start).Truncate(time.Second)]++
				p.leave()
			})
		}
		all.Wait()
		// Two at once, then one every 50 ms up to 2 s, which counts.
		if starts[0] != 21 || starts[time.Second] != 20 || starts[2*time.Second] != 1 || refused != 58 {
			t.Errorf("started in each second: %v, refused %d", starts, refused)
		}
		time.Sleep(time.Hour) // saves no more than the rush
		for range 2 {
			if err := p.enter(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}
		if err := p.enter(t.Context(), 0); err == nil {
			t.Error("more than a tenth of a second's programs in a rush")
		}
	})
}

func TestProgramsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := programs(t, 1, 1)
		if err := p.enter(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		for _, busy := range []bool{true, false} { // by a program, by the rate
			if !busy {
				p.leave()
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if err := p.enter(ctx, time.Hour); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		if len(p.slots) != 0 {
			t.Error("a place is lost")
		}
	})
}

func TestProgramsAreRefused(t *testing.T) {
	_, err := NewPrograms(&ProgramsConfig{AtOnce: -1, PerSecond: 10_001})
	for _, part := range []string{"-1 at once", "10001 a second"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
	if p, err := NewPrograms(nil); err != nil || cap(p.slots) != DefaultProgramsAtOnce || p.gap != 5*time.Millisecond {
		t.Errorf("the defaults: %+v, %v", p, err)
	}
}
