package health_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// BenchmarkTCP is one connect check on loopback, the server's side included.
func BenchmarkTCP(b *testing.B) {
	s := healthtest.NewServer(b, healthtest.Close())
	c := new(health.TCP)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if r := c.Check(ctx, health.Target{Addr: s.Addr()}); r.Verdict != health.OK {
			b.Fatal(r.Reason)
		}
	}
}

// BenchmarkHTTP is one HTTP check on loopback, the server's side included.
func BenchmarkHTTP(b *testing.B) {
	var web healthtest.Web
	s := healthtest.NewServer(b, web.Serve)
	c, err := health.NewHTTP(nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if r := c.Check(ctx, health.Target{Addr: s.Addr()}); r.Verdict != health.OK {
			b.Fatal(r.Reason)
		}
	}
}

func manyWatches(n int, c health.Checker, interval time.Duration) []health.Watch {
	ws := make([]health.Watch, n)
	for i := range ws {
		ws[i] = watch(fmt.Sprintf("watch-%d", i), i, c, health.Policy{Interval: interval})
	}
	return ws
}

// BenchmarkSetUnchanged is a reload of 10,000 watches that changes nothing.
func BenchmarkSetUnchanged(b *testing.B) {
	m := health.NewMonitor(nil)
	ws := manyWatches(10_000, new(health.TCP), 10*time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Set(ws); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSetNew brings 10,000 watches in and out.
func BenchmarkSetNew(b *testing.B) {
	m := health.NewMonitor(nil)
	ws := manyWatches(10_000, new(health.TCP), 10*time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if m.Set(ws) != nil || m.Set(nil) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkStates is a snapshot of 10,000 watches.
func BenchmarkStates(b *testing.B) {
	m := health.NewMonitor(nil)
	if err := m.Set(manyWatches(10_000, new(health.TCP), 10*time.Second)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(m.States()) != 10_000 {
			b.Fatal("lost some")
		}
	}
}

// instant answers without doing anything, so that only the monitor costs.
type instant struct{}

func (instant) Check(context.Context, health.Target) health.Result {
	return health.Result{Verdict: health.OK, Reason: "instant"}
}
func (instant) Identity() string { return "instant" }

// BenchmarkSchedule is what the monitor adds to one check: 10,000 watches
// that are overdue all the time, divided by the checks made.
func BenchmarkSchedule(b *testing.B) {
	m := health.NewMonitor(nil)
	if err := m.Set(manyWatches(10_000, instant{}, time.Millisecond)); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	b.ReportAllocs()
	for m.Stats().Checks < 20_000 {
		time.Sleep(time.Millisecond)
	}
	b.ResetTimer()
	from := m.Stats().Checks
	for m.Stats().Checks < from+uint64(b.N) {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
