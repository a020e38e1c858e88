package ipvs_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// shapedTable has n services with m destinations each, with keys as they are
// in the wild: ports of some addresses, and servers all over a network.
func shapedTable(n, m int) ipvs.Table {
	t := make(ipvs.Table, n)
	for i := range t {
		vip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 60000)})
		t[i].Service = ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(vip, uint16(1+i%60000))), Scheduler: "wlc"}
		t[i].Destinations = make([]ipvs.Destination, m)
		for j := range m {
			ip := netip.AddrFrom4([4]byte{10, byte(j >> 16), byte(j >> 8), byte(j)})
			t[i].Destinations[j] = ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: 1 + j%7}
		}
	}
	return t
}

// cloneTable copies the destinations too.
func cloneTable(t ipvs.Table) ipvs.Table {
	c := slices.Clone(t)
	for i := range c {
		c[i].Destinations = slices.Clone(c[i].Destinations)
	}
	return c
}

// BenchmarkDiffLarge compares tables of 100,000 destinations in all shapes,
// and tables ten times smaller and larger to show that the time is linear:
// see the metric ns/destination.
func BenchmarkDiffLarge(b *testing.B) {
	alter := []struct {
		name string
		of   func(ipvs.Table)
	}{
		{"equal", func(ipvs.Table) {}},
		{"one weight", func(t ipvs.Table) { last := t[len(t)/2].Destinations; last[len(last)/2].Weight = 0 }},
		{"all weights", func(t ipvs.Table) {
			for i := range t {
				for j := range t[i].Destinations {
					t[i].Destinations[j].Weight = 0
				}
			}
		}},
		{"reversed", func(t ipvs.Table) {
			slices.Reverse(t)
			for i := range t {
				slices.Reverse(t[i].Destinations)
			}
		}},
		{"none there", func(t ipvs.Table) { clear(t) }},
	}
	for _, shape := range []struct{ services, destinations int }{
		{1000, 100}, {100_000, 1}, {1, 100_000}, {100, 1000}, {100, 100}, {1000, 1000},
	} {
		n := shape.services * shape.destinations
		want := shapedTable(shape.services, shape.destinations)
		for _, a := range alter {
			b.Run(fmt.Sprintf("%dx%d/%s", shape.services, shape.destinations, a.name), func(b *testing.B) {
				have := cloneTable(want)
				a.of(have)
				b.ReportAllocs()
				for b.Loop() {
					ipvs.Diff(have, want, nil)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/destination")
			})
		}
	}
}

// BenchmarkSnapshotMemory tells what a snapshot of 100,000 destinations
// weighs when it is kept, as generated here; for the kernel's see
// BenchmarkKernelSnapshotMemory.
func BenchmarkSnapshotMemory(b *testing.B) {
	for _, shape := range []struct{ services, destinations int }{{1000, 100}, {100_000, 1}, {1, 100_000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.services, shape.destinations), func(b *testing.B) {
			config := shapedTable(shape.services, shape.destinations)
			var snap ipvs.Snapshot
			before := heap()
			for b.Loop() {
				snap = make(ipvs.Snapshot, len(config))
				for i, e := range config {
					snap[i].Service.Service = e.Service
					snap[i].Destinations = make([]ipvs.DestinationState, len(e.Destinations))
					for j, d := range e.Destinations {
						snap[i].Destinations[j].Destination = d
					}
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(shape.services*shape.destinations), "B/destination")
			runtime.KeepAlive(snap)
			runtime.KeepAlive(config)
		})
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
