package simulate

import (
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
	clock   routerClock
}

func (r *router) boot(w *world, i int) {
	p := w.plan.routers[i]
	*r = router{p: p, machine: w.habits.router(p, w.now), planned: w.now, emptyAt: w.now, sentAt: r.sentAt}
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
	w.wakeAt(i, r.planned)
}

func (r *router) read(w *world, i int) {
	h := &w.hosts[i]
	for k := range h.inbox {
		p := &h.inbox[k]
		at := stamped(p, h.day, r.emptyAt, w.now)
		r.clock.heard(w, i, p, at == p.at)
		if w.habits.stampsLate {
			at = w.now
		}
		r.step(w, i, vrrp.Event{
			Kind: vrrp.EventHeard, Source: w.plan.routers[p.from].Address, Priority: p.priority, Interval: w.plan.routers[p.from].Interval, At: at,
		})
		if w.broken != "" {
			return
		}
	}
	h.inbox = h.inbox[:0]
	r.emptyAt = w.now
}

func (r *router) step(w *world, i int, e vrrp.Event) {
	was := r.machine.Next()
	for _, a := range r.machine.Step(e, w.now) {
		switch a.Kind {
		case vrrp.ActionState:
			s := r.machine.State()
			if w.tracing {
				if m, ok := r.machine.(*soundRouter); ok {
					_, why, _ := m.m.State()
					w.note("router %d: %v, %v", i, s, why)
				} else {
					w.note("router %d: %v", i, s)
				}
			}
			if active := s == vrrp.StateActive; active != w.hosts[i].active {
				if active {
					r.clock.tookOver(w, i)
				}
				w.setActive(i, active)
			}
		case vrrp.ActionSend:
			r.sentAt = w.now
			w.send(i, a.Priority, 0)
		case vrrp.ActionAnnounce:
			w.announce(i)
		}
	}
	if r.machine.Next() < was && !r.ticking {
		w.wakeAt(i, w.now)
	}
}

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
		w.rules.planned = w.handOver(i, sent)
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
		if w.plan.protocol == VRRP {
			d = max(d, w.plan.routers[i].Interval)
		} else {
			d = max(d, w.plan.pair[i].Interval)
		}
	}
	return d
}

// downBound is the longest down interval that router i can have, whatever its
// priority; two intervals where it stood still.
func (w *world) downBound(i int) time.Duration {
	every, unit := w.interval(), time.Second
	if w.plan.routers[i].Version != 2 {
		unit = every
	}
	return time.Duration(max(w.plan.routers[i].DownAdverts, 2))*every + unit
}
