package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// tookOver judges a group that has just become active.
func (g *group) tookOver(w *world, i int) {
	h := &w.hosts[i]
	for k := range g.n {
		m := &g.members[k]
		if w.now < m.clock.listens+m.p.Interval && m.p.Priority != vrrp.PriorityOwner {
			w.breach("group %d took over %v after its member %d had begun to listen", i, w.now-m.clock.listens, k)
		}
	}
	if len(h.inbox) > 0 {
		// Also those of members that were ready.
		w.breach("group %d took over beside %d adverts that it had not read", i, len(h.inbox))
	}
	for j := range w.plan.nodes {
		if j != i && w.alike() {
			g.checkNeed(w, i, j)
		}
	}
	g.waived = false
}

// alike reports whether all routers of a link, and all links, have one interval.
func (w *world) alike() bool {
	every := w.plan.routers[0][0].Interval
	for i := range w.plan.nodes {
		for k := range w.plan.lines {
			if w.plan.routers[i][k].Interval != every {
				return false
			}
		}
	}
	return true
}

// checkNeed: a group that takes over relieves nobody that one of its members has
// to leave alone, and could hear.
func (g *group) checkNeed(w *world, i, j int) {
	o := &w.hosts[j]
	if !o.active || !o.able() {
		return
	}
	stopped := time.Duration(0)
	if _, why, _ := g.machines[g.up].State(); why == vrrp.ReasonActiveStops {
		stopped = g.members[g.up].clock.stops // what was heard before it counts no more
	}
	for k := range g.n {
		m, other, l := &g.members[k], &w.groups[j].members[k], &w.links[j][i][k]
		by := max(stopped, m.clock.listens, o.activeSince, l.dirty, o.dirty, w.hosts[i].dirty) + other.p.Interval + w.plan.delay + 2*w.plan.late
		// The member that is ready has missed half an interval more than this one.
		slack := l.high - l.low + 3*w.plan.late
		alone := m.p.Priority != vrrp.PriorityOwner && (m.p.NoPreempt || g.waived)
		if m.p.DownAdverts >= 3 && 2*slack < other.p.Interval && w.now > by && (alone || other.machine.Priority() >= m.machine.Priority()) {
			w.breach("group %d took over although group %d is active, is to be left alone on link %d and could be heard there since %v", i, j, k, by)
		}
	}
}

// ordered reports whether the priorities of two groups say the same on all
// links, and which is better: of the same priorities the addresses decide.
func (w *world) ordered(i, j int) (first int, ok bool) {
	for k := range w.plan.lines {
		a, b := w.groups[i].machines[k].Priority(), w.groups[j].machines[k].Priority()
		winner := i
		if b > a || b == a && w.plan.routers[i][k].Address.Less(w.plan.routers[j][k].Address) {
			winner = j
		}
		if k > 0 && winner != first {
			return 0, false
		}
		first = winner
	}
	return first, true
}

// contradict reports whether any two groups have priorities that contradict each
// other.
func (w *world) contradict() bool {
	for i := range w.plan.nodes {
		for j := range i {
			if w.groups[i].n == 0 || w.groups[j].n == 0 {
				continue // not started yet
			}
			if _, ok := w.ordered(i, j); !ok {
				return true
			}
		}
	}
	return false
}

// noteContradiction remembers that they do: members that waited then, or were
// wrong, may be slow from then on.
func (w *world) noteContradiction() {
	w.rules.contradicted = w.rules.contradicted || w.contradict()
}

// groupUnityBound: the winner's next advert on any link, and the way.
func (w *world) groupUnityBound(i, j int) (bound time.Duration) {
	for k := range w.plan.lines {
		bound = max(bound, w.plan.routers[i][k].Interval, w.plan.routers[j][k].Interval)
	}
	return bound + w.plan.delay + 3*w.plan.late + 2
}

// groupServiceBound: the last advert on its way, the down interval, and the
// patience of a group that gave way.
func (w *world) groupServiceBound(i int) time.Duration {
	return w.plan.delay + w.downBound(i) + w.interval() + 3*w.plan.late + 2
}

// groupHandOver is when another group has to serve after group i has said that
// it stops, 0 if none has to: the quickest member of any of them decides, if its
// priorities do not contradict each other.
func (w *world) groupHandOver(i int, sent time.Duration) time.Duration {
	h := &w.hosts[i]
	longest := w.slowest()
	by := time.Duration(0)
	for j := range w.plan.nodes {
		o := &w.hosts[j]
		dirty := time.Duration(0)
		for k := range w.plan.lines {
			dirty = max(dirty, w.links[i][j][k].dirty)
		}
		since := max(h.activeSince, w.rules.several, w.rules.doubled, dirty, o.dirty, o.ableSince, w.rules.noneBefore)
		if j == i || !o.able() || w.now-since <= longest+w.interval() || !w.plan.ordered && w.now-sent <= w.plan.delay {
			continue
		}
		quickest, slowest, waits := never, time.Duration(0), w.rules.contradicted
		for k := range w.plan.lines {
			m := &w.groups[j].members[k]
			skew := m.skew(w.interval())
			quickest, slowest = min(quickest, skew), max(slowest, skew)
			waits = waits || m.machine.machine().Ready()
		}
		if waits {
			quickest = slowest // one that waited, or was wrong, before does not decide alone
		}
		if at := w.now + w.plan.delay + quickest + 2*w.plan.late + 1; by == 0 || at < by {
			by = at
		}
	}
	return by
}

// groupDeath is when another group has to serve after group i died in peace, 0
// if none has to: the quickest member finds it.
func (w *world) groupDeath(i int) time.Duration {
	by := time.Duration(0)
	if w.rules.contradicted || w.plan.delay > w.plan.jitter {
		return 0
	}
	for j := range w.plan.nodes {
		if j == i || !w.hosts[j].able() {
			continue
		}
		for k := range w.plan.lines {
			m := &w.groups[j].members[k]
			if m.p.DownAdverts < 3 {
				continue
			}
			every := m.machine.Interval()
			if 2*(w.plan.delay+3*w.plan.late) > every {
				continue
			}
			at := w.now + w.plan.delay + time.Duration(m.p.DownAdverts)*every + m.skew(every) + 2*w.plan.late + 1
			if by == 0 || at < by {
				by = at
			}
		}
	}
	return by
}

func (w *world) groupSettling() (settle, quiet time.Duration, most int) {
	p := &w.plan
	down, every, wait := w.slowest(), w.interval(), time.Duration(0)
	for i := range p.nodes {
		for k := range p.lines {
			r := &p.routers[i][k]
			wait = max(wait, r.PreemptDelay)
			for j := range p.nodes {
				if time.Duration(r.DownAdverts-1)*p.routers[j][k].Interval < p.jitter+3*p.late {
					return 0, 0, 0
				}
			}
		}
	}
	most = 6
	settle = 3*down + wait + 3*every + 3*p.delay + 8*p.late + 2*p.takeOver + 3*p.effect + 2*p.window
	if w.contradict() {
		// Two that give way to each other at the same moment try again, each after
		// a time of its own, until one is alone.
		most += 2 * contests
		settle += contests * (down + every)
	}
	return settle, 12 * every, most
}

const contests = 12

// checkGroupPriority: no group that is better on all links, and preempts there,
// is left behind another one.
func (w *world) checkGroupPriority(serving int) {
	for i := range w.plan.nodes {
		better := i != serving && w.hosts[i].able()
		for k := range w.plan.lines {
			m, its := &w.groups[i].members[k], &w.groups[serving].members[k]
			free := (!m.p.NoPreempt || m.p.Priority == vrrp.PriorityOwner) && !m.machine.machine().Yielded()
			better = better && free && m.machine.Priority() > its.machine.Priority()
		}
		if better {
			w.breach("group %d serves, and group %d is better on all links", serving, i)
		}
	}
}
