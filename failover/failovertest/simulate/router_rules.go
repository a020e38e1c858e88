package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

const unset = time.Duration(-1)

// routerClock is a second account of when a router may take over, and when it
// has to, from RFC 9568 section 6.4 and what doc.go of package vrrp promises
// beyond it. It knows what arrived when, and nothing of the machine.
type routerClock struct {
	listens    time.Duration // it started, or a fault ended
	base       time.Duration // the silence began
	every      time.Duration // the interval of whom it listens to
	stops      time.Duration // that one, or another, said that it stops; unset: not since
	from       uint8         // whom it heard last
	turned     time.Duration // it heard another one than before last
	exact      bool          // the machine has the same times
	blurred    time.Duration // it was told another time than the true one last
	lowerFirst time.Duration // one of lower priority was first heard
	lowerExact bool          // the machine thinks so, too
	waived     bool          // no preemption, by order
	notBefore  time.Duration // it stood still
}

// listen begins anew: after a start, a fault, or an order to hand over.
func (c *routerClock) listen(r *router, now time.Duration) {
	c.base, c.every, c.stops, c.exact, c.lowerFirst = now, r.p.Interval, unset, true, unset
}

// start is the same for a router that may know of nobody.
func (c *routerClock) start(r *router, now time.Duration) {
	c.listen(r, now)
	c.listens = now
	c.notBefore = max(c.notBefore, now+c.every+r.skew(c.every))
}

// stalled notes that the router stood still. One that listens to nobody begins
// anew when it does.
func (c *routerClock) stalled(r *router, now time.Duration) {
	if r.machine.State() != vrrp.StateBackup {
		return
	}
	c.notBefore = max(c.notBefore, now+c.every+r.skew(c.every))
}

// skew is RFC 3768 and RFC 9568, section 6.1.
func (r *router) skew(every time.Duration) time.Duration {
	unit := every
	if r.p.Version == 2 {
		unit = time.Second
	}
	return time.Duration(256-int64(r.machine.Priority())) * unit / 256
}

// due is when the router takes over if it hears nothing more. After a stop it
// may be later: that of one router is no news while another one goes on.
func (c *routerClock) due(r *router) time.Duration {
	silent := c.base + time.Duration(r.p.DownAdverts)*c.every
	if c.stops != unset {
		silent = min(silent, c.stops)
	}
	return silent + r.skew(c.every)
}

// preempts reports whether the router may relieve one of lower priority that
// it heard at this time.
func (c *routerClock) preempts(r *router, at time.Duration) bool {
	switch {
	case c.waived:
		return false
	case r.p.Priority == vrrp.PriorityOwner:
		return true
	}
	first := c.lowerFirst
	if first == unset {
		first = at
	}
	return !r.p.NoPreempt && at-first >= r.p.PreemptDelay
}

// heard takes an advert that is about to be given to the machine. exact says
// that the machine is told when it arrived.
func (c *routerClock) heard(w *world, i int, p *arrival, exact bool) {
	r, h := &w.routers[i], &w.hosts[i]
	state := r.machine.State()
	if state != vrrp.StateBackup && state != vrrp.StateActive {
		return
	}
	if state == vrrp.StateBackup && c.exact && c.stops == unset {
		if by := max(c.due(r), c.notBefore, h.dirty) + w.plan.late; p.at > by+1 {
			w.breach("router %d is a backup at %v, and should have taken over by %v", i, p.at, by)
		}
	}
	every := w.plan.routers[p.from][0].Interval
	if !exact {
		c.blurred = w.now
	}
	if p.from != c.from {
		c.from, c.turned = p.from, w.now
	}
	// By which of several it counts is its own affair, also where many packets
	// are lost and two are active for long.
	exact = exact && p.at >= c.blurred && (!w.plan.unlike || w.now-max(c.turned, w.rules.moved) > w.slowest())
	outranks := p.priority > r.machine.Priority() ||
		p.priority == r.machine.Priority() && (!h.active || p.from > uint8(i))
	switch {
	case p.priority == vrrp.PriorityStop:
		if !h.active && c.stops == unset {
			c.stops = max(c.base, p.at)
			c.exact = c.exact && exact
		}
	case outranks:
		c.base, c.every, c.stops, c.exact, c.lowerFirst = max(c.base, p.at), every, unset, exact, unset
	case h.active:
	default:
		if c.lowerFirst == unset {
			c.lowerFirst, c.lowerExact = p.at, exact
		}
		if exact = exact && c.lowerExact; !exact {
			c.exact = false // it may be patient for longer
		}
		if !c.preempts(r, p.at) {
			c.base, c.every, c.stops, c.exact = max(c.base, p.at), every, unset, exact
		}
	}
}

// tookOver judges a router that has just become active.
func (c *routerClock) tookOver(w *world, i int) {
	r, h := &w.routers[i], &w.hosts[i]
	if owner := r.p.Priority == vrrp.PriorityOwner; !r.ticking {
		if !owner || w.now != h.ableSince {
			w.breach("router %d became active, and not because time passed", i)
		}
		return
	}
	if w.now < c.listens+r.p.Interval {
		w.breach("router %d took over %v after it had begun to listen", i, w.now-c.listens)
	}
	if due := c.due(r); c.exact && w.now < max(due, c.notBefore) {
		w.breach("router %d took over at %v, and should have listened until %v", i, w.now, max(due, c.notBefore))
	}
	if len(h.inbox) > 0 {
		w.breach("router %d took over beside %d adverts that it had not read", i, len(h.inbox))
	}
	for j := range w.plan.nodes {
		if j != i {
			c.checkNeed(w, i, j)
		}
	}
	c.lowerFirst, c.waived, c.exact = unset, false, true
}

// checkNeed: whoever takes over relieves nobody that it has to leave alone, and
// whom it could hear.
func (c *routerClock) checkNeed(w *world, i, j int) {
	r, o, other := &w.routers[i], &w.hosts[j], &w.routers[j]
	l := &w.links[j][i][0]
	if !o.active || !o.able() {
		return
	}
	patient := !c.preempts(r, w.now)
	if other.machine.Priority() < r.machine.Priority() {
		delayed := !c.waived && !r.p.NoPreempt // left alone for a while, and for how long is known
		if !patient || delayed && (c.lowerFirst == unset || !c.lowerExact) {
			return
		}
	}
	// It was heard by then at the latest, and after that so often.
	slack := l.high - l.low + 2*w.plan.late
	by := max(c.listens, o.activeSince, l.dirty, o.dirty) + other.p.Interval + w.plan.delay + 2*w.plan.late
	shortest := other.p.Interval
	for k := range w.plan.nodes {
		shortest = min(shortest, w.plan.routers[k][0].Interval)
	}
	if time.Duration(r.p.DownAdverts)*shortest < other.p.Interval+slack {
		return // so few adverts may be missed that a slow one counts
	}
	if w.now > by && other.machine.Priority() >= r.machine.Priority() {
		w.breach("router %d took over although router %d is active, outranks it and could be heard since %v", i, j, by)
	} else if w.now > by {
		w.breach("router %d took over although router %d is active, is to be left alone and could be heard since %v", i, j, by)
	}
}

// routerUnityBound: the winner's next advert, and the way.
func (w *world) routerUnityBound(i, j int) time.Duration {
	winner := i
	a, b := w.routers[i].machine.Priority(), w.routers[j].machine.Priority()
	if b > a || b == a && j > i {
		winner = j
	}
	return w.plan.routers[winner][0].Interval + w.plan.delay + 3*w.plan.late + 2
}

// routerServiceBound: the last advert on its way, and the down interval.
func (w *world) routerServiceBound(i int) time.Duration {
	return w.plan.delay + w.downBound(i) + 3*w.plan.late + 2
}

// settling is how long machines need to come to rest, how long they have to
// stay so, and how often each may change its role until then. Three zeros: they
// need not come to rest.
func (w *world) settling() (settle, quiet time.Duration, most int) {
	switch w.plan.protocol {
	case Pulse:
		return w.pairSettling()
	case Groups:
		return w.groupSettling()
	}
	p := &w.plan
	down, every, wait := w.slowest(), w.interval(), time.Duration(0)
	for i := range p.nodes {
		r := &p.routers[i][0]
		wait = max(wait, r.PreemptDelay)
		for j := range p.nodes {
			if time.Duration(r.DownAdverts-1)*p.routers[j][0].Interval < p.jitter+3*p.late {
				return 0, 0, 0
			}
		}
	}
	// It takes over and gives way, and once more each where old news come from
	// a machine that stood still, and then what stays.
	most = 5
	if p.delay > every {
		most = 6 // and once more where a stop meets adverts that are older
	}
	// One that stops and holds its addresses before it starts anew,
	// a stall that ended, nobody there, one of lower priority that is left to
	// serve for a while and then relieved, and two that hear each other.
	return 3*down + wait + 3*every + 3*p.delay + 8*p.late + 2*p.takeOver + 3*p.effect + 2*p.window, 12 * every, most
}

// checkPriority: nobody that preempts is left behind one of lower priority.
func (w *world) checkPriority(serving int) {
	for i := range w.plan.nodes {
		r, h := &w.routers[i], &w.hosts[i]
		free := (!r.p.NoPreempt || r.p.Priority == vrrp.PriorityOwner) && !r.clock.waived
		if mine, its := r.machine.Priority(), w.routers[serving].machine.Priority(); h.able() && free && mine > its {
			w.breach("router %d serves with priority %d, and router %d has %d", serving, its, i, mine)
		}
	}
}

// learnt is how long after peace has come the neighbours know who serves.
func (w *world) learnt() time.Duration {
	if w.plan.protocol == Pulse {
		return w.plan.effect + w.plan.jitter + 1
	}
	return 3*max(w.interval(), time.Second) + w.plan.effect + w.plan.jitter + w.plan.delay + w.plan.late + 1
}
