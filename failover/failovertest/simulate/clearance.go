package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// clearance is what a node asks before it takes over on silence: a witness, which
// it may not reach, and a fence. It goes on as that of [failover.Node].
type clearance struct {
	waits  bool
	number int32 // of the silence
	cutOff bool  // the witness was not reached
	agrees bool  // it was, and the fence is next
	held   bool  // an answer came while the machine stood still
}

// follow begins and ends to ask, as the machine wants.
func (c *clearance) follow(w *world, i int, m *member) {
	if waits := m.machine.Waits(); waits != c.waits {
		*c = clearance{waits: waits, number: c.number + 1}
		if waits {
			c.ask(w, i, 0)
		}
	}
}

// ask brings the next answer after a while.
func (c *clearance) ask(w *world, i int, after time.Duration) {
	w.push(happening{kind: clearanceAnswers, at: w.now + after + w.dice.upTo(w.plan.clearance), to: uint8(i), what: c.number})
}

// answered takes in an answer.
func (c *clearance) answered(w *world, i int, number int32) {
	h, m := &w.hosts[i], &w.pair[i]
	switch {
	case !h.up, !w.habits.asksOn && (number != c.number || !c.waits):
	case h.stalledTo != 0:
		c.held = true
	case !c.agrees && h.alone:
		c.cutOff = true
		c.ask(w, i, m.p.Interval)
	case !c.agrees && c.cutOff:
		// What was silence may have been this node.
		c.agrees = true
		c.ask(w, i, m.p.DeadAfter)
	default:
		if w.plan.fences {
			w.fence(i)
		}
		if w.broken == "" {
			m.step(w, i, pulse.Event{Kind: pulse.EventCleared})
			m.poked(w, i)
		}
	}
}

// goOn brings the answer that came while the machine stood still.
func (c *clearance) goOn(w *world, i int) {
	if c.held {
		c.held = false
		c.ask(w, i, 1)
	}
}

// fence switches the partner of node i off, who had better be dead.
func (w *world) fence(i int) {
	j := 1 - i
	o := &w.hosts[j]
	w.note("node %d fences its partner", i)
	if !o.up {
		return
	}
	p := &w.pair[j].p
	by := max(w.cleanOneWay(j, i), o.ableSince, w.hosts[i].ableSince, w.pair[i].clock.met) + p.Interval + w.plan.delay + 3*w.plan.late + 2
	if slow := w.pair[i].p.DeadAfter < 2*p.Interval; o.able() && w.pair[i].clock.met != never && !slow && w.now > by {
		w.breach("node %d fences its partner, which it could hear since %v", i, by)
		return
	}
	w.die(j)
}

// setAlone is whether a machine reaches its witness from now on.
func (w *world) setAlone(i int, alone bool) {
	h := &w.hosts[i]
	if h.alone != alone {
		w.checkNone()
		h.alone, h.ableSince = alone, max(h.ableSince, w.now)
	}
}
