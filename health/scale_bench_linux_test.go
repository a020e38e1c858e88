package health

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const manyTargets = 50_000

// loopback is the i-th address of 127/8 from 127.1.0.0 on.
func loopback(i int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)}), port)
}

func manyWatches(n int, port uint16, p Policy, c func() Checker) []Watch {
	ws := make([]Watch, n)
	for i := range ws {
		addr := loopback(i, port)
		ws[i] = Watch{ID: addr.String(), Target: Target{Addr: addr}, Checker: c(), Policy: p}
	}
	return ws
}

func newTCP() Checker { return &TCP{dial: Dial{ConnectTimeout: time.Second}} }

// memory is what the process holds in its heap, and in how many pieces.
func memory() (bytes, objects uint64) {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc, s.HeapObjects
}

// status is a line of a file of /proc that begins with name, as a number.
func status(tb testing.TB, file, name string) (n int) {
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if _, err := fmt.Sscan(strings.TrimSpace(rest), &n); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return n
}

// BenchmarkIdleTarget is what one watch of a TCP check with a full history
// holds between its turns.
func BenchmarkIdleTarget(b *testing.B) {
	for b.Loop() {
		shared := newTCP()
		ws := manyWatches(manyTargets, 80, Policy{Interval: 5 * time.Second}, func() Checker { return shared })
		bytes, objects := memory()
		m := NewMonitor(nil)
		if err := m.Set(ws); err != nil {
			b.Fatal(err)
		}
		m.active = true
		m.armAll(m.now())
		for w := m.order.first; w != nil; w = w.after {
			for i := range DefaultHistory {
				took := time.Duration(30_000 + i*1000)
				w.take(&m.texts, &Result{
					Verdict: OK, Reason: "connect: accepted", Start: time.Now(), Duration: took,
					Phases: []Phase{{"connect", took - 1000}},
				}, m.keep)
			}
		}
		moreBytes, moreObjects := memory()
		b.ReportMetric(float64(moreBytes-bytes)/manyTargets, "B/target")
		b.ReportMetric(float64(moreObjects-objects)/manyTargets, "objects/target")
		runtime.KeepAlive(ws)
		runtime.KeepAlive(m)
	}
}

// BenchmarkSetMany is a reload of 50,000 watches that changes nothing, with
// the checkers of before and with new ones of the same identity.
func BenchmarkSetMany(b *testing.B) {
	for name, fresh := range map[string]bool{"same checkers": false, "equal checkers": true} {
		b.Run(name, func(b *testing.B) {
			m := NewMonitor(nil)
			shared := newTCP()
			c := func() Checker { return shared }
			if fresh {
				c = newTCP
			}
			// The first one brings them in, those that count change nothing.
			if err := m.Set(manyWatches(manyTargets, 80, Policy{Interval: 5 * time.Second}, c)); err != nil {
				b.Fatal(err)
			}
			sets, used, best := 0, time.Duration(0), time.Hour
			for b.Loop() {
				b.StopTimer()
				ws := manyWatches(manyTargets, 80, Policy{Interval: 5 * time.Second}, c)
				b.StartTimer()
				cpu, start := cpuTime(b), time.Now()
				if err := m.Set(ws); err != nil {
					b.Fatal(err)
				}
				used += cpuTime(b) - cpu
				best = min(best, time.Since(start))
				sets++
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "ms-best")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(sets), "cpu-ms/op")
		})
	}
}

// BenchmarkPut changes, adds and removes one watch among 50,000 of a Monitor
// that runs.
func BenchmarkPut(b *testing.B) {
	m := NewMonitor(nil)
	ws := manyWatches(manyTargets, 80, Policy{Interval: time.Hour}, func() Checker { return script(sayAfter(0, OK, "fine")) })
	if err := m.Set(ws); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	for m.Stats().Checks < manyTargets {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		w := ws[i%manyTargets]
		w.Policy.Interval += time.Duration(i) * time.Second // changed
		extra := w
		extra.ID, extra.Target.Addr = "extra", loopback(i%manyTargets, 81)
		if err := m.Put(w); err != nil {
			b.Fatal(err)
		}
		if err := m.Put(extra); err != nil {
			b.Fatal(err)
		}
		m.Remove("extra")
		i++
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMonitorManyTargets asks 50,000 targets every 5 s by TCP, of which
// 2,000 die together. Everything it reports is of this process alone; the
// servers are in others.
func BenchmarkMonitorManyTargets(b *testing.B) {
	const victims = 2000
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forgets VmHWM, proc(5)
		b.Fatal(err)
	}
	policy := Policy{Interval: 5 * time.Second, Timeout: 2 * time.Second}
	alive, _ := startDrain(b)
	dying, killed := startDrain(b)
	ws := append(manyWatches(manyTargets-victims, alive.Port(), policy, newTCP), manyWatches(victims, dying.Port(), policy, newTCP)...)

	var mu sync.Mutex
	died := map[string]time.Time{}
	ups := 0
	m := NewMonitor(&Config{OnEvent: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.New == Down {
			died[e.ID] = e.At
		} else {
			ups++
		}
	}})
	if err := m.Set(ws); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- m.Run(ctx) }()
	known := func() int {
		mu.Lock()
		defer mu.Unlock()
		return ups
	}
	for known() < manyTargets && time.Since(began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-to-know-all")

	for b.Loop() {
		_ = killed.Process.Kill()
		killed.stop()
		before, cpu, start := m.Stats(), cpuTime(b), time.Now()
		// The turn at which each victim will be found out.
		at := map[string]time.Time{}
		m.mu.Lock()
		for id, w := range m.watches {
			if w.target.Addr.Port() == dying.Port() && !w.probe.running {
				at[id] = m.base.Add(max(w.next, m.now()))
			}
		}
		m.mu.Unlock()
		running, goroutines := 0, 0
		for time.Since(start) < policy.Interval+time.Second {
			running = max(running, m.Stats().Running)
			goroutines = max(goroutines, runtime.NumGoroutine())
			time.Sleep(5 * time.Millisecond)
		}
		after := m.Stats()
		checks := after.Checks - before.Checks
		b.ReportMetric(float64(checks)/time.Since(start).Seconds(), "checks/s")
		b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(checks), "cpu-µs/check")
		b.ReportMetric(float64(running), "running-max")
		b.ReportMetric(float64(goroutines), "goroutines-max")
		b.ReportMetric(float64(after.NoResult), "no-result")
		b.ReportMetric(float64(after.Stalls), "stalls")
		late := uint64(0)
		for i := range after.Late {
			if late += after.Late[i] - before.Late[i]; late*100 >= checks*99 {
				b.ReportMetric(float64(int(1)<<i), "late-p99-below-ms")
				break
			}
		}
		var beyond []time.Duration
		mu.Lock()
		for id, turn := range at {
			if when, ok := died[id]; ok {
				beyond = append(beyond, when.Sub(turn))
			}
		}
		mu.Unlock()
		if len(beyond) < victims*9/10 {
			b.Errorf("%d of %d deaths were seen", len(beyond), victims)
			continue
		}
		slices.Sort(beyond)
		b.ReportMetric(float64(beyond[len(beyond)*99/100].Microseconds())/1000, "death-p99-ms")
	}
	b.ReportMetric(float64(status(b, "/proc/self/status", "VmHWM:"))/1024, "rss-max-MiB")
	b.ReportMetric(float64(timeWaits(b, alive.Port())), "time-wait")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// timeWaits counts the connections of a port that the kernel still keeps
// after their end.
func timeWaits(tb testing.TB, port uint16) (n int) {
	b, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if f[3] == "06" && (strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) || strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port))) {
			n++
		}
	}
	return n
}

// cpuTime is what this process has used so far.
func cpuTime(tb testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
