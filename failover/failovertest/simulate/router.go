package simulate

import (
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// routerMachine is what a router is made of: [vrrp.Machine], or one with a
// fault.
type routerMachine interface {
	Step(e vrrp.Event, now time.Duration) []vrrp.Action
	Next() time.Duration
	State() vrrp.State
	Priority() uint8
	Interval() time.Duration
	// machine is what the group looks at.
	machine() *vrrp.Machine
}

type soundRouter struct {
	m   vrrp.Machine
	out []vrrp.Action // used again
}

func (r *soundRouter) Step(e vrrp.Event, now time.Duration) []vrrp.Action {
	r.m, r.out = r.m.StepInto(r.out[:0], e, now)
	return r.out
}
func (r *soundRouter) Next() time.Duration     { return r.m.Next() }
func (r *soundRouter) Priority() uint8         { return r.m.Priority() }
func (r *soundRouter) Interval() time.Duration { return r.m.Interval() }
func (r *soundRouter) machine() *vrrp.Machine  { return &r.m }
func (r *soundRouter) State() vrrp.State {
	s, _, _ := r.m.State()
	return s
}

// router is the loop of [failover.Router] around its machine: it reads before it
// decides, counts packets from when they arrived, and tells the machine when it
// stood still itself.
type router struct {
	machine routerMachine
	p       vrrp.Params
	planned time.Duration // when the loop wants to run
	emptyAt time.Duration // the socket had nothing to read last
	sentAt  time.Duration
	ticking bool
	active  bool
	ring    keyring
	clock   routerClock

	// Of a group:
	group *group // nil: none
	line  uint8  // its link
	fault bool   // its own
	held  bool   // by that of another member
	due   time.Duration
}

func (r *router) boot(w *world, i int) {
	p := w.plan.routers[i][0]
	*r = router{p: p, machine: w.habits.router(p, w.now), planned: w.now, emptyAt: w.now, sentAt: r.sentAt}
	r.ring.start(w, i)
	if r.clock.listen(r, w.now); p.Priority != vrrp.PriorityOwner {
		r.clock.start(r, w.now)
	} else {
		r.clock.listens = unset - r.p.Interval
	}
	r.step(w, i, vrrp.Event{Kind: vrrp.EventStart})
	w.wakeAt(i, w.now)
}

func (r *router) wake(w *world, i int) {
	pace := min(r.p.Interval, r.machine.Interval())
	if w.now-r.planned > pace {
		r.clock.stalled(r, w.now)
		r.step(w, i, vrrp.Event{Kind: vrrp.EventStall})
	}
	if r.machine.Next() <= w.now {
		if !w.habits.readsLate {
			r.read(w, i)
		}
		if w.broken == "" && r.machine.Next() <= w.now {
			r.ticking = true
			r.step(w, i, vrrp.Event{Kind: vrrp.EventTick})
			r.ticking = false
		}
	}
	r.planned = min(r.machine.Next(), w.now+pace)
	r.wakeAt(w, i, r.planned)
}

// wakeAt plans the next time that the loop runs.
func (r *router) wakeAt(w *world, i int, at time.Duration) {
	w.wakeAt(i, at)
	if r.group != nil {
		r.due = w.hosts[i].due
		r.group.wakeAt(w, i)
	}
}

func (r *router) read(w *world, i int) {
	h := &w.hosts[i]
	for k := 0; k < len(h.inbox); {
		p := &h.inbox[k]
		if r.group == nil {
			r.take(w, i, p)
			k++
		} else if p.line == r.line {
			// Others may read theirs meanwhile.
			one := *p
			h.inbox = slices.Delete(h.inbox, k, k+1)
			r.take(w, i, &one)
			k = 0
		} else {
			k++
		}
		if w.broken != "" {
			return
		}
	}
	if r.group == nil {
		h.inbox = h.inbox[:0]
	}
	r.emptyAt = w.now
}

func (r *router) send(w *world, i int, priority uint8) {
	r.sentAt = w.now
	what := int32(0)
	if w.plan.signed {
		what = r.seal(w, i, priority)
	}
	w.sendOn(i, r.line, priority, what)
	if w.plan.signed && w.plan.attacked {
		w.replayAdverts(w.dice.below(w.plan.nodes), r.p.Interval, 1+w.dice.below(2))
	}
}

func (r *router) take(w *world, i int, p *arrival) {
	if w.plan.signed && !r.open(w, i, p) {
		return
	}
	h := &w.hosts[i]
	at := stamped(p, h.day, r.emptyAt, w.now)
	if r.group == nil {
		r.clock.heard(w, i, p, at == p.at)
	} else if p.priority != vrrp.PriorityStop {
		r.clock.listens = unset - r.p.Interval // it has heard somebody
	} else {
		r.clock.stops = w.now
	}
	if w.habits.stampsLate {
		at = w.now
	}
	if !r.active && p.priority != vrrp.PriorityStop {
		w.letGo(i, int(r.line), w.plan.takeOver)
	}
	from := &w.plan.routers[p.from][r.line]
	r.step(w, i, vrrp.Event{Kind: vrrp.EventHeard, Source: from.Address, Priority: p.priority, Interval: from.Interval, At: at})
}

func (r *router) step(w *world, i int, e vrrp.Event) {
	was := r.machine.Next()
	for _, a := range r.machine.Step(e, w.now) {
		switch a.Kind {
		case vrrp.ActionState:
			r.judgeRole(w, i)
		case vrrp.ActionSend:
			r.send(w, i, a.Priority)
		case vrrp.ActionAnnounce:
			w.announce(i, int(r.line))
		}
	}
	if r.machine.Next() < was && !r.ticking {
		r.wakeAt(w, i, w.now)
	}
	if r.group != nil {
		r.group.settle(w, i)
	}
}

// judgeRole lets the addresses, and the world, know of the role.
func (r *router) judgeRole(w *world, i int) {
	h, m := &w.hosts[i], r.machine.machine()
	s, why, _ := m.State()
	if w.tracing {
		w.note("router %d, link %d: %v, %v", i, r.line, s, why)
	}
	was, active := r.active, s == vrrp.StateActive
	if r.active = active; was != active {
		if r.group == nil {
			if active {
				r.clock.tookOver(w, i)
			}
			w.setActive(i, active)
		}
		hold := time.Duration(0)
		if was {
			hold = m.Hold(w.plan.takeOver)
		}
		if why == vrrp.ReasonHigherHeard && w.others(i) && !w.plan.unlike && w.now-w.rules.disturbed > w.plan.delay+w.interval() {
			w.moves(i) // by preemption, or where two were active
		}
		w.request(i, int(r.line), active, hold)
	} else if s == vrrp.StateInit && h.leaving {
		// It gave way a moment ago.
		w.request(i, int(r.line), false, m.Hold(w.plan.takeOver))
	}
}

// What another router may need from its advert to its addresses: see package
// failover.
const (
	ordinaryTakeOver = 250 * time.Millisecond
	virtualTakeOver  = 20 * time.Millisecond
)

// order gives the router an order. One that hands over leaves the world with
// the time by which another one has to serve.
func (r *router) order(w *world, i int, a *act) {
	h := &w.hosts[i]
	was, sent := h.active, r.sentAt
	switch a.kind {
	case actRestart:
		r.step(w, i, vrrp.Event{Kind: vrrp.EventStop})
	case actFault:
		r.step(w, i, vrrp.Event{Kind: vrrp.EventFault, On: true})
	case actMend:
		r.clock.start(r, w.now)
		r.step(w, i, vrrp.Event{Kind: vrrp.EventFault})
	case actYield:
		if was {
			r.clock.listen(r, w.now)
			r.clock.waived = true
			r.step(w, i, vrrp.Event{Kind: vrrp.EventYield})
		}
	case actReclaim:
		if r.clock.waived {
			r.clock.waived, r.clock.lowerFirst = false, unset
		}
		r.step(w, i, vrrp.Event{Kind: vrrp.EventReclaim})
	case actPriority:
		w.soilHost(i)
		r.clock.exact = false // one that was to be relieved may be to be left alone now
		r.step(w, i, vrrp.Event{Kind: vrrp.EventPriority, Priority: a.priority})
	}
	if was && !h.active && w.rules.none {
		w.rules.planned, w.rules.after = w.handOver(i, sent), "handed over"
		if w.rules.planned != 0 && a.kind != actFault && !w.plan.unlike {
			w.moves(i)
		}
	}
}

// handOver is when another router has to serve after router i has said that it
// stops, 0 if none has to: it sent before at the time given.
func (w *world) handOver(i int, sent time.Duration) time.Duration {
	h := &w.hosts[i]
	longest := w.slowest()
	by := time.Duration(0)
	for j := range w.plan.nodes {
		o, l := &w.hosts[j], &w.links[i][j][0]
		since := max(h.activeSince, w.rules.several, w.rules.doubled, l.dirty, o.dirty, o.ableSince)
		switch {
		case j == i, !o.able(), w.now-since <= longest: // it may not have heard router i
			continue
		case !w.plan.ordered && w.now-sent <= w.plan.delay: // the last word may come before the one before
			continue
		}
		at := w.now + w.plan.delay + w.routers[j].skew(w.interval()) + 2*w.plan.late + 1
		if by == 0 || at < by {
			by = at
		}
	}
	return by
}

// slowest is the longest down interval of all.
func (w *world) slowest() (d time.Duration) {
	for i := range w.plan.nodes {
		d = max(d, w.downBound(i))
	}
	return d
}

// interval is the longest of all intervals.
func (w *world) interval() (d time.Duration) {
	for i := range w.plan.nodes {
		if w.plan.protocol == Pulse {
			d = max(d, w.plan.pair[i].Interval)
			continue
		}
		for k := range w.members() {
			d = max(d, w.plan.routers[i][k].Interval)
		}
	}
	return d
}

// downBound is the longest down interval that router i can have, whatever its
// priority; two intervals where it stood still.
func (w *world) downBound(i int) (d time.Duration) {
	for k := range w.members() {
		p := &w.plan.routers[i][k]
		every, unit := time.Duration(0), time.Second
		for j := range w.plan.nodes {
			every = max(every, w.plan.routers[j][k].Interval)
		}
		if p.Version != 2 {
			unit = every
		}
		d = max(d, time.Duration(max(p.DownAdverts, 2))*every+unit)
	}
	return d
}
