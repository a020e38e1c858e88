//go:build linux && kernel

package schedlab

import (
	"testing"
	"time"
)

// casesVariable is the number of cases for each scheduler.
const casesVariable = "LVSKIT_SCHEDLAB_CASES"

// TestKernelSchedulers plays random cases on the kernel and on package sched
// and wants the same picks.
func TestKernelSchedulers(t *testing.T) {
	g := &Generator{Seed: testSeed(t), Schedulers: schedulers(), Steps: 70, Ends: 2}
	n := len(g.Schedulers) * int(number(t, casesVariable, 8))
	t.Logf("%d cases, %s=%d", n, seedVariable, g.Seed)
	var cases []Case
	for i := range n {
		cases = append(cases, g.Case(i))
	}
	began := time.Now()
	var runs []*run
	if err := inGround(t, 0, func(ground *ground) error {
		runs = ground.play(cases)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	agreed := newTally()
	for _, r := range runs {
		agreed.add(r)
		if r.err != nil {
			t.Errorf("case %s: %v\n%v", r.c.Name, r.err, r.record())
		}
	}
	t.Logf("%d picks agreed in %v\n%v", agreed.total(), time.Since(began).Round(time.Millisecond), agreed)
}
