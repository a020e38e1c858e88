package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// group is a node whose routers are active together or not at all, as
// [failover.Group] has it. Each has a loop and a socket of its own, and all are
// under one lock, so that the group is settled in one step of any of them.
type group struct {
	members  [maxMembers]router
	machines [maxMembers]*vrrp.Machine
	n        int
	settling bool
	up       int // who made it active last, or -1
	whole    bool
	waived   bool // no preemption, by order
}

func (g *group) all() []*vrrp.Machine { return g.machines[:g.n] }

func (g *group) boot(w *world, i int) {
	*g = group{n: w.plan.lines, up: -1}
	for k := range g.n {
		p := w.plan.routers[i][k]
		m := &g.members[k]
		*m = router{p: p, machine: w.habits.router(p, w.now), planned: w.now, due: w.now, emptyAt: w.now, group: g, line: uint8(k)}
		m.ring.start(w, i)
		m.clock.listens = w.now
		g.machines[k] = m.machine.machine()
	}
	for k := range g.n {
		g.members[k].step(w, i, vrrp.Event{Kind: vrrp.EventStart})
	}
	w.noteContradiction()
}

// wakeAt plans when the first of the loops runs.
func (g *group) wakeAt(w *world, i int) {
	h := &w.hosts[i]
	if !h.running() {
		return
	}
	h.due = never
	for k := range g.n {
		h.due = min(h.due, g.members[k].due)
	}
}

func (g *group) wake(w *world, i int) {
	for n, first := 0, w.dice.below(g.n); n < g.n; n++ {
		m := &g.members[(first+n)%g.n]
		if m.due <= w.now && w.broken == "" && w.hosts[i].running() {
			m.wake(w, i)
		}
	}
	g.wakeAt(w, i)
}

// read empties the sockets of all members, in whatever order their readers get
// the processor.
func (g *group) read(w *world, i int) {
	for n, first := 0, w.dice.below(g.n); n < g.n && w.broken == ""; n++ {
		g.members[(first+n)%g.n].read(w, i)
	}
}

// settle brings the members together again after one of them took a step.
func (g *group) settle(w *world, i int) {
	if g.settling {
		return
	}
	g.settling = true
	for n := 0; w.broken == "" && (g.hold(w, i) || g.move(w, i)); n++ {
		if n > 100 {
			w.breach("group %d does not come to rest", i)
		}
	}
	g.settling = false
	g.judge(w, i)
}

// hold lets all members be in fault while one is.
func (g *group) hold(w *world, i int) (changed bool) {
	for k := range g.n {
		m := &g.members[k]
		held := false
		for j := range g.n {
			held = held || j != k && g.members[j].fault
		}
		if held != m.held {
			changed, m.held = true, held
			g.judgeFault(w, i, m)
		}
	}
	return changed
}

func (g *group) judgeFault(w *world, i int, m *router) {
	on := m.fault || m.held
	if s, _, _ := m.machine.machine().State(); s == vrrp.StateFault && !on {
		m.clock.listens = w.now
	}
	m.step(w, i, vrrp.Event{Kind: vrrp.EventFault, On: on})
}

// move lets the others follow one member that is ready, or that has ceased to
// be active.
func (g *group) move(w *world, i int) (changed bool) {
	v, by := w.habits.agree(g.all())
	if v == vrrp.VerdictStay {
		return false
	}
	if v == vrrp.VerdictUp && !w.habits.readsOne {
		for k := range g.n {
			g.members[k].read(w, i)
		}
		again := v
		if again, by = w.habits.agree(g.all()); again != v || w.broken != "" {
			return false
		}
	}
	every := g.members[by].p.Interval
	e, wrong := w.habits.follow(g.all(), v, by, g.up, min(w.dice.upTo(every), every-1))
	if v == vrrp.VerdictUp {
		g.up = by
	}
	for k := range g.n {
		e.On = k == wrong
		g.members[k].step(w, i, e)
	}
	return true
}

// judge looks at the group after a step.
func (g *group) judge(w *world, i int) {
	active := 0
	for _, m := range g.all() {
		if s, _, _ := m.State(); s == vrrp.StateActive {
			active++
		}
	}
	if active != 0 && active != g.n {
		w.breach("group %d is active with %d of its %d members", i, active, g.n)
	}
	if whole := active == g.n; whole != g.whole && w.broken == "" {
		if g.whole = whole; whole {
			g.tookOver(w, i)
		}
		w.setActive(i, whole)
	}
}

// each does the same to all members before the group is settled.
func (g *group) each(w *world, i int, do func(m *router)) {
	g.settling = true
	for k := range g.n {
		do(&g.members[k])
	}
	g.settling = false
	g.settle(w, i)
}

// mend ends the faults of all members; the next order lets them know.
func (g *group) mend() {
	for k := range g.n {
		g.members[k].fault = false
	}
}

// order gives the group an order; faults and some priorities are those of one
// member.
func (g *group) order(w *world, i int, a *act) {
	h := &w.hosts[i]
	was, sent := h.active, time.Duration(0)
	for k := range g.n {
		sent = max(sent, g.members[k].sentAt)
	}
	all := func(e vrrp.Event) { g.each(w, i, func(m *router) { m.step(w, i, e) }) }
	switch a.kind {
	case actRestart:
		// Each loop finds out by itself.
		for n, first := 0, w.dice.below(g.n); n < g.n; n++ {
			g.members[(first+n)%g.n].step(w, i, vrrp.Event{Kind: vrrp.EventStop})
		}
	case actFault, actMend:
		w.checkNone()
		if h.running() && a.line < uint8(g.n) {
			g.members[a.line].fault = a.kind == actFault
		}
		h.fault = false
		for k := range g.n {
			h.fault = h.fault || g.members[k].fault
		}
		h.ableSince = w.now
		g.each(w, i, func(m *router) { g.judgeFault(w, i, m) })
	case actYield:
		if was {
			g.waived = true
			all(vrrp.Event{Kind: vrrp.EventYield})
		}
	case actReclaim:
		g.waived = false
		all(vrrp.Event{Kind: vrrp.EventReclaim})
	case actPriority:
		w.soilHost(i)
		e := vrrp.Event{Kind: vrrp.EventPriority, Priority: a.priority}
		if a.count != 0 {
			g.members[a.line].step(w, i, e)
		} else {
			all(e)
		}
		w.noteContradiction()
	}
	if was && !h.active && w.rules.none {
		w.rules.planned, w.rules.after = w.groupHandOver(i, sent), "handed over"
		if w.rules.planned != 0 && a.kind != actFault {
			w.moves(i)
		}
	}
}
