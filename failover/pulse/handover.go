package pulse

import "time"

// handOverLimit is how long who hands over waits for a partner that has begun
// to take over and does not come to serve; it serves meanwhile.
const handOverLimit = 10 * time.Second

// Yielding reports whether the node is handing over, and serves until the
// partner does.
func (m *Machine) Yielding() bool { return m.yieldUntil != 0 }

// Taken reports whether the partner has begun to take what is handed over.
func (m *Machine) Taken() bool { return m.yieldUntil != 0 && m.taken }

// Takes reports whether the node asks its partner to hand over.
func (m *Machine) Takes() bool { return m.takeUntil != 0 }

// HandOverLimit returns how long a hand-over may last at most: a node serves
// for that long beside a partner that has begun to take over.
func (m *Machine) HandOverLimit() time.Duration { return max(m.DeadAfter(), handOverLimit) }

// CanYield reports whether EventYield would hand over: we are active, and a
// partner is there that can take it.
func (m *Machine) CanYield() bool {
	return m.state == StateActive && m.partner == alive && !m.yielding &&
		(m.said == StateInit || m.said == StateBackup)
}

// Relieved reports whether the partner serves, or would if this node did not:
// it is alive, and neither stopping nor in fault.
func (m *Machine) Relieved() bool {
	return m.Hears() && m.said != StateFault && m.said != StateLeaving
}

// CanTake reports whether EventTake would ask the partner: it is active, and
// we can serve.
func (m *Machine) CanTake() bool {
	return (m.state == StateInit || m.state == StateBackup) && m.partner == alive && m.said == StateActive
}

// beginYield asks the partner to take over, if it can.
func (m *Machine) beginYield(now time.Duration, out *[]Action) {
	if m.yieldUntil != 0 || !m.CanYield() {
		return
	}
	m.yieldUntil, m.taken = now+m.DeadAfter(), false
	*out = append(*out, Action{Kind: ActionHandOver}, Action{Kind: ActionSend})
}

// handOver follows what the partner makes of being asked, and reports whether
// it serves now.
func (m *Machine) handOver(now time.Duration, timed bool, out *[]Action) (done bool) {
	end := func(k ActionKind) {
		m.yieldUntil, m.taken = 0, false
		*out = append(*out, Action{Kind: k})
	}
	switch {
	case m.yieldUntil == 0:
	case m.fault && !m.leaving:
		m.yieldUntil, m.taken = 0, false // the state has the news
	case m.fault, m.partner != alive, m.said == StateFault, m.said == StateLeaving, m.taken && m.said != StateActive,
		timed && now >= m.yieldUntil:
		end(ActionHandOverFailed)
		// The partner is to know that we go on, also if we give way to it before
		// the next beat: the neighbours may have heard of us meanwhile.
		*out = append(*out, Action{Kind: ActionSend})
	case m.said == StateActive && (m.serves || m.p.Legacy):
		end(ActionHandedOver)
		return true
	case m.said == StateActive && !m.taken:
		m.taken, m.yieldUntil = true, now+m.HandOverLimit()
		*out = append(*out, Action{Kind: ActionHandOverTaken})
	}
	return false
}

// ask follows our own request to take over.
func (m *Machine) ask(now time.Duration, timed bool, out *[]Action) {
	switch {
	case m.takeUntil == 0:
	case m.state == StateActive:
		m.takeUntil = 0
	case !m.CanTake(), timed && now >= m.takeUntil:
		m.takeUntil = 0
		*out = append(*out, Action{Kind: ActionTakeFailed})
	}
}
