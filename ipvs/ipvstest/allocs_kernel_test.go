//go:build linux && kernel

package ipvstest

import (
	"runtime"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// TestKernelNothingPerDestination proves that neither adding nor listing
// allocates for each destination: ten times as many cost hardly more.
func TestKernelNothingPerDestination(t *testing.T) {
	allocs := func(s size) (add, list float64) {
		tab := s.table()
		changes := ipvs.Diff(nil, tab, nil)
		c := dialNew(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.Apply(t.Context(), changes)
		runtime.ReadMemStats(&after)
		ok(t, err)
		list = testing.AllocsPerRun(3, func() {
			if snap, err := c.Snapshot(t.Context()); err != nil || len(snap) != s.services {
				t.Error(len(snap), err)
			}
		})
		return float64(after.Mallocs - before.Mallocs), list
	}
	fewAdd, fewList := allocs(size{10, 10})
	manyAdd, manyList := allocs(size{10, 1000})
	t.Logf("allocations with 100 destinations: add %v, list %v; with 10,000: add %v, list %v", fewAdd, fewList, manyAdd, manyList)
	const more = 500 // for 9,900 destinations
	if manyAdd > fewAdd+more || manyList > fewList+more {
		t.Errorf("allocations with 100 destinations: add %v, list %v; with 10,000: add %v, list %v", fewAdd, fewList, manyAdd, manyList)
	}
}
