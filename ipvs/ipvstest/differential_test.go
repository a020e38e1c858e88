package ipvstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// opFailure is an *ipvs.OpError in a form to compare.
type opFailure struct {
	Op          ipvs.Op
	Service     ipvs.ServiceKey
	Destination ipvs.DestinationKey
	Errno       syscall.Errno
	Is          []string
	Text        string
}

// applyFailure is an *ipvs.ApplyError in a form to compare.
type applyFailure struct {
	Applied, Unknown, Unsent int
	Failed                   []opFailure
	Cause                    any
	Text                     string
}

var meanings = []error{
	ipvs.ErrServiceExists, ipvs.ErrServiceNotFound, ipvs.ErrDestinationExists, ipvs.ErrDestinationNotFound,
	ipvs.ErrSchedulerNotFound, ipvs.ErrSyncRunning, ipvs.ErrSyncNotRunning, ipvs.ErrNoInterface, ipvs.ErrNotPermitted,
	ipvs.ErrNoIPVS, ipvs.ErrInvalid, ipvs.ErrNotSupported, ipvs.ErrStateUnknown,
	fs.ErrExist, fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid, errors.ErrUnsupported,
	context.Canceled, context.DeadlineExceeded,
}

// flatten returns an error in a form to compare, nil for none.
func flatten(err error) any {
	if err == nil {
		return nil
	}
	if e, ok := err.(*ipvs.ApplyError); ok {
		f := applyFailure{Applied: e.Applied, Unknown: e.Unknown, Unsent: e.Unsent, Cause: flatten(e.Cause), Text: e.Error()}
		for _, op := range e.Failed {
			f.Failed = append(f.Failed, flattenOp(op))
		}
		return f
	}
	if e, ok := err.(*ipvs.OpError); ok {
		return flattenOp(e)
	}
	return err.Error()
}

func flattenOp(e *ipvs.OpError) opFailure {
	f := opFailure{Op: e.Op, Service: e.Service, Destination: e.Destination, Text: e.Error()}
	errors.As(e, &f.Errno)
	for _, m := range meanings {
		if errors.Is(e, m) {
			f.Is = append(f.Is, m.Error())
		}
	}
	return f
}

// divergence is the first step after which two kernels differ.
type divergence struct {
	at   int
	diff string
}

// compare plays the steps on two empty kernels; nil if they agree all along.
func compare(ctx context.Context, steps []step, a, b API) *divergence {
	for i, s := range steps {
		if d := cmp.Diff(s.play(ctx, a), s.play(ctx, b), equate); d != "" {
			return &divergence{i, "result (-first +second)\n" + d}
		}
		oa, erra := observe(ctx, a)
		ob, errb := observe(ctx, b)
		if erra != nil || errb != nil {
			return &divergence{i, fmt.Sprintf("reading afterwards: %v, %v", erra, errb)}
		}
		if d := cmp.Diff(oa, ob, equate); d != "" {
			return &divergence{i, "state afterwards (-first +second)\n" + d}
		}
	}
	return nil
}

// jumbo is a network device of the compared kernels beside sync0 and lo.
const (
	jumbo    = "jumbo0"
	jumboMTU = 9000
)

func newWithJumbo() *Kernel {
	k := New()
	k.devices[jumbo] = jumboMTU
	return k
}

// maxReplays bounds how often a shrink tries.
const maxReplays = 600

// shrink drops steps, then parts of lists within them, as long as what is left
// still diverges.
func shrink(steps []step, d *divergence, again func([]step) *divergence) ([]step, *divergence) {
	steps = steps[:d.at+1]
	replays := 0
	try := func(rest []step) bool {
		if replays++; replays > maxReplays {
			return false
		}
		e := again(rest)
		if e == nil {
			return false
		}
		steps, d = rest[:e.at+1], e
		return true
	}
	for n := len(steps); n > 0; n /= 2 {
		for i := 0; i < len(steps); {
			if !try(slices.Delete(slices.Clone(steps), i, min(i+n, len(steps)))) {
				i += n
			}
		}
	}
	for i := 0; i < len(steps); i++ {
		if steps[i].fewer == nil {
			continue
		}
		for n := 128; n > 0; n /= 2 {
			for j := 0; i < len(steps); {
				s, ok := steps[i].fewer(j, n)
				if !ok {
					break
				}
				s.cancelled = steps[i].cancelled
				rest := slices.Clone(steps)
				rest[i] = s
				if !try(rest) {
					j += n
				}
			}
		}
	}
	return steps, d
}

// report tells the steps that lead to a divergence.
func report(steps []step, d *divergence) string {
	var b strings.Builder
	fmt.Fprintf(&b, "they differ after %d steps:\n", len(steps))
	for i, s := range steps {
		fmt.Fprintf(&b, "%4d  %v\n", i+1, s)
	}
	b.WriteString(d.diff)
	return b.String()
}

// TestDifferencesAreFoundAndShrunk proves the comparison on two fakes of
// which one has a fault, and that steps can be repeated.
func TestDifferencesAreFoundAndShrunk(t *testing.T) {
	ctx := t.Context()
	faulty := func() API {
		k := New()
		k.SetHook(func(c Command) error {
			if c.Op == ipvs.OpSetDestination && c.Destination.Weight > 1 && len(k.services) > 1 {
				return syscall.ENOMEM
			}
			return nil
		})
		return k
	}
	found := 0
	seed := testSeed(t)
	for n := range uint64(50) {
		steps := newGenerator(seed, n, allSchedulers).steps(60)
		if d := compare(ctx, steps, New(), New()); d != nil {
			t.Fatalf("case %d: equal kernels: %s", n, report(steps[:d.at+1], d))
		}
		again := func(steps []step) *divergence { return compare(ctx, steps, New(), faulty()) }
		d := again(steps)
		if d == nil {
			continue
		}
		found++
		steps, d = shrink(steps, d, again)
		// Two services, a destination and the set that fails, or lists of them.
		if len(steps) > 4 || len(report(steps, d)) > 4000 || !strings.Contains(d.diff, "ENOMEM") && !strings.Contains(d.diff, "cannot allocate memory") {
			t.Errorf("case %d: shrunk to %s", n, report(steps, d))
		}
	}
	if found < 10 {
		t.Errorf("the fault showed in %d of 50 cases", found)
	}
}
