package health

import (
	"container/heap"
	"context"
	"time"
)

// grace is the part of an interval by which a turn may be late and is still
// taken: a check that needs exactly its interval keeps every turn.
const graceParts = 10

// nextTurn is the first turn after the turn taken that is not over at now.
// Turns are at phase + k x interval, so slow checks do not drift. Fast turns
// follow the turn taken, and one that is late is taken at once. skipped
// counts the turns that are lost.
func nextTurn(phase, taken, now time.Time, interval time.Duration, fast bool) (next time.Time, skipped uint64) {
	late := now.Add(-interval / graceParts)
	if fast {
		next = taken.Add(interval)
		if next.Before(late) {
			skipped = uint64((late.Sub(next) + interval - 1) / interval)
			next = now
		}
		return next, skipped
	}
	next = onGrid(phase, taken, interval)
	if next.Before(late) {
		n := (late.Sub(next) + interval - 1) / interval
		skipped = uint64(n)
		next = next.Add(n * interval)
	}
	return next, skipped
}

// onGrid is the first phase + k x interval after t, k of either sign.
func onGrid(phase, t time.Time, interval time.Duration) time.Time {
	since := t.Sub(phase)
	k := since / interval
	if since >= 0 || since%interval == 0 {
		k++
	}
	return phase.Add(k * interval)
}

// spread places the i-th of n first checks evenly: the first turn within the
// start-up budget, the phase of all further turns over the whole interval.
func spread(i, n int, interval, budget time.Duration) (first, phase time.Duration) {
	share := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * float64(i) / float64(n))
	}
	return share(min(interval, budget)), share(interval)
}

// probe is one question and the watches that ask it. Guarded by the monitor's
// lock.
type probe struct {
	key     question
	target  Target
	checker Checker
	watches []*watch
	phase   time.Time

	// due is when to ask next; index is the place in the queue, -1 outside.
	due   time.Time
	index int
	// triggered is when somebody wanted it asked out of turn; zero: nobody.
	triggered time.Time

	// While a check runs:
	running bool
	cancel  context.CancelFunc
	dropped bool          // all who asked are gone: the result is for nobody
	forAll  bool          // triggered: the result is for every watch
	stalled time.Duration // the monitor's stall clock when the check began
}

// plan sets due from the watches' turns and a trigger.
func (p *probe) plan() {
	p.due = p.triggered
	for _, w := range p.watches {
		if p.due.IsZero() || w.next.Before(p.due) {
			p.due = w.next
		}
	}
}

func (p *probe) remove(w *watch) {
	for i, other := range p.watches {
		if other == w {
			last := len(p.watches) - 1
			p.watches[i] = p.watches[last]
			p.watches[last] = nil
			p.watches = p.watches[:last]
			return
		}
	}
}

// queue is a heap of probes by the time they are due.
type queue []*probe

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop are for package heap only.
func (q *queue) Push(x any) {
	p := x.(*probe)
	p.index = len(*q)
	*q = append(*q, p)
}

func (q *queue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	p.index = -1
	return p
}

// put places the probe according to due, in the queue or back into it.
func (q *queue) put(p *probe) {
	if p.index >= 0 {
		heap.Fix(q, p.index)
	} else {
		heap.Push(q, p)
	}
}

func (q *queue) drop(p *probe) {
	if p.index >= 0 {
		heap.Remove(q, p.index)
	}
}
