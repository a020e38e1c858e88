package vrrp

import (
	"net/netip"
	"time"
)

// Never is the time of [Machine.Next] when nothing is due.
const Never = time.Duration(1<<63 - 1)

const (
	// DefaultDownAdverts is how many adverts may be missed by the standard.
	DefaultDownAdverts = 3
	// maxStalls bounds how often in a row an own stall may put off the finding
	// that the active router is silent.
	maxStalls = 8
	// announceEvery bounds how often a rival makes us announce.
	announceEvery = time.Second
)

// Params are what the machine is configured with.
type Params struct {
	// Version is that of the adverts sent, 2 or 3.
	Version uint8
	// Priority is 1 to 254, or PriorityOwner.
	Priority uint8
	// Interval is the time between our adverts.
	Interval time.Duration
	// DownAdverts is how many adverts in a row may be missed, 1 to 100; 0
	// means DefaultDownAdverts. Routers need not agree in it, though they
	// had better.
	DownAdverts int
	// NoPreempt leaves the service to an active router of lower priority. An
	// owner preempts always.
	NoPreempt bool
	// PreemptDelay is how long a router of lower priority is left to serve,
	// from when it was first heard. It does not put off anything else.
	PreemptDelay time.Duration
	// Grouped is for a router that moves with others, see [Agree]: it becomes
	// active by EventFollow only. Where it would by itself it is ready.
	Grouped bool
	// Address is the source of our adverts: of two active routers with the
	// same priority the one with the greater address stays.
	Address netip.Addr
}

// Machine decides whether a router is active: RFC 9568, section 6.4. It is a
// plain comparable value: [Machine.Step] returns the next one and leaves this
// one alone. Time is a monotonic duration since any fixed moment and must not
// go back. Inside it is never rounded.
type Machine struct {
	p        Params
	state    State
	reason   Reason
	since    time.Duration
	priority uint8 // the effective one
	fault    bool

	// In StateBackup: when the silence began that ends with the down interval,
	// whether the skew alone has to pass, and the sender's interval.
	base    time.Duration
	soon    bool
	learned time.Duration
	// The active router, and when it was heard last.
	active     netip.Addr
	activePrio uint8
	activeAt   time.Duration
	// Another one beside it: when it was heard last, 0 is unset, and its interval.
	secondAt, secondEvery time.Duration

	listening  bool          // after a start or a fault: nobody was heard yet
	lowerSince time.Duration // when one of lower priority was first heard; 0 is unset
	notBefore  time.Duration // silence is not found before this
	stalls     uint8
	waived     bool // handed over by order: no preemption
	ready      bool // would be active, but for the group
	doubted    bool // made the group active, and was wrong: does so alone no more
	// The group gave way then, and waits for so much longer if it was the last
	// that happened.
	contested time.Duration
	patience  time.Duration

	// In StateActive: the next advert, and another active router.
	sendAt    time.Duration
	rival     bool
	rivalAt   time.Duration
	announced time.Duration
}

// NewMachine returns a machine in StateInit, that does nothing before
// EventStart.
func NewMachine(p Params, now time.Duration) Machine {
	p.DownAdverts = downAdverts(p.DownAdverts)
	return Machine{p: p, since: now, notBefore: now, priority: p.Priority, learned: p.Interval}
}

func downAdverts(n int) int {
	if n <= 0 {
		return DefaultDownAdverts
	}
	return n
}

// State returns the router's state, why it is in it, and since when.
func (m *Machine) State() (State, Reason, time.Duration) { return m.state, m.reason, m.since }

// Priority returns the effective priority, that of our adverts.
func (m *Machine) Priority() uint8 { return m.priority }

// Active returns the router that is active as far as we heard, with its
// priority; the zero address if we heard none, or are it ourselves.
func (m *Machine) Active() (netip.Addr, uint8) { return m.active, m.activePrio }

// Rival reports whether we are active and heard another active router.
func (m *Machine) Rival() bool { return m.rival }

// Ready reports whether the router would be active, if it were not for the
// others of its group. Its state is StateBackup then.
func (m *Machine) Ready() bool { return m.ready }

// Yielded reports whether the router handed over by EventYield, and so does not
// preempt before EventReclaim.
func (m *Machine) Yielded() bool { return m.waived }

// Interval is that of the active router as far as we heard, else our own.
func (m *Machine) Interval() time.Duration { return m.learned }

// Skew is by how much the routers of lower priority wait longer: RFC 3768 and
// RFC 9568, section 6.1.
func (m *Machine) Skew() time.Duration {
	unit := time.Second
	if m.p.Version != 2 {
		unit = m.learned
	}
	return time.Duration(256-int64(m.priority)) * unit / 256
}

// DownInterval is the silence after which the active router counts as gone.
func (m *Machine) DownInterval() time.Duration {
	return time.Duration(m.p.DownAdverts)*m.learned + m.Skew()
}

// Step takes one event at the time now and returns the machine after it with
// what is to be done, in order. On the way to active an advert comes before the
// state, on the way from it an advert of priority 0 does: so the addresses
// move after the other router knows.
func (m Machine) Step(e Event, now time.Duration) (Machine, []Action) { return m.StepInto(nil, e, now) }

// StepInto is [Machine.Step] that appends what is to be done to out.
func (m Machine) StepInto(out []Action, e Event, now time.Duration) (Machine, []Action) {
	switch e.Kind {
	case EventStart:
		m.start(now, &out)
	case EventHeard:
		m.heard(e, now, &out)
	case EventStall:
		// The active router sends at least one advert in this time.
		if m.state == StateBackup && m.stalls < maxStalls {
			m.stalls++
			m.notBefore = max(m.notBefore, now+m.learned+m.Skew())
		}
	case EventPriority:
		if m.p.Priority != PriorityOwner { // section 6.1: an owner's is fixed
			m.priority = min(max(e.Priority, 1), PriorityOwner-1)
		}
		m.spare()
	case EventFault:
		m.setFault(e.On, now, &out)
	case EventYield:
		m.waived = m.waived || e.On
		if m.state == StateActive {
			m.waived = true
			m.leave(StateBackup, ReasonYielded, now, &out)
		}
	case EventReclaim:
		if m.waived {
			m.waived, m.lowerSince = false, 0
		}
	case EventFollow:
		m.follow(e, now, &out)
	case EventSource:
		m.p.Address = e.Source
	case EventParams:
		if e.Params != nil {
			m.configure(*e.Params, now, &out)
		}
	case EventStop:
		if m.state == StateActive {
			m.leave(StateInit, ReasonStopped, now, &out)
		} else if m.state != StateInit {
			m.enter(StateInit, ReasonStopped, now, &out)
		}
	case EventTick:
		m.tick(now, &out)
	}
	return m, out
}

func (m *Machine) start(now time.Duration, out *[]Action) {
	switch {
	case m.state != StateInit:
	case m.fault:
		m.enter(StateFault, ReasonFault, now, out)
	case m.p.Priority == PriorityOwner && !m.waived:
		m.base = now
		m.claim(ReasonOwner, now, out)
	default:
		m.listen(ReasonStart, now, out)
	}
}

// configure takes other parameters. An active router says at once what it has
// to say from now on: with another interval, before the others expect more.
func (m *Machine) configure(p Params, now time.Duration, out *[]Action) {
	p.Version, p.Grouped, p.Address = m.p.Version, m.p.Grouped, m.p.Address
	p.DownAdverts = downAdverts(p.DownAdverts)
	if m.p.Priority == PriorityOwner || p.Priority == PriorityOwner {
		p.Priority = m.p.Priority
	}
	if p.Priority != m.p.Priority {
		m.priority = p.Priority
	}
	if !m.active.IsValid() && m.state != StateActive {
		m.learned = p.Interval // nobody told another one
	}
	m.p = p
	m.spare()
	if m.state == StateActive {
		m.send(now, out)
	}
}

// spare leaves the active router alone that was to be relieved, if it is not to
// be any more.
func (m *Machine) spare() {
	if m.state == StateBackup && m.active.IsValid() && m.activeAt > m.base &&
		(m.activePrio >= m.priority || !m.preempts(m.activeAt)) {
		m.base, m.soon = m.activeAt, false
	}
}

// listen waits for a whole down interval from now on, and for an advert at
// least: the stop of one router does not tell that there is no other one.
func (m *Machine) listen(r Reason, now time.Duration, out *[]Action) {
	m.learned = m.p.Interval
	m.notBefore = max(m.notBefore, now+m.learned+m.Skew())
	m.base, m.soon, m.lowerSince, m.ready, m.doubted, m.listening = now, false, 0, false, false, true
	m.active, m.activePrio = netip.Addr{}, 0
	m.enter(StateBackup, r, now, out)
}

// heard takes the facts of an advert that was accepted.
func (m *Machine) heard(e Event, now time.Duration, out *[]Action) {
	switch m.state {
	case StateBackup:
		m.stalls = 0
		m.heardInBackup(e, now, out)
	case StateActive:
		m.heardInActive(e, now, out)
	}
}

func (m *Machine) heardInBackup(e Event, now time.Duration, out *[]Action) {
	other := m.active.IsValid() && m.active != e.Source && e.At-m.activeAt <= m.learned
	if e.Priority == PriorityStop {
		// The stop of one of two is no news while the other one goes on, nor is
		// it for who waits for its group alone.
		switch {
		case m.active.IsValid() && m.active != e.Source && e.At-m.activeAt <= m.DownInterval():
			return // it may only be late
		case !m.ready && (m.secondAt == 0 || e.At-m.secondAt > 2*m.secondEvery):
			m.base, m.soon = max(m.base, e.At), true
			m.enter(StateBackup, ReasonActiveStops, now, out)
		}
		m.active, m.activePrio = netip.Addr{}, 0
		return
	}
	if !other || e.Priority > m.activePrio {
		if m.active.IsValid() && m.active != e.Source && (m.activePrio >= m.priority || !m.preempts(e.At)) {
			m.secondAt, m.secondEvery = m.activeAt, m.learned
		}
		m.active, m.activePrio, m.activeAt = e.Source, e.Priority, e.At
	}
	if e.Priority < m.priority && m.preempts(e.At) {
		return // discarded: the timer goes on, and runs out
	}
	if e.Priority >= m.priority {
		m.lowerSince = 0
	}
	if e.Priority >= m.priority || m.p.NoPreempt {
		m.doubted = false // and not where preemption only waits
	}
	if m.active == e.Source {
		m.learned = e.Interval
	} else {
		m.secondAt, m.secondEvery = e.At, e.Interval
		m.learned = max(m.learned, e.Interval) // whichever stays is heard in time
	}
	m.base, m.soon, m.ready, m.listening = max(m.base, e.At), false, false, false
	m.enter(StateBackup, ReasonActiveHeard, now, out)
}

// preempts reports whether a router of lower priority, heard now, is to be
// relieved.
func (m *Machine) preempts(at time.Duration) bool {
	if m.lowerSince == 0 || at < m.lowerSince { // a clock that was set may confuse the order
		m.lowerSince = max(at, 1)
	}
	switch {
	case m.waived:
		return false
	case m.p.Priority == PriorityOwner:
		return true
	}
	return !m.p.NoPreempt && at-m.lowerSince >= m.p.PreemptDelay
}

func (m *Machine) heardInActive(e Event, now time.Duration, out *[]Action) {
	switch {
	case e.Priority == PriorityStop:
		// It was active beside us, so the neighbours may believe it.
		m.send(now, out)
		m.announce(now, out)
	case e.Priority > m.priority, e.Priority == m.priority && m.p.Address.Less(e.Source):
		// A last packet of ours, lower than the winner's: if we never heard it
		// before, it may not have heard us, and the neighbours believe us yet.
		*out = append(*out, Action{Kind: ActionSend, Priority: m.priority})
		if m.rival {
			m.rival = false
			*out = append(*out, Action{Kind: ActionRivalGone})
		}
		m.learned = e.Interval
		m.base, m.soon, m.lowerSince, m.doubted = e.At, false, 0, false
		m.active, m.activePrio, m.activeAt = e.Source, e.Priority, e.At
		m.enter(StateBackup, ReasonHigherHeard, now, out)
	default:
		// RFC 9568: answer at once, so that it gives way and switches learn
		// us again.
		m.send(now, out)
		if !m.preempts(e.At) { // it will be there if we give way to a third one
			m.secondAt, m.secondEvery = e.At, e.Interval
		}
		if !m.rival && e.At-m.since < m.p.Interval {
			// The last packet of one that gives way to us, as above: who does
			// not hear us goes on.
			m.announce(now, out)
			return
		}
		if !m.rival {
			m.rival = true
			*out = append(*out, Action{Kind: ActionRivalSeen})
			m.announced = now - announceEvery
		}
		m.rivalAt = now
		m.active, m.activePrio = e.Source, e.Priority
		m.announce(now, out)
	}
}

// announce teaches the neighbours because of a rival, at a bounded rate.
func (m *Machine) announce(now time.Duration, out *[]Action) {
	if now-m.announced >= announceEvery {
		m.announced = now
		*out = append(*out, Action{Kind: ActionAnnounce})
	}
}

func (m *Machine) setFault(on bool, now time.Duration, out *[]Action) {
	was := m.fault
	m.fault = on
	switch {
	case on == was, m.state == StateInit:
	case !on:
		m.listen(ReasonFaultCleared, now, out)
	case m.state == StateActive:
		m.leave(StateFault, ReasonFault, now, out)
	default:
		m.enter(StateFault, ReasonFault, now, out)
	}
}

// follow does what the group does.
func (m *Machine) follow(e Event, now time.Duration, out *[]Action) {
	if e.State == StateActive {
		if m.state != StateBackup {
			return
		}
		r := ReasonGroup
		if m.ready {
			r = m.reason
		}
		m.become(r, now, out)
		return
	}
	if m.state == StateActive {
		m.leave(StateBackup, ReasonGroup, now, out)
	}
	m.contested, m.patience = now, e.Wait
	m.doubted = m.doubted || e.On
}

func (m *Machine) tick(now time.Duration, out *[]Action) {
	switch m.state {
	case StateBackup:
		switch {
		case m.ready && now >= m.goneAt():
			// To relieve it took all members; to follow it takes the quickest.
			m.base = m.activeAt
			m.claim(ReasonActiveSilent, now, out)
		case !m.ready && now >= m.downAt():
			r := ReasonActiveSilent
			switch {
			case m.soon:
				r = ReasonActiveStops
			case m.lowerSince != 0 && m.activeAt > m.base: // heard, and discarded
				r = ReasonPreempt
			}
			m.claim(r, now, out)
		}
	case StateActive:
		if m.rival && now >= m.rivalGoneAt() {
			m.rival = false
			m.active, m.activePrio = netip.Addr{}, 0
			m.announced = now
			// The loser may have spoken after us: have the last word.
			*out = append(*out, Action{Kind: ActionRivalGone}, Action{Kind: ActionAnnounce})
		}
		if now >= m.sendAt {
			*out = append(*out, Action{Kind: ActionSend, Priority: m.priority})
			// In step, unless we are a whole interval behind.
			if m.sendAt += m.p.Interval; m.sendAt <= now {
				m.sendAt = now + m.p.Interval
			}
		}
	}
}

// claim makes us active, or ready for it if that is the group's to decide.
func (m *Machine) claim(r Reason, now time.Duration, out *[]Action) {
	if m.p.Grouped {
		m.enter(StateBackup, r, now, out)
		m.ready = true
		return
	}
	m.become(r, now, out)
}

// become makes us active: the packet first, so that another one lets go.
func (m *Machine) become(r Reason, now time.Duration, out *[]Action) {
	m.active, m.activePrio = netip.Addr{}, 0
	m.waived, m.soon, m.lowerSince, m.rival, m.listening = false, false, 0, false, false
	m.send(now, out)
	m.enter(StateActive, r, now, out)
	m.announced = now
	*out = append(*out, Action{Kind: ActionAnnounce})
}

// leave makes us inactive by our own will: others take over at once.
func (m *Machine) leave(s State, r Reason, now time.Duration, out *[]Action) {
	*out = append(*out, Action{Kind: ActionSend, Priority: PriorityStop})
	if m.rival {
		m.rival = false
		m.secondAt, m.secondEvery = m.rivalAt, max(m.learned, m.p.Interval)
		*out = append(*out, Action{Kind: ActionRivalGone})
	}
	m.learned = m.p.Interval
	m.base, m.soon, m.lowerSince = now, false, 0
	m.active, m.activePrio = netip.Addr{}, 0
	m.enter(s, r, now, out)
}

// send sends an advert now, and the next one an interval later.
func (m *Machine) send(now time.Duration, out *[]Action) {
	*out = append(*out, Action{Kind: ActionSend, Priority: m.priority})
	m.sendAt = now + m.p.Interval
}

func (m *Machine) enter(s State, r Reason, now time.Duration, out *[]Action) {
	if s == m.state && r == m.reason {
		return
	}
	if s != m.state {
		m.since, m.ready = now, false
	}
	m.state, m.reason = s, r
	*out = append(*out, Action{Kind: ActionState})
}

// downAt is when the active router counts as gone.
func (m *Machine) downAt() time.Duration {
	d := m.DownInterval()
	if m.soon {
		d = m.Skew()
	}
	if m.patience > 0 && m.base-m.contested < m.learned {
		d += m.patience
	}
	return max(m.base+d, m.notBefore)
}

// goneAt is when a router of lower priority that is to be relieved has fallen
// silent, while the group keeps us from relieving it.
func (m *Machine) goneAt() time.Duration {
	if m.reason != ReasonPreempt {
		return Never
	}
	return m.activeAt + m.DownInterval()
}

func (m *Machine) rivalGoneAt() time.Duration {
	return m.rivalAt + DefaultDownAdverts*max(m.p.Interval, announceEvery)
}

// Next returns when Step wants a tick if nothing else happens, or [Never].
// It may be in the past.
func (m *Machine) Next() time.Duration {
	switch m.state {
	case StateBackup:
		if m.ready {
			return m.goneAt()
		}
		return m.downAt()
	case StateActive:
		if m.rival {
			return min(m.sendAt, m.rivalGoneAt())
		}
		return m.sendAt
	}
	return Never
}
