package health

import (
	"context"
	"testing"
	"time"
)

// BenchmarkConnect is a connect check on loopback by either way, with nobody
// who takes the connections out of the queue: what the check itself costs.
func BenchmarkConnect(b *testing.B) {
	for _, way := range []string{"of package net", "of this system"} {
		b.Run(way, func(b *testing.B) {
			addr, _ := startDrain(b)
			connect := connectPaths[way]
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			before := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				if r := connectBy(ctx, connect, Dial{}, addr); r.Verdict != OK {
					b.Fatal(r.Reason)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/check")
		})
	}
}

// BenchmarkConnectParallel is the same by 64 at a time, as a Monitor does it.
func BenchmarkConnectParallel(b *testing.B) {
	for _, way := range []string{"of package net", "of this system"} {
		b.Run(way, func(b *testing.B) {
			addr, _ := startDrain(b)
			connect := connectPaths[way]
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			before := cpuTime(b)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r := connectBy(ctx, connect, Dial{}, addr); r.Verdict != OK {
						b.Error(r.Reason)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/check")
		})
	}
}
