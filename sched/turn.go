package sched

import (
	"math"
	"runtime"
	"sync/atomic"
)

// turns is the part that rr and wrr share: a walk that goes on where the last
// one ended, by any number of pickers at once and without a lock. A picker
// works out its pick from the mark it found and keeps it only if the mark has
// not moved meanwhile, so the picks have an order in which each follows from
// the one before.
type turns struct{ now atomic.Pointer[turn] }

// turn is the list of servers together with the mark. All but the mark is
// fixed.
type turn struct {
	view *view
	mark atomic.Uint64
	// The rest is for wrr. The weights are a copy: those in the cells
	// change before step and top do.
	weights   []int32
	step, top int32
}

// frozen is the mark of a turn that is being replaced.
const frozen = math.MaxUint64

// freeze takes the mark out of a turn, so that no pick can move it while its
// successor is made.
func (t *turns) freeze() uint64 { return t.now.Load().mark.Swap(frozen) }

// start replaces the turn.
func (t *turns) start(next *turn, mark uint64) {
	next.mark.Store(mark)
	t.now.Store(next)
}

// read returns the turn and its mark.
func (t *turns) read() (*turn, uint64) {
	for {
		n := t.now.Load()
		if mark := n.mark.Load(); mark != frozen {
			return n, mark
		}
		runtime.Gosched()
	}
}
