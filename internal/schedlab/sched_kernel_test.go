//go:build linux && kernel

package schedlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/sched"
)

// casesVariable is the number of cases for each scheduler.
const casesVariable = "LVSKIT_SCHEDLAB_CASES"

// recordVariable set to 1 makes TestKernelSchedulers print its cases with the
// kernel's picks, each line behind the word "golden", so that
//
//	LVSKIT_SCHEDLAB_RECORD=1 LVSKIT_SCHEDLAB_CASES=3 COMMAND | sed -n 's/^golden //p'
//
// writes a file for sched/testdata/golden. COMMAND is that of the package's
// documentation.
const recordVariable = "LVSKIT_SCHEDLAB_RECORD"

// TestKernelSchedulers plays random cases on the kernel and on package sched
// and wants the same picks.
func TestKernelSchedulers(t *testing.T) {
	record := os.Getenv(recordVariable) == "1"
	g := &Generator{Seed: testSeed(t), Schedulers: schedulers(), Steps: 70, Ends: 2}
	if record {
		g.Steps, g.Ends = 35, 1
	}
	usual := uint64(6)
	if lab.Emulated() {
		usual = 1
	}
	n := len(g.Schedulers) * int(number(t, casesVariable, usual))
	t.Logf("%d cases, %s=%d", n, seedVariable, g.Seed)
	var cases []Case
	for i := range n {
		cases = append(cases, g.Case(i))
	}
	runs := playAll(t, cases)
	if !record {
		return
	}
	fmt.Printf("golden # Kernel %s, %s=%d. See internal/schedlab for the form and for how it was made.\n",
		os.Getenv("LVSKIT_GUEST"), seedVariable, g.Seed)
	for _, r := range runs {
		// Chance cannot be played again.
		if text := r.record().String(); r.err == nil && !strings.Contains(text, " twos") {
			for line := range strings.Lines(text) {
				fmt.Print("golden ", line)
			}
		}
	}
}

// TestKernelWRRAfterNobody settles what wrr remembers of a pick that finds
// all servers overloaded: from many places and levels, the picks after the
// first connections ended are those of package sched.
func TestKernelWRRAfterNobody(t *testing.T) {
	var cases []Case
	for _, weights := range [][]int{{1}, {2, 2}, {1, 2, 3}, {3, 1, 1}, {4, 2, 6}, {5, 3, 1}} {
		for lasting := range 6 {
			c := Case{Name: fmt.Sprintf("wrr-%v-%d", weights, lasting), Scheduler: "wrr", Protocol: UDP}
			id := byte(len(cases) + 1)
			room, flow := 0, 0
			for i, w := range weights {
				limit := 1 + (i+lasting)%4
				room += limit
				c.Steps = append(c.Steps, Step{
					Op: Add, Server: i + 1, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, id, 0, byte(i + 1)}), 80),
					Config: sched.ServerConfig{Weight: w, Upper: uint32(limit), Lower: uint32(limit)},
				})
			}
			pick := func(times int) {
				for range times {
					flow++
					c.Steps = append(c.Steps, Step{
						Op: Pick, Flow: flow, Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1000+flow)),
						Service: netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, 0, id}), 80),
					})
				}
			}
			// As many as the servers take, and one or two more.
			pick(room + 1 + lasting%2)
			var ending []int
			for n := min(lasting, room-1); n < room; n++ {
				ending = append(ending, n+1)
			}
			c.Steps = append(c.Steps, Step{Op: End, Flows: ending})
			pick(len(ending) + 1)
			cases = append(cases, c)
		}
	}
	playAll(t, cases)
}

// playAll plays cases side by side and reports what disagrees, with fewer
// steps where that can be had in short time.
func playAll(t *testing.T, cases []Case) []*run {
	t.Helper()
	began := time.Now()
	runs, err := playIn(t, 0, cases)
	if err != nil {
		t.Fatal(err)
	}
	agreed := tally{}
	shrunk := 0
	for _, r := range runs {
		agreed.add(r)
		if r.err == nil {
			continue
		}
		t.Errorf("case %s of %s: %v\n%v", r.c.Name, r.c.Scheduler, r.err, r.record())
		if shrunk++; shrunk > 3 || !errors.Is(r.err, errDiffer) {
			continue
		}
		less := Shrink(r.record(), 150, func(c Case) bool {
			again, err := playIn(t, 0, []Case{c})
			return err == nil && errors.Is(again[0].err, errDiffer)
		})
		if again, err := playIn(t, 0, []Case{less}); err == nil && again[0].err != nil {
			t.Errorf("case %s in fewer steps: %v\n%v", r.c.Name, again[0].err, again[0].record())
		}
	}
	t.Logf("%d picks agreed in %v\n%v", agreed.total(), time.Since(began).Round(time.Millisecond), agreed)
	return runs
}
