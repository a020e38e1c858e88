package simulate

import (
	"fmt"
	"math"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	never = time.Duration(math.MaxInt64)
	// inboxLimit bounds the packets that nobody has read, as a kernel does.
	inboxLimit = 256
)

// arrival is a packet in a socket, with by how much the clock of the day was
// wrong that stamped it.
type arrival struct {
	happening
	day time.Duration
}

// stamped is when a packet came by the kernel's stamp, which is of the clock of
// the day: that was set meanwhile if it would be before the socket was empty or
// has not come yet.
func stamped(p *arrival, day, emptyAt, now time.Duration) time.Duration {
	if at := p.at + p.day - day; at >= emptyAt && at <= now {
		return at
	}
	return now
}

// host is a machine: what holds for it whatever it speaks.
type host struct {
	up      bool
	fault   bool
	leaving bool
	blind   bool          // it can hear nothing, and knows it
	alone   bool          // it does not reach its witness
	due     time.Duration // when its loop wakes; never: it stands still or is down

	stalledFrom time.Duration
	stalledTo   time.Duration // 0: it runs
	stall       actKind
	inbox       []arrival
	held        []happening   // packets that a stall keeps from the socket
	reading     bool          // a readerWakes is on its way
	day         time.Duration // by how much its clock of the day is wrong
	setAt       time.Duration // that clock was set last
	setBack     bool          // it was set back once: what it signed before may come later
	fooled      time.Duration // it believed last what an attacker replayed
	step        int           // of the change of keys

	addrs   [maxMembers]addresses
	life    int32         // which of its runs it is
	exiting bool          // this one ends at once
	starts  time.Duration // the next one begins so much after this one

	// What the rules look at.
	active      bool
	activeSince time.Duration
	ableSince   time.Duration // it runs without a fault since
	dirty       time.Duration // something but the network disturbed it last
	changedAt   time.Duration // its role
	changes     int           // of its role, in this peace
}

func (h *host) able() bool    { return h.up && !h.fault && !h.blind && !h.leaving && h.stalledTo == 0 }
func (h *host) running() bool { return h.up && h.stalledTo == 0 }

// link is one direction of one line.
type link struct {
	cut       bool
	burst     uint8         // so many packets are lost next
	flapEvery time.Duration // the line is cut every other such time
	flapUntil time.Duration
	low, high time.Duration
	last      time.Duration // when the last packet arrives, in an ordered network
	dirty     time.Duration // a packet was lost last, or its delay changed
}

// world is a network with machines, in a time of its own. All of it comes from
// one seed. It is used again from schedule to schedule.
type world struct {
	plan   plan
	habits habits
	dice   chance
	now    time.Duration
	seq    uint32
	queue  queue
	hosts  [maxNodes]host
	links  [maxNodes][maxNodes][maxLines]link
	loss   uint16
	double uint16

	routers [maxNodes]router
	groups  [maxNodes]group
	pair    [2]member
	beats   []pulse.Beat // all that were sent: packets refer to them
	taken   []bool       // whether the receiver has read it
	senders []uint8
	sealed  []sealed // all signed adverts that were sent, from number 1
	wire    []byte   // what they are
	advert  vrrp.Advert
	rotated time.Duration // a key was changed last

	rules   rules
	broken  string
	tracing bool
	trace   []string
	steps   int
}

// speaker is the part of a machine that knows the protocol. The world calls it,
// and it calls send and setActive.
type speaker interface {
	boot(w *world, i int)
	// wake lets the loop run; it says when it wants to again.
	wake(w *world, i int)
	// read takes all packets out of the inbox.
	read(w *world, i int)
	order(w *world, i int, a *act)
}

func (w *world) speaker(i int) speaker {
	switch w.plan.protocol {
	case VRRP:
		return &w.routers[i]
	case Groups:
		return &w.groups[i]
	}
	return &w.pair[i]
}

// members is how many addresses each machine has, which move by themselves: one
// for each router of a group.
func (w *world) members() int {
	if w.plan.protocol == Groups {
		return w.plan.lines
	}
	return 1
}

func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%12v ", w.now)+fmt.Sprintf(format, args...))
	}
}

// breach ends the schedule.
func (w *world) breach(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
		w.note("BROKEN: %s", w.broken)
	}
}

// play plays the plan with these acts.
func (w *world) play(acts []act) {
	p := &w.plan
	w.dice = chance(p.seed ^ 0xa5a5a5a5)
	w.now, w.seq, w.queue, w.beats, w.taken, w.senders, w.trace = 0, 0, w.queue[:0], w.beats[:0], w.taken[:0], w.senders[:0], w.trace[:0]
	w.loss, w.double, w.broken, w.steps, w.rotated = 0, 0, "", 0, 0
	w.sealed, w.wire = append(w.sealed[:0], sealed{}), w.wire[:0]
	w.rules = rules{none: true, believed: [maxMembers]int8{-1, -1, -1, -1}}
	for i := range w.pair {
		w.pair[i].clears = clearance{}
	}
	for i := range p.nodes {
		h := &w.hosts[i]
		*h = host{inbox: h.inbox[:0], held: h.held[:0], due: never}
		w.groups[i].n = 0
		for j := range p.nodes {
			for l := range p.lines {
				w.links[i][j][l] = link{low: p.calm[i][j], high: p.calm[i][j] + p.jitter}
			}
		}
	}
	for i := range p.nodes {
		w.boot(i)
	}
	for k := range acts {
		w.run(w.now + acts[k].pause)
		if w.broken != "" {
			return
		}
		if acts[k].kind == actPeace {
			w.peace(k == len(acts)-1)
		} else {
			w.act(&acts[k])
		}
	}
	w.checkAll()
}

// run lets time pass until then.
func (w *world) run(until time.Duration) {
	hosts := w.hosts[:w.plan.nodes]
	for w.broken == "" {
		at, who := until, -1
		for i := range hosts {
			if d := hosts[i].due; d < at {
				at, who = d, i
			}
		}
		if len(w.queue) > 0 && w.queue[0].at <= at {
			h := w.queue.pop()
			w.now = max(w.now, h.at)
			w.steps++
			w.happen(&h)
			continue
		}
		w.now = max(w.now, at)
		if who < 0 {
			return
		}
		w.steps++
		w.speaker(who).wake(w, who)
	}
}

func (w *world) push(h happening) {
	w.seq++
	h.seq = w.seq
	w.queue.push(h)
}

func (w *world) happen(h *happening) {
	i := int(h.to)
	m := &w.hosts[i]
	switch h.kind {
	case packetArrives, replayComes:
		w.arrive(h)
	case readerWakes:
		m.reading = false
		if m.running() {
			w.speaker(i).read(w, i)
		}
	case stallEnds:
		if m.up && m.stalledTo == h.at {
			w.awake(i)
		}
	case machineStops:
		if m.up && m.life == h.what {
			w.leave(i)
			w.push(happening{kind: machineStarts, at: w.now + w.plan.delay + 1 + m.starts, to: h.to})
		}
	case clearanceAnswers:
		w.pair[i].clears.answered(w, i, h.what)
	case machineStarts:
		if !m.up {
			w.boot(i)
		}
	case effectEnds:
		switch a := &m.addrs[h.line]; {
		case !m.up, h.what != a.order:
		case m.stalledTo != 0:
			a.waiting = true
		default:
			w.done(i, int(h.line))
		}
	case holdEnds:
		w.follow(i, int(h.line))
	case servesOrNot:
		if m.running() {
			a := &m.addrs[0]
			w.pair[i].settled(w, i, a.holds && a.doing != releasing)
		}
	case announces:
		w.teach(h)
	case othersLearn:
		w.learn(i, int(h.line))
	}
}

// send puts a packet on all lines to all others.
func (w *world) send(from int, priority uint8, what int32) {
	for to := range w.plan.nodes {
		if to == from {
			continue
		}
		for line := range w.plan.lines {
			w.carry(happening{kind: packetArrives, from: uint8(from), to: uint8(to), line: uint8(line), priority: priority, what: what})
		}
	}
}

// sendOn puts an advert on one line to all others.
func (w *world) sendOn(from int, line, priority uint8, what int32) {
	for to := range w.plan.nodes {
		if to != from {
			w.carry(happening{kind: packetArrives, from: uint8(from), to: uint8(to), line: line, priority: priority, what: what})
		}
	}
}

func (w *world) carry(p happening) {
	l := &w.links[p.from][p.to][p.line]
	if l.cut || l.burst > 0 || w.loss > 0 && w.dice.next()&0xffff < uint64(w.loss) ||
		w.now < l.flapUntil && (w.now/l.flapEvery)&1 == 1 {
		if l.burst > 0 {
			l.burst--
		}
		w.lost(&p)
		return
	}
	p.at = w.now + 1 + w.dice.between(l.low, l.high)
	if w.plan.ordered {
		p.at = max(p.at, l.last)
		l.last = p.at
	}
	w.push(p)
	if w.double > 0 && w.dice.next()&0xffff < uint64(w.double) {
		w.rules.doubled = w.now
		p.at = max(p.at, w.now+1+w.dice.upTo(w.plan.delay))
		w.push(p)
	}
}

// lost notes that a line is not what the rules rely on.
func (w *world) lost(p *happening) {
	w.soilLink(int(p.from), int(p.to), int(p.line), w.now)
	// The last word of a router that gave way, perhaps.
	if w.plan.protocol != Pulse && !w.hosts[p.from].active {
		w.rules.excused[p.line] = true
	}
}

// arrive brings a packet to the socket.
func (w *world) arrive(p *happening) {
	i := int(p.to)
	m := &w.hosts[i]
	switch {
	case !m.up:
		return
	case m.blind, m.stalledTo != 0 && m.stall == actStallDeaf, len(m.inbox) >= inboxLimit:
		w.lost(p)
		return
	case m.stalledTo != 0 && m.stall == actStallLate && len(m.held) < inboxLimit:
		m.held = append(m.held, *p)
		return
	}
	// The day's clock stamps it; what is wrong of it now goes along.
	m.inbox = append(m.inbox, arrival{*p, m.day})
	switch {
	case m.stalledTo != 0 || m.reading:
	case w.plan.late > 0 && w.dice.one(8):
		m.reading = true
		w.push(happening{kind: readerWakes, at: w.now + w.dice.upTo(w.plan.late), to: p.to})
	default:
		w.speaker(i).read(w, i)
	}
}

// wakeAt plans the next time that a loop runs; it is never early.
func (w *world) wakeAt(i int, at time.Duration) {
	if w.hosts[i].stalledTo != 0 || !w.hosts[i].up {
		w.hosts[i].due = never
		return
	}
	w.hosts[i].due = max(at, w.now)
	if w.plan.late > 0 && at != never {
		w.hosts[i].due += w.dice.upTo(w.plan.late)
	}
}

func (w *world) boot(i int) {
	h := &w.hosts[i]
	*h = host{
		up: true, due: w.now, inbox: h.inbox[:0], held: h.held[:0], addrs: h.addrs, life: h.life + 1,
		ableSince: w.now, dirty: w.now, day: h.day, setAt: h.setAt, setBack: h.setBack, step: h.step, alone: h.alone, changes: h.changes,
	}
	for k := range h.addrs {
		a := &h.addrs[k]
		*a = addresses{order: a.order + 1, row: a.row + 1, since: w.now}
	}
	w.rules.excuseAll() // what the run before has told the neighbours
	w.note("machine %d starts", i)
	w.speaker(i).boot(w, i)
}

// die ends a machine: its addresses are gone with it.
func (w *world) die(i int) {
	w.checkPairs(i)
	w.checkNone()
	h := &w.hosts[i]
	w.note("machine %d dies", i)
	found := time.Duration(0)
	if w.plan.protocol == Groups && w.rules.quiet && h.active {
		found = w.groupDeath(i)
	}
	w.disturb()
	if h.active {
		w.setActive(i, false)
	}
	w.leave(i)
	w.rules.planned, w.rules.after = found, "died"
}

// leave takes a machine out, and its addresses with it.
func (w *world) leave(i int) {
	h := &w.hosts[i]
	for k := range w.members() {
		w.setHolds(i, k, false)
		h.addrs[k].wants = false
	}
	h.up, h.due, h.stalledTo, h.dirty = false, never, 0, w.now
	h.inbox, h.held = h.inbox[:0], h.held[:0]
	w.rules.excuseAll() // nobody may have told the neighbours of it
}

// freeze lets a machine stand still.
func (w *world) freeze(i int, kind actKind, span time.Duration) {
	w.soilHost(i)
	w.checkNone()
	h := &w.hosts[i]
	h.stalledFrom, h.stalledTo, h.stall, h.due = w.now, w.now+max(span, 1), kind, never
	w.note("machine %d stands still until %v (%s)", i, h.stalledTo, actNames[kind])
	w.push(happening{kind: stallEnds, at: h.stalledTo, to: uint8(i)})
	h.dirty = h.stalledTo // what is measured begins after it
}

func (w *world) awake(i int) {
	h := &w.hosts[i]
	h.stalledTo, h.ableSince, h.dirty = 0, w.now, w.now
	w.disturb()
	w.note("machine %d goes on", i)
	for _, p := range h.held {
		p.at = w.now + 1 + w.dice.upTo(w.plan.jitter)
		w.soilLink(int(p.from), i, int(p.line), p.at)
		w.push(p)
	}
	h.held = h.held[:0]
	for k := range w.members() {
		w.tell(i)
		if a := &h.addrs[k]; a.waiting {
			a.waiting = false
			w.push(happening{kind: effectEnds, at: w.now + 1, to: uint8(i), line: uint8(k), what: a.order})
		} else if !a.wants || !a.holds {
			w.follow(i, k)
		}
	}
	if w.plan.protocol == Pulse {
		w.pair[i].clears.goOn(w, i)
	}
	// Either the reader or the loop gets the processor first.
	if w.dice.one(2) {
		w.speaker(i).read(w, i)
	} else {
		h.reading = true
		w.push(happening{kind: readerWakes, at: w.now + w.dice.upTo(w.plan.late), to: uint8(i)})
	}
	if w.broken == "" {
		w.speaker(i).wake(w, i)
	}
}

// others reports whether another machine than i is active.
func (w *world) others(i int) bool {
	for j := range w.plan.nodes {
		if j != i && w.hosts[j].active {
			return true
		}
	}
	return false
}

// setActive is the role of a machine from now on.
func (w *world) setActive(i int, active bool) {
	h := &w.hosts[i]
	if h.active == active {
		return
	}
	w.checkPairs(i)
	w.checkNone()
	others := w.others(i)
	if others {
		w.rules.several = w.now
	}
	if others && !active && w.plan.protocol != Pulse {
		// Its last word is what makes the others announce.
		for j := range w.plan.nodes {
			for k := range w.plan.lines {
				w.rules.excused[k] = w.rules.excused[k] || w.hosts[j].active && (w.links[i][j][k].dirty >= w.now || w.hosts[j].stalledTo != 0)
			}
		}
	}
	h.active, w.rules.moved = active, w.now
	if h.changedAt != w.now { // what ends at once nobody sees
		h.changes++
	}
	h.changedAt = w.now
	if w.rules.none {
		w.rules.noneBefore = w.now
	}
	if active {
		h.activeSince = w.now
		w.rules.checkPlanned(w)
		w.rules.planned = 0
	}
	w.rules.none = !active && !others
	if w.rules.none {
		w.rules.noneSince = w.now
	}
}
