package health

import (
	"container/heap"
	"context"
	"time"
)

// Times inside a monitor are durations since it was made: they are a third of
// a time.Time, compare fast, and do not mind the wall clock. A time that is
// not set is never.
const never time.Duration = -1

// graceParts: a turn may be late by this part of an interval and is still
// taken, so that a check that needs exactly its interval keeps every turn.
const graceParts = 10

// nextTurn is the first turn after the turn taken that is not over at now.
// Turns are at phase + k x interval, so slow checks do not drift. Fast turns
// follow the turn taken, and one that is late is taken at once. skipped
// counts the turns that are lost.
func nextTurn(phase, taken, now, interval time.Duration, fast bool) (next time.Duration, skipped uint64) {
	late := now - interval/graceParts
	if fast {
		next = taken + interval
		if next < late {
			skipped = uint64((late - next + interval - 1) / interval)
			next = now
		}
		return next, skipped
	}
	next = onGrid(phase, taken, interval)
	if next < late {
		n := (late - next + interval - 1) / interval
		skipped = uint64(n)
		next += n * interval
	}
	return next, skipped
}

// onGrid is the first phase + k x interval after t, k of either sign.
func onGrid(phase, t, interval time.Duration) time.Duration {
	since := t - phase
	k := since / interval
	if since >= 0 || since%interval == 0 {
		k++
	}
	return phase + k*interval
}

// jitter moves a turn by at most share of its interval either way. Whoever
// asks the same question at the same turn gets the same answer, so that one
// check still does for all.
func jitter(seed uint64, turn, interval time.Duration, share float64) time.Duration {
	if share == 0 {
		return 0
	}
	// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
	z := seed + uint64(turn)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	unit := float64(z>>11)/(1<<52) - 1 // -1 to 1
	return time.Duration(unit * share * float64(interval))
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
	name    string // the target's, for messages
	checker Checker
	watches []*watch
	phase   time.Duration // never: not armed yet

	// due is when to ask next; index is the place in the queue, -1 outside.
	due   time.Duration
	index int
	// triggered is when somebody wanted it asked out of turn.
	triggered time.Duration
	// putOff: a stall of ours has cost it a turn since it was last asked.
	putOff bool
	// stand is the session that may be kept; nil if the checker has none.
	stand *standing

	// While a check runs:
	running bool
	dropped bool // all who asked are gone: the result is for nobody
	forAll  bool // triggered: the result is for every watch
	cancel  context.CancelFunc
	began   time.Duration
	stalled time.Duration // the monitor's stall clock when the check began
}

func (p *probe) target() Target { return Target{Addr: p.key.addr, Name: p.name} }

// plan sets due from the watches' turns and a trigger.
func (p *probe) plan() {
	p.due = p.triggered
	for _, w := range p.watches {
		if p.due == never || w.next < p.due {
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
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
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
