package ipvs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Plane is what carries a table: the kernel ([*Client]), the balancer of
// package userspace, or the kernel in memory of package ipvstest.
//
// A plane that also has the method Destinations of [Client] is read by
// service where one is enough, else as a whole.
type Plane interface {
	// Snapshot reads the whole table with its counters.
	Snapshot(context.Context) (Snapshot, error)
	// Apply carries out changes in their order, as [Client.Apply] does. Its
	// error is an [*ApplyError], or one of the whole. Of the changes that did
	// not fail, those that were applied come before all others.
	Apply(context.Context, []Change) error
}

var _ Plane = (*Client)(nil)

// Report tells what was done to make a table what it should be.
type Report struct {
	// Rounds is how often the table was compared with what is wanted.
	Rounds int `json:"rounds"`
	// Changes are those that were carried out, in their order. One whose
	// answer was lost is among them if the table showed it afterwards.
	Changes []Change `json:"changes"`
	// Repaired counts those of Changes that a later round than the first
	// made, because answers were lost or somebody else came between.
	Repaired int `json:"repaired"`
	// Failed are the changes that the data plane refuses for good.
	Failed []*OpError `json:"-"`
}

// maxRounds bounds how often a table is read and compared again. Each round
// needs another fault or another program that comes between.
const maxRounds = 5

// Converge reads the table of a plane and makes it what is wanted, by the
// changes of [Diff]. What is right already is left alone, so a second call
// changes nothing; services that neither want nor owned names are never
// touched.
//
// When the outcome of a change is unknown ([ErrStateUnknown], ENOBUFS), or
// when somebody else came between reading and writing (to add what is there,
// to change what is not), the table is read again and the rest of the
// difference applied, five rounds at most. Other failures are for good: the
// other changes are made all the same, and the error is the [*ApplyError] of
// the last round. The report is right, error or not.
func Converge(ctx context.Context, plane Plane, want Table, owned func(ServiceKey) bool) (Report, error) {
	c := convergence{plane: plane}
	err := c.run(ctx, func(snap Snapshot) []Change { return Diff(snap.Table(), want, owned) })
	return c.report, err
}

// convergence is the work of Converge.
type convergence struct {
	plane  Plane
	report Report
	// pending are changes whose outcome the next reading has to tell, made
	// in the round inRound.
	pending []Change
	inRound int
	// tried tells that changes were sent, whatever became of them.
	tried bool
}

// run reads, compares and applies until nothing is left to do, or to repair.
func (c *convergence) run(ctx context.Context, compare func(Snapshot) []Change) error {
	var last error
	for c.report.Rounds < maxRounds {
		c.report.Rounds++
		snap, err := c.plane.Snapshot(ctx)
		if err != nil {
			last = fmt.Errorf("read the table: %w", err)
			if isPassing(err) && ctx.Err() == nil {
				continue
			}
			return last
		}
		changes := compare(snap)
		c.confirm(changes)
		if len(changes) == 0 {
			c.report.Failed = nil
			return nil
		}
		again, err := c.apply(ctx, changes)
		if !again {
			return err
		}
		last = err
	}
	return fmt.Errorf("the table is not as wanted after %d rounds, something else keeps changing it: %w", maxRounds, last)
}

// apply carries out the changes of one round. It tells whether the failure is
// one that reading the table again can mend.
func (c *convergence) apply(ctx context.Context, changes []Change) (again bool, err error) {
	c.report.Failed = nil
	c.tried = true
	err = c.plane.Apply(ctx, changes)
	if err == nil {
		c.done(changes, c.report.Rounds)
		return false, nil
	}
	result, ok := errors.AsType[*ApplyError](err)
	if ok {
		c.report.Failed = result.Failed
		changes = without(changes, result.Failed)
	}
	if ok && result.Cause == nil {
		c.done(changes, c.report.Rounds)
		again = cameBetween(result.Failed)
	} else {
		known := 0
		if ok {
			known = min(result.Applied, len(changes))
		}
		c.done(changes[:known], c.report.Rounds)
		c.pending, c.inRound = changes[known:], c.report.Rounds
		again = isPassing(err)
	}
	return again && ctx.Err() == nil, fmt.Errorf("change the table: %w", err)
}

// done notes changes that were carried out.
func (c *convergence) done(changes []Change, round int) {
	c.report.Changes = append(c.report.Changes, changes...)
	if round > 1 {
		c.report.Repaired += len(changes)
	}
}

// confirm notes those of the pending changes that the table does not need
// any more.
func (c *convergence) confirm(needed []Change) {
	if len(c.pending) == 0 {
		return
	}
	open := make(map[changeID]bool, len(needed))
	for i := range needed {
		open[needed[i].id()] = true
	}
	seen := c.pending[:0:0]
	for _, p := range c.pending {
		if !open[p.id()] {
			seen = append(seen, p)
		}
	}
	c.done(seen, c.inRound)
	c.pending = nil
}

// changeID tells the changes of one list apart.
type changeID struct {
	op          Op
	service     ServiceKey
	destination DestinationKey
}

func (c *Change) id() changeID {
	id := changeID{op: c.Op, service: c.Service.Key}
	if c.Op.onDestination() {
		id.destination = c.Destination.Key
	}
	return id
}

// without returns the changes that did not fail.
func without(changes []Change, failed []*OpError) []Change {
	if len(failed) == 0 {
		return changes
	}
	out := make(map[changeID]bool, len(failed))
	for _, f := range failed {
		out[changeID{f.Op, f.Service, f.Destination}] = true
	}
	rest := make([]Change, 0, len(changes))
	for i := range changes {
		if !out[changes[i].id()] {
			rest = append(rest, changes[i])
		}
	}
	return rest
}

// isPassing tells whether an error says nothing about the next attempt:
// answers were lost for want of space.
func isPassing(err error) bool {
	return errors.Is(err, ErrStateUnknown) || errors.Is(err, errLost) || errors.Is(err, syscall.ENOBUFS)
}

// cameBetween tells whether one of the failures comes from a table that is
// not what it was when it was read. A destination of a service that could not
// be added for another reason is not such a one.
func cameBetween(failed []*OpError) bool {
	barred := make(map[ServiceKey]bool)
	for _, f := range failed {
		switch {
		case isPassing(f), errors.Is(f, ErrServiceExists), errors.Is(f, ErrDestinationExists), errors.Is(f, ErrDestinationNotFound):
			return true
		case errors.Is(f, ErrServiceNotFound):
			if !barred[f.Service] {
				return true
			}
		case f.Op == OpAddService:
			barred[f.Service] = true
		}
	}
	return false
}
