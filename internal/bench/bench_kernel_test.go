//go:build linux && kernel

package bench

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

const services, destinations = 100, 100

// table is what all work is done with: services of weighted round robin.
func table() ipvs.Table {
	t := make(ipvs.Table, services)
	for i := range t {
		t[i].Service = ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1+i))), Scheduler: "wrr"}
		for j := range destinations {
			ip := netip.AddrFrom4([4]byte{10, 0, byte(j >> 8), byte(j)})
			t[i].Destinations = append(t[i].Destinations, ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: 1 + j%7})
		}
	}
	return t
}

// contestant is a peer with what it took.
type contestant struct {
	name string
	peer
	// rounds is in how many rounds it takes part, 0 for all.
	rounds int
	took   []time.Duration
	allocs []uint64
}

func contestants() []*contestant {
	return []*contestant{
		{name: "floor", peer: &floor{}},
		{name: "lvskit", peer: &ours{}},
		{name: "lvskit with Diff", peer: &planned{}},
		{name: "moby/ipvs", peer: &moby{}, rounds: 5},
		{name: "ipvsadm", peer: &ipvsadm{}, rounds: 2},
	}
}

// measure runs work and notes what it took.
func (c *contestant) measure(work func() error) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	err := work()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	c.took, c.allocs = append(c.took, took), append(c.allocs, after.Mallocs-before.Mallocs)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func median[T time.Duration | uint64](list []T) T {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

// report prints the table of results, of n operations each, and makes the
// ratios of ours metrics of the benchmark.
func report(b *testing.B, what string, n int, list []*contestant) {
	b.Helper()
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\trounds\tmedian\tmin\tmedian/floor\tmin/floor\tallocs\t\n", what)
	base := list[0]
	ratio := func(a, b time.Duration) float64 { return float64(a) / float64(b) }
	for _, c := range list {
		m, least := median(c.took), slices.Min(c.took)
		toMedian, toMin := ratio(m, median(base.took)), ratio(least, slices.Min(base.took))
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%.2f\t%.2f\t%d\t\n", c.name, len(c.took),
			(m / time.Duration(n)).Round(time.Microsecond), (least / time.Duration(n)).Round(time.Microsecond), toMedian, toMin, median(c.allocs)/uint64(n))
		if c.name == "lvskit" {
			b.ReportMetric(toMedian, "median/floor")
			b.ReportMetric(toMin, "min/floor")
			b.ReportMetric(float64(m)/float64(n)/1e6, "ms/median")
		}
	}
	w.Flush()
	b.ReportMetric(0, "ns/op") // of all contestants together: means nothing
	b.Log("\n" + out.String())
}

// scope is a test of its own as far as cleaning up goes: namespaces with ten
// thousand destinations each must not pile up.
type scope struct {
	testing.TB
	undo []func()
}

func (s *scope) Cleanup(f func()) { s.undo = append(s.undo, f) }

// within runs f with a network namespace that it has for itself, and waits
// for the kernel to clear it away.
func within(b *testing.B, f func(tb testing.TB, ns *lab.Namespace)) {
	b.Helper()
	s := &scope{TB: b}
	defer func() {
		for _, f := range slices.Backward(s.undo) {
			f()
		}
		// A worker of the kernel frees the table; it must not do so while
		// the next one is timed.
		time.Sleep(200 * time.Millisecond)
	}()
	f(s, lab.New(s).Namespace("bench"))
}

// BenchmarkKernelAdd adds the whole table to a fresh namespace: re-adding
// what was deleted would measure the kernel's list of deleted destinations.
func BenchmarkKernelAdd(b *testing.B) {
	t, list := table(), contestants()
	round := 0
	for b.Loop() {
		for _, c := range list {
			if c.rounds > 0 && round >= c.rounds {
				continue
			}
			within(b, func(tb testing.TB, ns *lab.Namespace) {
				c.prepare(tb, ns, t)
				runtime.GC() // nobody pays for the garbage of another
				if err := c.measure(c.add); err != nil {
					b.Fatal(err)
				}
				check(tb, c.name, ns, t)
				// Deleted here it is not deleted behind our back.
				o := &ours{}
				o.prepare(tb, ns, t)
				if err := o.c.DeleteEverything(b.Context()); err != nil {
					b.Fatal(err)
				}
			})
		}
		round++
	}
	report(b, fmt.Sprintf("add %dx%d", services, destinations), 1, list)
}

// check fails unless the namespace has exactly the table.
func check(tb testing.TB, name string, ns *lab.Namespace, t ipvs.Table) {
	tb.Helper()
	o := &ours{}
	o.prepare(tb, ns, t)
	snap, err := o.c.Snapshot(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	all := func(ipvs.ServiceKey) bool { return true }
	if changes := ipvs.Diff(snap.Table(), t, all); len(changes) != 0 {
		tb.Fatalf("%s left %d things to do: %v", name, len(changes), changes[0])
	}
}

// BenchmarkKernelList reads the whole table, the floor of which decodes
// nothing.
func BenchmarkKernelList(b *testing.B) {
	t := table()
	list := slices.Insert(contestants(), 1, &contestant{name: "floor with recvmmsg", peer: &floorMmsg{}})
	const n = 3
	within(b, func(tb testing.TB, ns *lab.Namespace) {
		fill(tb, ns, t, list)
		round := 0
		for b.Loop() {
			for _, c := range list {
				if c.rounds > 0 && round >= c.rounds {
					continue
				}
				runtime.GC() // nobody pays for the garbage of another
				// The first brings the garbage collector and the processor's
				// caches back to where they are in a program that lists often.
				if _, err := c.list(); err != nil {
					b.Fatal(c.name, ": ", err)
				}
				err := c.measure(func() error {
					for range n {
						seen, err := c.list()
						if err == nil && seen >= 0 && seen != services*destinations {
							err = fmt.Errorf("saw %d destinations", seen)
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			round++
		}
		report(b, fmt.Sprintf("list %dx%d", services, destinations), n, list)
	})
}

// fill prepares the contestants and adds the table.
func fill(tb testing.TB, ns *lab.Namespace, t ipvs.Table, list []*contestant) {
	tb.Helper()
	for _, c := range list {
		c.prepare(tb, ns, t)
	}
	if err := list[0].add(); err != nil {
		tb.Fatal(err)
	}
	// Once for what is done on the first call only.
	for _, c := range list {
		if _, err := c.list(); err != nil {
			tb.Fatal(c.name, ": ", err)
		}
	}
}

// BenchmarkKernelWeight changes one weight at a time.
func BenchmarkKernelWeight(b *testing.B) {
	const n = 20
	t, list := table(), contestants()
	list = slices.DeleteFunc(list, func(c *contestant) bool { return c.name == "lvskit with Diff" })
	within(b, func(tb testing.TB, ns *lab.Namespace) {
		fill(tb, ns, t, list)
		round := 0
		for b.Loop() {
			for _, c := range list {
				if c.rounds > 0 && round >= c.rounds {
					continue
				}
				err := c.measure(func() error {
					for i := range n {
						if err := c.weigh(i % 2); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			round++
		}
		report(b, "one weight", n, list)
	})
}
