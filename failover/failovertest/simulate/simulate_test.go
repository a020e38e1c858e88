package simulate

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// TestSchedules plays LVSKIT_SCHEDULES schedules, two fifths of them of VRRP and
// of pulse each and one of groups, beginning with LVSKIT_SCHEDULE_SEED, else with
// the seed of all tests, else with one of its own.
func TestSchedules(t *testing.T) {
	all := number(t, "LVSKIT_SCHEDULES", 3000)
	first := number(t, "LVSKIT_SCHEDULE_SEED", number(t, "LVSKIT_TEST_SEED", rand.Uint64()>>1))
	const bearable = 3 // failures, each with its story
	for protocol, fifths := range [...]uint64{VRRP: 2, Pulse: 2, Groups: 1} {
		protocol, count := Protocol(protocol), all*fifths/5
		t.Run(protocol.String(), func(t *testing.T) {
			began := time.Now()
			var next, happened, played, failed atomic.Uint64
			var work sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				work.Go(func() {
					var p Player
					for failed.Load() < bearable {
						i := next.Add(1) - 1
						if i >= count {
							return
						}
						f := p.Play(protocol, first+i)
						played.Add(1)
						happened.Add(uint64(p.world.steps))
						if f != nil && failed.Add(1) <= bearable {
							t.Errorf("%v\nto play it again: LVSKIT_SCHEDULES=5 LVSKIT_SCHEDULE_SEED=%d go test -run TestSchedules/%v ./failover/failovertest/simulate", f, f.Seed, protocol)
						}
					}
				})
			}
			work.Wait()
			n := max(played.Load(), 1)
			t.Logf("%d schedules from seed %d: %d things happened in each, %v each", played.Load(), first, happened.Load()/n, time.Since(began)/time.Duration(n))
		})
	}
}

// TestTwoActiveBesideABackup: where most packets are lost two routers are active
// for long, and a backup that hears both counts by the slower one.
func TestTwoActiveBesideABackup(t *testing.T) {
	var p Player
	if f := p.Play(VRRP, 4835955104450283741); f != nil {
		t.Error(f)
	}
}

// TestASeedIsOneSchedule: whatever was played before.
func TestASeedIsOneSchedule(t *testing.T) {
	for _, protocol := range []Protocol{VRRP, Pulse, Groups} {
		var used Player
		for seed := range uint64(200) {
			var fresh Player
			a, b := used.Play(protocol, seed), fresh.Play(protocol, seed)
			if a != nil || b != nil {
				t.Fatalf("%v%v", a, b)
			}
			u, f := &used.world, &fresh.world
			if u.now != f.now || u.seq != f.seq || u.steps != f.steps || u.dice != f.dice {
				t.Fatalf("%v, seed %d: %v and %v, %d and %d things happened", protocol, seed, u.now, f.now, u.steps, f.steps)
			}
		}
	}
}

// TestScheduleAllocations: what a schedule allocates are the machines that start and
// the actions they ask for, not the packets between them.
func TestScheduleAllocations(t *testing.T) {
	var p Player
	for seed := range uint64(100) {
		p.Play(VRRP, seed)
	}
	allocations := testing.AllocsPerRun(20, func() {
		for seed := range uint64(20) {
			p.Play(VRRP, seed)
		}
	})
	steps := 0
	for seed := range uint64(20) {
		p.Play(VRRP, seed)
		steps += p.world.steps
	}
	if allocations > float64(steps) {
		t.Errorf("%v allocations for %d things that happened", allocations, steps)
	}
	t.Logf("%v allocations for %d things that happened", allocations, steps)
}

func BenchmarkPlay(b *testing.B) {
	for _, protocol := range []Protocol{VRRP, Pulse, Groups} {
		b.Run(protocol.String(), func(b *testing.B) {
			b.ReportAllocs()
			var p Player
			seed := uint64(0)
			for b.Loop() {
				if f := p.Play(protocol, seed); f != nil {
					b.Fatal(f)
				}
				seed++
			}
		})
	}
}
