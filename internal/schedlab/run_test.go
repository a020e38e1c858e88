//go:build linux && (kernel || simtime)

package schedlab

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// seedVariable set to a number plays the cases of an earlier run again.
const seedVariable = "LVSKIT_SCHEDLAB_SEED"

// testSeed returns the seed of the cases and prints it.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	return number(t, seedVariable, rand.Uint64())
}

// number reads a variable of the environment.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// schedulers are those of both the kernel and package sched.
func schedulers() []string {
	names := sched.Names()
	if os.Getenv("LVSKIT_GUEST") == "debian" {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "twos" })
	}
	return names
}

// errDiffer is a pick at which the kernel and the model disagree.
var errDiffer = errors.New("different picks")

// run is a case that is being played on the kernel and on the model.
type run struct {
	c        Case
	model    *Model
	kernel   *service
	next     int              // step of the case
	played   []Step           // with what the kernel picked
	settling bool             // an End was begun
	agreed   map[string]picks // by the scheduler in use
	err      error
	// clock of a case in simulated time; nil is one that stands still.
	clock func() time.Duration
	// awaitWheel is called before a scheduler is bound, if there is a clock.
	awaitWheel func()
}

func (g *ground) start(c Case) *run {
	c.Rules = kernelRules()
	r := &run{c: c, agreed: map[string]picks{}}
	if r.model, r.err = NewModel(c); r.err == nil {
		r.kernel, r.err = g.open(c)
	}
	return r
}

// proceed plays up to the next End or the last step.
func (r *run) proceed() {
	if r.settling && r.err == nil {
		r.settling = false
		r.fail(r.kernel.settle(r.model))
	}
	for r.err == nil && r.next < len(r.c.Steps) && !r.settling {
		s, ok := r.model.Sensible(r.c.Steps[r.next])
		r.next++
		if ok {
			r.fail(r.step(s))
		}
	}
}

func (r *run) fail(err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("at step %d: %w", len(r.played), err)
	}
}

func (r *run) step(s Step) error {
	if r.clock != nil {
		if s.Op == Use {
			r.awaitWheel()
		}
		r.model.now = r.clock()
	}
	want, err := r.model.Play(s)
	if err != nil {
		return err
	}
	got, err := r.kernel.play(s)
	s.Got = got
	r.played = append(r.played, s)
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	switch {
	case s.Op == End:
		r.settling = true
	case s.Op != Pick:
	case !r.model.Agrees(want, got):
		return fmt.Errorf("%v: %w: the kernel picked %s, the model %s", s, errDiffer, who(got), who(want))
	default:
		n := r.agreed[r.model.s.Name()]
		n.all++
		if got == 0 {
			n.nobody++
		} else {
			r.model.Took(s, got)
		}
		r.agreed[r.model.s.Name()] = n
	}
	return nil
}

// play plays cases side by side, so that the flows of all of them end in the
// same pauses.
func (g *ground) play(cases []Case) []*run {
	var runs []*run
	for _, c := range cases {
		runs = append(runs, g.start(c))
	}
	for again := true; again; {
		again = false
		for _, r := range runs {
			r.proceed()
			again = again || r.settling && r.err == nil
		}
	}
	for _, r := range runs {
		if r.err == nil {
			r.fail(r.kernel.settle(r.model))
		}
	}
	return runs
}

// record is the case as the kernel played it.
func (r *run) record() Case {
	c := r.c
	c.Steps = r.played
	return c
}

// picks are counts of them, of all and of those that found nobody.
type picks struct{ all, nobody int }

// tally counts by scheduler what agreed. A case counts for every scheduler
// that it used.
type tally map[string]struct {
	cases int
	picks
}

func (y tally) add(r *run) {
	for name, n := range r.agreed {
		row := y[name]
		row.cases++
		row.all += n.all
		row.nobody += n.nobody
		y[name] = row
	}
}

func (y tally) total() (n int) {
	for _, row := range y {
		n += row.all
	}
	return n
}

func (y tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %6s %6s %7s\n", "scheduler", "cases", "picks", "nobody")
	for _, name := range slices.Sorted(maps.Keys(y)) {
		row := y[name]
		fmt.Fprintf(&b, "%-10s %6d %6d %7d\n", name, row.cases, row.all, row.nobody)
	}
	return b.String()
}

// playIn plays cases in a ground of their own.
func playIn(t *testing.T, expiration time.Duration, cases []Case) (runs []*run, err error) {
	err = inGround(t, expiration, func(g *ground) error {
		runs = g.play(cases)
		return nil
	})
	return runs, err
}
