package simulate

import (
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// pairMachine is what a node is made of: [pulse.Machine], or one with a fault.
type pairMachine interface {
	Step(e pulse.Event, now time.Duration) []pulse.Action
	Next() time.Duration
	State() pulse.State
	Hears() bool
	Yielding() bool
	Takes() bool
	Waits() bool
	Terms() uint32
	HandOverLimit() time.Duration
	reason() pulse.Reason
}

// guard is [pulse.Guard], or one with a fault.
type guard interface {
	Accept(channel int, b *pulse.Beat, next uint64) (pulse.Proof, pulse.Drop)
	Boot() uint64
	Challenge() uint64
	Echo() uint64
	Peer() uint64
}

type soundNode struct{ pulse.Machine }

func (n *soundNode) Step(e pulse.Event, now time.Duration) (out []pulse.Action) {
	n.Machine, out = n.Machine.Step(e, now)
	return out
}

func (n *soundNode) State() pulse.State {
	s, _, _ := n.Machine.State()
	return s
}

func (n *soundNode) reason() pulse.Reason {
	_, why, _ := n.Machine.State()
	return why
}

// member is the loop of [failover.Node] around its machine and guard: it beats,
// and sleeps a moment before it believes in a silence, in which late beats come.
// Then it reads all there is if its sockets tell when that came; otherwise its
// readers have done so in that moment, which is longer.
type member struct {
	machine pairMachine
	guard   guard
	p       pulse.Params
	seq     uint64
	tells   bool
	emptyAt time.Duration // the sockets had nothing to read last

	serving  bool // it has the addresses, and the neighbours know
	aside    bool // it leaves the word to its partner
	leaving  bool
	ticking  bool
	clears   clearance
	nextBeat time.Duration
	planned  time.Duration
	confirm  time.Duration
	confirms int
	pending  bool // a beat is to be sent before its time
	beat     pulse.Beat
	clock    memberClock
}

func (m *member) settle() time.Duration {
	most := 100 * time.Millisecond
	if m.tells {
		most = 10 * time.Millisecond
	}
	return min(max(m.p.Interval/4, time.Millisecond), most)
}

func (m *member) boot(w *world, i int) {
	p := w.plan.pair[i]
	p.Boot = w.dice.number()
	*m = member{
		p: p, nextBeat: w.now, planned: w.now, tells: p.Boot%2 == 0, emptyAt: w.now, clears: clearance{number: m.clears.number + 1},
	}
	m.machine, m.guard = w.habits.node(p, w.now), w.habits.guard(p.Boot, w.dice.number())
	w.pair[1-i].clock.met = never
	m.clock = memberClock{listens: w.now, heard: unset, met: never}
	w.wakeAt(i, w.now)
}

func (m *member) wake(w *world, i int) {
	now := w.now
	if m.tells && m.confirm != 0 && now >= m.confirm {
		if m.read(w, i); w.broken != "" {
			return
		}
	}
	if now-m.planned > m.p.Interval {
		m.clock.stalled(m, now)
		m.step(w, i, pulse.Event{Kind: pulse.EventStall})
		m.confirm = 0
	}
	settle := m.settle()
	switch due := m.machine.Next(); {
	case due > now:
		m.confirm = 0
	case m.confirm == 0:
		m.confirm, m.confirms = now+settle, 1
	case now > m.confirm+settle && m.confirms < 3:
		m.confirm = now + settle
		m.confirms++
	case now >= m.confirm:
		m.ticking = true
		m.step(w, i, pulse.Event{})
		m.ticking = false
		m.confirm = 0
	}
	if m.pending || now >= m.nextBeat {
		m.pending = false
		m.send(w, i)
	}
	if now >= m.nextBeat {
		if m.nextBeat += m.p.Interval; m.nextBeat <= now {
			m.nextBeat = now + m.p.Interval
		}
	}
	m.planned = m.nextBeat
	if m.confirm != 0 {
		m.planned = min(m.planned, m.confirm)
	} else {
		m.planned = min(m.planned, m.machine.Next())
	}
	w.wakeAt(i, m.planned)
}

func (m *member) send(w *world, i int) {
	m.seq++
	s := m.machine.State()
	w.beats = append(w.beats, pulse.Beat{
		Primary: m.p.Primary, Hears: m.machine.Hears(), Yielding: s == pulse.StateActive && m.machine.Yielding(),
		Serving: m.serving, Takes: m.machine.Takes(), State: s,
		Boot: m.p.Boot, Challenge: m.guard.Challenge(), Echo: m.guard.Echo(), Seq: m.seq,
		Interval: m.p.Interval, DeadAfter: m.p.DeadAfter, Terms: m.machine.Terms(),
	})
	w.taken, w.senders = append(w.taken, false), append(w.senders, uint8(i))
	w.send(i, 0, int32(len(w.beats)-1))
	if w.plan.attacked {
		w.replay(w.dice.below(2), m.p.Interval, 1+w.dice.below(4))
	}
}

// read empties the sockets of the channels, one after another, in whatever
// order their readers get the processor.
func (m *member) read(w *world, i int) {
	h := &w.hosts[i]
	first := 0
	if len(h.inbox) > 1 {
		first = w.dice.below(w.plan.lines)
	}
	for n := range w.plan.lines {
		line := uint8((first + n) % w.plan.lines)
		for k := range h.inbox {
			if p := &h.inbox[k]; p.line == line {
				m.take(w, i, p)
				if w.broken != "" {
					return
				}
			}
		}
	}
	h.inbox, m.emptyAt = h.inbox[:0], w.now
	m.poked(w, i)
}

// poked lets the loop run if it has something new to do.
func (m *member) poked(w *world, i int) {
	if m.pending || m.confirm != 0 || m.machine.Next() < m.planned {
		w.wakeAt(i, w.now)
	}
}

func (m *member) take(w *world, i int, p *arrival) {
	m.beat = w.beats[p.what]
	if m.beat.Channel = p.line; p.kind == replayComes {
		m.beat.Channel = p.priority // the line that it was sent on
	} else {
		w.taken[p.what] = true
	}
	at := w.now
	if m.tells {
		at = stamped(p, w.hosts[i].day, m.emptyAt, w.now)
	}
	proof, _ := m.guard.Accept(int(p.line), &m.beat, w.dice.number())
	if proof.Fresh || proof.Channel {
		m.clock.hear(w, i, &m.beat, proof, at)
		m.step(w, i, pulse.Event{Kind: pulse.EventHeard, Channel: int(p.line), Proof: proof, At: at, Beat: &m.beat})
	}
	if proof.Answer {
		m.pending = true
	}
}

// graceful is how long addresses stay when the partner serves: see package
// failover.
const graceful = 10 * time.Millisecond

// settled takes in whether the node has its addresses now.
func (m *member) settled(w *world, i int, v bool) {
	if m.serving == v {
		return
	}
	m.serving, m.pending = v, true
	m.step(w, i, pulse.Event{Kind: pulse.EventServing, On: v})
	m.poked(w, i)
}

func (m *member) step(w *world, i int, e pulse.Event) {
	m.clock.watch(w, m)
	from := m.machine.State()
	for _, a := range m.machine.Step(e, w.now) {
		switch a.Kind {
		case pulse.ActionState:
			s := m.machine.State()
			if w.tracing {
				w.note("node %d: %v, %v", i, s, m.machine.reason())
			}
			if active := s == pulse.StateActive; active != w.hosts[i].active {
				if active {
					m.clock.tookOver(w, i)
				}
				w.setActive(i, active)
			}
			if s != from {
				w.request(i, 0, s == pulse.StateActive, m.holdFor(w, i, s))
				from = s
			}
		case pulse.ActionSend:
			m.pending = true
		case pulse.ActionAnnounce:
			w.announce(i, 0)
		case pulse.ActionHandedOver:
			if m.leaving {
				w.letGo(i, 0, graceful)
			}
		case pulse.ActionHandOverFailed:
			if m.leaving {
				w.rules.gapless[0] = false
				w.letGo(i, 0, 0)
			}
		}
	}
	m.clock.watch(w, m)
	if aside := m.machine.Yielding(); aside != m.aside {
		if m.aside = aside; !aside {
			w.announce(i, 0)
		}
	}
	m.clears.follow(w, i, m)
}

// holdFor is how long what is held stays at most: see package failover.
func (m *member) holdFor(w *world, i int, s pulse.State) time.Duration {
	switch {
	case s == pulse.StateBackup && m.machine.reason() == pulse.ReasonYielded:
		if w.others(i) { // not long ago, at least
			w.moves(i)
		}
		return graceful
	case s == pulse.StateLeaving && m.machine.Yielding():
		w.moves(i)
		return m.p.DeadAfter + m.machine.HandOverLimit() + time.Second
	}
	return 0
}

func (m *member) order(w *world, i int, a *act) {
	h := &w.hosts[i]
	was := h.active
	switch a.kind {
	case actRestart:
		if m.leaving {
			return
		}
		m.leaving = true
		m.step(w, i, pulse.Event{Kind: pulse.EventLeave})
	case actReclaim:
		m.step(w, i, pulse.Event{Kind: pulse.EventTake})
	case actFault, actMend:
		if m.clock.listens = w.now; a.kind == actFault || m.clock.heardWithin(w.patience(), w.now) {
			m.clock.listens = unset // it listens all the time
		}
		m.step(w, i, pulse.Event{Kind: pulse.EventFault, On: a.kind == actFault})
	case actBlind:
		m.step(w, i, pulse.Event{Kind: pulse.EventBlind, On: h.blind})
	case actYield:
		m.step(w, i, pulse.Event{Kind: pulse.EventYield})
	default:
		return
	}
	if m.pending {
		m.pending = false
		m.send(w, i)
	}
	m.poked(w, i)
	if was && !h.active && w.rules.none {
		w.rules.planned, w.rules.after = w.pairHandOver(i), "handed over"
	}
}

// replay lets an attacker send again what he likes of what he has seen, also to
// whom it came from, on any line. What he kept from its receiver is no replay:
// he may deliver that late, once.
func (w *world) replay(to int, span time.Duration, count int) {
	for range count {
		if len(w.beats) == 0 {
			return
		}
		what := w.dice.below(len(w.beats))
		if w.dice.one(2) {
			what /= 4 // of an old run, perhaps
		}
		b, from := &w.beats[what], int(w.senders[what])
		g := w.pair[to].guard
		if from != to && !w.taken[what] && (b.Boot == w.pair[from].p.Boot || b.Boot == g.Peer() || b.Echo == g.Challenge()) {
			continue
		}
		w.push(happening{
			kind: replayComes, at: w.now + w.dice.upTo(span), to: uint8(to), from: uint8(1 - to),
			line: uint8(w.dice.below(w.plan.lines)), priority: uint8(w.dice.below(w.plan.lines)), what: int32(what),
		})
	}
}
