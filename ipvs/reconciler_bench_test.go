package ipvs_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// counting takes changes, keeps nothing and counts.
type counting struct{ sends, changes, reads int }

func (c *counting) Snapshot(context.Context) (ipvs.Snapshot, error) { c.reads++; return nil, nil }

func (c *counting) Apply(_ context.Context, changes []ipvs.Change) error {
	c.sends++
	c.changes += len(changes)
	return nil
}

// wideTable has services of ten servers each.
func wideTable(services int) ipvs.Table {
	t := make(ipvs.Table, services)
	for i := range t {
		key := ipvs.TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>16), byte(i >> 8), byte(i)}), 80))
		t[i] = entry(key, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	}
	return t
}

// flips returns a service with one server at weight 1, and at weight 0.
func flips(e ipvs.Entry) [2]ipvs.Entry {
	down := entry(e.Service.Key, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1)
	return [2]ipvs.Entry{down, e}
}

// BenchmarkReconcilerPut is what the change of one server costs, by the size
// of the table.
func BenchmarkReconcilerPut(b *testing.B) {
	for _, services := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			table := wideTable(services)
			plane := &counting{}
			r := ipvs.NewReconciler(plane, nil)
			must(b, r.Set(b.Context(), table))
			flip := flips(table[services/2])
			plane.sends, plane.changes, plane.reads = 0, 0, 0
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				must(b, r.Put(b.Context(), flip[n%2]))
				n++
			}
			if plane.sends != n || plane.changes != n || plane.reads != 0 {
				b.Fatalf("%d flips were %d applications of %d changes, and %d reads", n, plane.sends, plane.changes, plane.reads)
			}
		})
	}
}

// TestPutCostsWhatTheChangeCosts holds what BenchmarkReconcilerPut shows.
func TestPutCostsWhatTheChangeCosts(t *testing.T) {
	allocs := func(services int) float64 {
		table := wideTable(services)
		plane := &counting{}
		r := ipvs.NewReconciler(plane, nil)
		must(t, r.Set(t.Context(), table))
		flip := flips(table[services/2])
		n := 0
		got := testing.AllocsPerRun(100, func() {
			must(t, r.Put(t.Context(), flip[n%2]))
			n++
		})
		if plane.sends != n+1 || plane.reads != 1 {
			t.Errorf("%d flips were %d applications and %d reads", n, plane.sends-1, plane.reads-1)
		}
		return got
	}
	// The runtime's maps differ by an allocation now and then.
	if small, large := allocs(10), allocs(5000); large > small+3 {
		t.Errorf("a flip allocates %v times in a table of 10 services, %v in one of 5000", small, large)
	}
}
