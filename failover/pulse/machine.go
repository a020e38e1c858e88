package pulse

import "time"

// Never is the time of [Machine.Next] when nothing is due.
const Never = time.Duration(1<<63 - 1)

// maxStalls bounds how often in a row an own stall may put off the finding
// that the partner is silent; a node that stalls all the time takes over
// late, but it does.
const maxStalls = 8

// Params are what the machine is configured with. They must be the ones that
// the node's beats carry.
type Params struct {
	// Primary: this node has precedence. One of the two should have it.
	Primary bool
	// Boot is our boot, the tie-breaker if both or neither are primary.
	Boot uint64
	// Channels is the number of channels, 0 to MaxChannels. With 0 there is
	// no partner.
	Channels int
	// Interval is the time between two beats; DeadAfter is how long the
	// partner must be silent on all channels to count as dead. A partner
	// that beats too slowly for it, so that it holds fewer than two of its
	// intervals, is given three of them.
	Interval, DeadAfter time.Duration
	// Clearance: silence alone is not enough to take over, EventCleared has to
	// come too.
	Clearance bool
	// Legacy: the partner cannot say whether it serves.
	Legacy bool
}

type presence uint8

const (
	listening presence = iota // may be there: not heard yet
	alive
	gone
)

type line struct {
	heard time.Duration // the last packet, or when listening began
	up    bool
	ever  bool // heard at least once
	told  bool // its loss was reported
}

// Machine decides whether a node is active. It is a plain comparable value:
// [Machine.Step] returns the next one and leaves this one alone. Time is a
// monotonic duration since any fixed moment and must not go back.
type Machine struct {
	p      Params
	state  State
	reason Reason
	since  time.Duration

	partner  presence
	heard    time.Duration // last fresh beat
	met      bool          // the fields below are the partner's
	said     State
	primary  bool
	hears    bool
	yielding bool
	serves   bool
	takes    bool
	boot     uint64
	terms    uint32
	interval time.Duration
	lines    [MaxChannels]line

	active      uint32        // how often we became active
	listenUntil time.Duration // in listening: then it is gone
	notBefore   time.Duration // silence is not found before this
	hold        time.Duration // neither active: then take it; 0 is unset
	yieldUntil  time.Duration // handing over until then; 0 is not
	takeUntil   time.Duration // asking for it until then; 0 is not
	rivalSince  time.Duration
	stalls      uint8
	serving     bool
	taken       bool // what we hand over: the partner is active
	cleared     bool
	rival       bool
	fault       bool
	blind       bool
	leaving     bool
	conflict    bool
}

// NewMachine returns a machine in StateInit that listens for DeadAfter from
// now on. Its first Step, a tick, decides at once if there is no partner.
func NewMachine(p Params, now time.Duration) Machine {
	p.Channels = min(max(p.Channels, 0), MaxChannels)
	m := Machine{p: p, state: StateInit, since: now, heard: now, listenUntil: now + p.DeadAfter}
	for i := range m.lines {
		m.lines[i].heard = now
	}
	return m
}

// State returns the node's state, why it is in it, and since when.
func (m *Machine) State() (State, Reason, time.Duration) { return m.state, m.reason, m.since }

// Hears reports whether the partner counts as alive, and could be heard.
func (m *Machine) Hears() bool { return m.partner == alive && !m.blind }

// Waits reports whether nothing but EventCleared is missing for a take-over.
func (m *Machine) Waits() bool {
	return m.p.Clearance && m.p.Channels > 0 && m.partner == gone && !m.cleared && !m.blind &&
		(m.state == StateInit || m.state == StateBackup)
}

// Terms returns how often the node became active.
func (m *Machine) Terms() uint32 { return m.active }

// Rival reports whether both nodes are active.
func (m *Machine) Rival() bool { return m.rival }

// Partner returns what the partner said last; ok is false if it was never heard.
func (m *Machine) Partner() (state State, heard time.Duration, ok bool) {
	return m.said, m.heard, m.met
}

// Channel returns whether channel i is up, and when it was heard last if it
// ever was.
func (m *Machine) Channel(i int) (up bool, heard time.Duration, ever bool) {
	return m.lines[i].up, m.lines[i].heard, m.lines[i].ever
}

// Step takes one event at the time now and returns the machine after it with
// what is to be done, in order.
func (m Machine) Step(e Event, now time.Duration) (Machine, []Action) {
	var out []Action
	switch e.Kind {
	case EventHeard:
		m.listen(e, now, &out)
	case EventStall:
		// Two intervals: the partner sends at least one beat in this time.
		if m.stalls < maxStalls {
			m.stalls++
			m.notBefore = max(m.notBefore, now+2*max(m.p.Interval, m.interval))
		}
	case EventFault:
		if m.fault && !e.On && (m.partner != alive || m.stale(now)) {
			// What was silence may have been the fault: listen first.
			m.partner, m.listenUntil, m.cleared = listening, now+m.DeadAfter(), false
		}
		m.fault = e.On
	case EventBlind:
		if m.blind && !e.On {
			m.notBefore = max(m.notBefore, now+m.DeadAfter())
			if m.partner == alive && m.stale(now) || m.partner == gone && m.state != StateActive {
				// What it said last may be true no more, nor that it is silent.
				m.partner, m.listenUntil = listening, now+m.DeadAfter()
			}
		}
		m.blind = e.On
	case EventServing:
		m.serving = e.On
	case EventYield:
		m.beginYield(now, &out)
	case EventTake:
		if m.CanTake() && m.takeUntil == 0 {
			m.takeUntil = now + m.DeadAfter()
			out = append(out, Action{Kind: ActionTakeAsked}, Action{Kind: ActionSend})
		}
	case EventCleared:
		m.cleared = m.cleared || m.Waits()
	case EventLeave:
		m.beginYield(now, &out)
		m.leaving = true
	}
	// Only a tick lets timers run out: other events may come while packets
	// still lie unread, and whoever ticks has made sure that they do not.
	timed := e.Kind == EventTick
	if timed {
		m.silence(now, &out)
	}
	m.decide(now, timed, &out)
	return m, out
}

// listen takes the facts of a packet.
func (m *Machine) listen(e Event, now time.Duration, out *[]Action) {
	if e.Proof.Channel && e.Channel >= 0 && e.Channel < m.p.Channels {
		l := &m.lines[e.Channel]
		l.heard = max(l.heard, e.At)
		if !l.up {
			l.up, l.ever, l.told = true, true, false
			*out = append(*out, Action{Kind: ActionChannelFound, Channel: e.Channel})
		}
	}
	if !e.Proof.Fresh {
		return
	}
	b := e.Beat
	if b.Boot != m.boot {
		m.terms = 0
	}
	// Who handed over and was heard all the time was no rival.
	gave := m.yielding && m.partner == alive && m.reason == ReasonPartnerYields
	wasActive := b.Terms != m.terms || m.said == StateActive && b.Boot == m.boot && !gave
	if m.state == StateActive && wasActive && b.State != StateActive && !m.rival {
		// It was active beside us, or went on to be when it fell silent, and
		// gave way before we heard of it. The neighbours did hear it.
		*out = append(*out, Action{Kind: ActionRivalSeen}, Action{Kind: ActionRivalGone}, Action{Kind: ActionAnnounce})
	}
	m.terms = b.Terms
	m.met, m.stalls, m.cleared = true, 0, false
	m.heard = max(m.heard, e.At)
	m.said, m.primary, m.hears = b.State, b.Primary, b.Hears
	m.yielding, m.serves = b.Yielding && b.State == StateActive, b.Serving
	m.boot, m.interval = b.Boot, min(b.Interval, MaxInterval)
	if m.partner != alive {
		m.partner = alive
		*out = append(*out, Action{Kind: ActionPartnerFound})
	}
	if conflict := b.Primary == m.p.Primary; conflict != m.conflict {
		m.conflict = conflict
		if conflict {
			*out = append(*out, Action{Kind: ActionRoleConflict})
		}
	}
	// It asks in many beats; asked once, it gets one answer.
	if b.Takes && !m.takes {
		m.beginYield(now, out)
	}
	m.takes = b.Takes
}

// silence finds who has not been heard for too long.
func (m *Machine) silence(now time.Duration, out *[]Action) {
	if now < m.notBefore {
		return
	}
	dead := m.DeadAfter()
	for i := range m.p.Channels {
		if l := &m.lines[i]; !l.told && now-l.heard >= dead {
			l.up, l.told = false, true
			*out = append(*out, Action{Kind: ActionChannelLost, Channel: i})
		}
	}
	if m.blind {
		return
	}
	switch {
	case m.partner == alive && now-m.heard >= dead:
		m.partner = gone
		*out = append(*out, Action{Kind: ActionPartnerLost})
	case m.partner == listening && now >= m.listenUntil:
		m.partner = gone
		if m.p.Channels > 0 {
			*out = append(*out, Action{Kind: ActionPartnerLost})
		}
	}
}

// decide brings the state in line with the facts.
func (m *Machine) decide(now time.Duration, timed bool, out *[]Action) {
	done := m.handOver(now, timed, out)
	// Two active nodes of which one hands over are no rivals.
	rivals := m.partner == alive && m.said == StateActive && m.yieldUntil == 0 && !m.yielding
	if m.rival && (!rivals || m.state != StateActive) {
		m.endRival(out)
	}
	m.judge(done, rivals, now, timed, out)
	m.ask(now, timed, out)
}

func (m *Machine) judge(done, rivals bool, now time.Duration, timed bool, out *[]Action) {
	switch {
	case m.leaving:
		m.enter(StateLeaving, ReasonStopped, now, out)
	case m.fault:
		m.enter(StateFault, ReasonFault, now, out)
	case m.p.Channels == 0:
		m.enter(StateActive, ReasonAlone, now, out)
	case m.state == StateActive && done:
		m.enter(StateBackup, ReasonYielded, now, out)
	case m.state == StateActive:
		m.decideActive(rivals, now, timed, out)
	default:
		m.decideInactive(now, timed, out)
	}
}

func (m *Machine) decideActive(rivals bool, now time.Duration, timed bool, out *[]Action) {
	if !rivals {
		return
	}
	if m.reason == ReasonPartnerYields && !m.serving && m.serves && !m.p.Legacy {
		// We were asked to and have not come to serve. It is no rival.
		m.enter(StateBackup, ReasonPartnerKeeps, now, out)
		return
	}
	if !m.rival {
		m.rival, m.rivalSince = true, now
		*out = append(*out, Action{Kind: ActionRivalSeen})
		if m.outranks() {
			*out = append(*out, Action{Kind: ActionAnnounce}, Action{Kind: ActionSend})
		}
	}
	switch {
	case !m.outranks():
		m.enter(StateBackup, ReasonRivalPreferred, now, out)
	case m.hears || m.serving && !m.serves:
		// It has heard us and is about to step down: give it time afresh.
		m.rivalSince = now
	case timed && now >= m.deafAt() && now >= m.notBefore:
		// It will never step down, as it does not know of us.
		m.enter(StateBackup, ReasonRivalDeaf, now, out)
	}
}

func (m *Machine) decideInactive(now time.Duration, timed bool, out *[]Action) {
	neither := false
	switch {
	case m.partner == gone && m.p.Clearance && (!m.cleared || m.blind):
		state := StateBackup
		if m.state == StateInit || m.state == StateFault {
			state = StateInit
		}
		m.enter(state, ReasonUncleared, now, out)
	case m.partner == gone:
		m.enter(StateActive, ReasonPartnerSilent, now, out)
	case m.partner == listening:
		switch {
		case m.blind:
			m.enter(StateInit, ReasonBlind, now, out)
		case m.state == StateFault:
			m.enter(StateInit, ReasonFaultCleared, now, out)
		case m.reason == ReasonBlind:
			m.enter(StateInit, ReasonStart, now, out)
		}
	case m.said == StateActive && m.yielding:
		m.enter(StateActive, ReasonPartnerYields, now, out)
	case m.said == StateActive:
		m.enter(StateBackup, ReasonPartnerActive, now, out)
	case m.said == StateFault:
		m.enter(StateActive, ReasonPartnerFault, now, out)
	case m.said == StateLeaving:
		m.enter(StateActive, ReasonPartnerLeaving, now, out)
	case m.preferred():
		m.enter(StateActive, ReasonPartnerInactive, now, out)
	default:
		// The primary takes it as soon as it hears us. Two of its intervals
		// without that, and it cannot.
		neither = true
		if m.hold == 0 {
			m.hold = now + 2*max(m.p.Interval, m.interval)
		}
		if timed && now >= m.hold && now >= m.notBefore && !m.blind {
			m.enter(StateActive, ReasonPartnerInactive, now, out)
		} else {
			m.enter(StateBackup, ReasonPartnerPreferred, now, out)
		}
	}
	if !neither || m.state == StateActive {
		m.hold = 0
	}
}

func (m *Machine) enter(s State, r Reason, now time.Duration, out *[]Action) {
	if s == m.state && (r == m.reason || s == StateActive) {
		return // an active node keeps the reason for which it became active
	}
	moved := s != m.state
	if moved && m.rival {
		m.state = s // so that endRival does not announce
		m.endRival(out)
	}
	m.state, m.reason = s, r
	if moved {
		m.since = now
		if s == StateActive {
			m.active++
		}
		if s != StateBackup {
			m.hold = 0
		}
	}
	*out = append(*out, Action{Kind: ActionState})
	if moved {
		*out = append(*out, Action{Kind: ActionSend})
	}
}

func (m *Machine) endRival(out *[]Action) {
	m.rival = false
	*out = append(*out, Action{Kind: ActionRivalGone})
	if m.state == StateActive {
		// The loser may have announced itself after us: have the last word.
		*out = append(*out, Action{Kind: ActionAnnounce})
	}
}

// preferred reports whether this node has precedence over its partner.
func (m *Machine) preferred() bool {
	if m.p.Primary != m.primary {
		return m.p.Primary
	}
	return m.p.Boot < m.boot
}

// outranks reports whether this node goes on when both are active: who serves
// goes before who does not yet. The two may see it differently for as long as a
// packet is on its way, but never so that each believes the other one first.
func (m *Machine) outranks() bool {
	if m.serving != m.serves && !m.p.Legacy {
		return m.serving
	}
	return m.preferred()
}

// DeadAfter returns how long the partner may be silent: our own dead time, unless
// it beats too slowly for that, as a mismatch must not make two active nodes. Two
// intervals are the least that a node may be configured with, so partners that
// agree keep what they have.
func (m *Machine) DeadAfter() time.Duration {
	if m.p.DeadAfter >= 2*m.interval {
		return m.p.DeadAfter
	}
	return 3 * m.interval
}

// deafAt is when a rival that does not hear us is left to serve. One that is not
// heard itself any more is about to be found silent instead.
func (m *Machine) deafAt() time.Duration {
	at := m.rivalSince + m.DeadAfter()
	if m.heard < at-3*m.interval/2 {
		return Never
	}
	return at
}

// stale reports whether the partner was last heard so long ago that it counts
// as alive only because nothing could be heard.
func (m *Machine) stale(now time.Duration) bool { return now-m.heard >= m.DeadAfter() }

// Next returns when Step wants a tick if nothing else happens, or [Never].
// It may be in the past.
func (m *Machine) Next() time.Duration {
	next := Never
	due := func(t time.Duration) { next = min(next, max(t, m.notBefore)) }
	dead := m.DeadAfter()
	for i := range m.p.Channels {
		if !m.lines[i].told {
			due(m.lines[i].heard + dead)
		}
	}
	if !m.blind {
		switch m.partner {
		case alive:
			due(m.heard + dead)
		case listening:
			due(m.listenUntil)
		}
	}
	if m.hold != 0 && !m.blind {
		due(m.hold)
	}
	if m.yieldUntil != 0 {
		next = min(next, m.yieldUntil)
	}
	if m.takeUntil != 0 {
		next = min(next, m.takeUntil)
	}
	if m.rival && m.outranks() && !m.hears && (m.serves || !m.serving) {
		due(m.deafAt())
	}
	return next
}
