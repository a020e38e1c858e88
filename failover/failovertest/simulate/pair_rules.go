package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// memberClock is a second account of what a node of a pair may know.
type memberClock struct {
	listens   time.Duration // it began to; unset: it has heard its partner since
	heard     time.Duration // the partner last, in truth; unset: never
	met       time.Duration // it follows the present run of the partner since; never: it does not
	said      pulse.State
	yields    bool // it said that it hands over
	stalls    int
	notBefore time.Duration // it stood still
	handing   time.Duration // this node was handing over last
}

// watch notes that the node hands over: two active nodes are no rivals then.
func (c *memberClock) watch(w *world, m *member) {
	if m.machine.Yielding() {
		c.handing = w.now
	}
}

// hear takes a packet that the guard believed.
func (c *memberClock) hear(w *world, i int, b *pulse.Beat, proof pulse.Proof, at time.Duration) {
	if proof.Fresh {
		c.heard, c.said, c.yields, c.listens, c.stalls = max(c.heard, at), b.State, b.Yielding, unset, 0
	}
	if b.Boot != w.pair[1-i].p.Boot || !w.hosts[1-i].up {
		c.met = never
		return
	}
	c.met = min(c.met, w.now)
}

// stalled: it is not sure of a silence for two intervals, as often as it bears
// it before it hears anything.
func (c *memberClock) stalled(m *member, now time.Duration) {
	if c.stalls++; c.stalls <= 8 {
		c.notBefore = max(c.notBefore, now+2*m.p.Interval)
	}
}

// heardWithin reports whether the partner was heard in the last d.
func (c *memberClock) heardWithin(d, now time.Duration) bool {
	return c.heard != unset && now-c.heard < d
}

// tookOver judges a node that is about to become active.
func (c *memberClock) tookOver(w *world, i int) {
	m, j := &w.pair[i], 1-i
	if c.listens != unset && w.now-c.listens < m.p.DeadAfter {
		w.breach("node %d took over after it had listened for %v", i, w.now-c.listens)
	}
	if c.heardWithin(m.p.DeadAfter, w.now) && c.said == pulse.StateActive && !c.yields {
		w.breach("node %d took over %v after its partner had said that it is active", i, w.now-c.heard)
	}
	if n := len(w.hosts[i].inbox); m.ticking && m.tells && n > 0 {
		w.breach("node %d took over beside %d packets that it had not read", i, n)
	}
	if m.ticking && w.hosts[i].blind {
		w.breach("node %d took over because time passed, and was blind", i)
	}
	if m.ticking && w.now < c.notBefore {
		w.breach("node %d took over at %v, and had to wait until %v as it stood still", i, w.now, c.notBefore)
	}
	o, other := &w.hosts[j], &w.pair[j]
	if !o.active || !o.able() || c.met == never || other.machine.Yielding() {
		return
	}
	by := max(other.clock.handing, o.activeSince, w.cleanOneWay(j, i), c.met, w.hosts[i].ableSince) + other.p.Interval + w.plan.delay + 3*w.plan.late
	if m.p.DeadAfter < 2*other.p.Interval && m.p.DeadAfter < other.p.Interval+w.plan.delay+3*w.plan.late {
		return
	}
	if w.now > by {
		w.breach("node %d took over although its partner is active and could be heard since %v", i, by)
	}
}

// patience is the longest time after which one of the two believes that the
// other one is dead.
func (w *world) patience() (d time.Duration) {
	every := w.interval()
	for i := range w.plan.pair {
		p := &w.plan.pair[i]
		d = max(d, p.DeadAfter)
		if p.DeadAfter < 2*every {
			d = max(d, 3*every)
		}
	}
	return d
}

// confirmation is how long after its time a silence is found at the latest.
func (w *world) confirmation() time.Duration {
	return max(w.pair[0].settle(), w.pair[1].settle()) + 3*w.plan.late
}

// handingOver is when one of the two handed over to the other one last.
func (w *world) handingOver() time.Duration {
	for i := range w.pair {
		if w.hosts[i].up && w.pair[i].machine.Yielding() {
			return w.now
		}
	}
	return max(w.pair[0].clock.handing, w.pair[1].clock.handing)
}

// pairUnityBound: the next beat, and three ways, as two that do not know each
// other's run have to prove themselves first. A run that is over may get the
// first echo, so that it takes another beat.
func (w *world) pairUnityBound() time.Duration {
	return 2*w.interval() + 3*w.plan.delay + 5*w.plan.late + 4
}

// checkOneWay: of two active nodes one gives way even if only one hears the
// other.
func (w *world) checkOneWay(from, to int) {
	a, b := &w.hosts[from], &w.hosts[to]
	met := w.pair[to].clock.met
	if met == never {
		return
	}
	since := max(w.handingOver(), w.cleanOneWay(from, to), a.activeSince, b.activeSince, met)
	bound := 2*w.patience() + 2*w.interval() + 2*w.plan.delay + w.confirmation() + 4*w.plan.late
	if w.now-since > bound {
		w.breach("nodes %d and %d were both active for %v although node %d hears the other one, longer than %v", from, to, w.now-since, to, bound)
	}
}

// pairServiceBound: a partner that was active and is believed until the dead
// time, or an order to hand over to it; two intervals of courtesy.
func (w *world) pairServiceBound() time.Duration {
	again := time.Duration(0)
	if w.plan.clearance > 0 {
		// It is heard once more meanwhile, and the next silence is another one; and
		// who did not reach its witness listens before it believes that silence.
		again = 3*w.plan.clearance + 2*w.patience() + w.interval() + 2*w.confirmation()
	}
	return again + w.plan.clearance + w.plan.delay + w.patience() + 2*w.interval() + 2*w.confirmation() + 4*w.plan.late
}

// pairHandOver is when the partner of node i has to serve after node i said that
// it stops, 0 if it need not.
func (w *world) pairHandOver(i int) time.Duration {
	j := 1 - i
	h, o := &w.hosts[i], &w.hosts[j]
	clean := false // a line has carried the last word
	for n := range w.plan.lines {
		clean = clean || w.links[i][j][n].dirty < w.now
	}
	since := max(h.activeSince, o.dirty, o.ableSince, w.rules.several, w.pair[j].clock.met)
	if !clean || !o.able() || w.now-since <= w.patience() {
		return 0
	}
	return w.now + w.plan.delay + 2*w.plan.late + 1
}

func (w *world) pairSettling() (settle, quiet time.Duration, most int) {
	p := &w.plan
	// It takes over, gives way to another one, and is relieved or relieves after
	// all; once more where a hand-over was under way or what each says is old
	// when it is heard.
	most = 4
	asking := time.Duration(0)
	if p.clearance > 0 {
		asking = 3*p.clearance + w.patience() + w.interval()
	}
	return asking + 3*w.patience() + 4*w.interval() + 6*p.delay + 2*w.confirmation() + 8*p.late, 2*w.patience() + 6*w.interval(), most
}

// checkAcquaintance: two that hear each other follow each other's present run.
func (w *world) checkAcquaintance() {
	for i := range 2 {
		if w.hosts[0].running() && w.hosts[1].running() && w.pair[i].guard.Peer() != w.pair[1-i].p.Boot {
			w.breach("node %d does not follow the present run of its partner", i)
		}
	}
}
