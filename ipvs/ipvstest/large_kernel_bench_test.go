//go:build linux && kernel

package ipvstest

import (
	"runtime"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// large is a table of 100,000 destinations.
var large = size{1000, 100}

// BenchmarkKernelOneChange changes one weight in a table of 100,000
// destinations: with the difference at hand it costs one send, whatever the
// size of the table.
func BenchmarkKernelOneChange(b *testing.B) {
	b.ReportAllocs()
	c, t := dialNew(b), large.table()
	if err := c.Apply(b.Context(), ipvs.Diff(nil, t, nil)); err != nil {
		b.Fatal(err)
	}
	d := t[500].Destinations[50]
	changes := []ipvs.Change{{Op: ipvs.OpSetDestination, Service: ipvs.Service{Key: t[500].Service.Key}, Destination: d}}
	for i := 0; b.Loop(); i++ {
		changes[0].Destination.Weight = i % 100
		if err := c.Apply(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	clearAway(b, c)
}

// BenchmarkKernelSnapshotMemory tells what a snapshot of 100,000 destinations
// weighs when it is kept.
func BenchmarkKernelSnapshotMemory(b *testing.B) {
	b.ReportAllocs()
	c, t := dialNew(b), large.table()
	if err := c.Apply(b.Context(), ipvs.Diff(nil, t, nil)); err != nil {
		b.Fatal(err)
	}
	t = nil
	if _, err := c.Snapshot(b.Context()); err != nil { // what the client keeps is not of the snapshot
		b.Fatal(err)
	}
	var snap ipvs.Snapshot
	before := heap()
	for b.Loop() {
		var err error
		if snap, err = c.Snapshot(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/float64(large.services*large.destinations), "B/destination")
	runtime.KeepAlive(snap)
	clearAway(b, c)
}

// clearAway empties a table, so that the kernel does not do so while the next
// benchmark runs.
func clearAway(b *testing.B, c *ipvs.Client) {
	b.Helper()
	if err := c.DeleteEverything(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
