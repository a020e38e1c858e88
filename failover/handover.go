package failover

import (
	"errors"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// Errors of [Node.Yield] and [Node.Take].
var (
	// ErrNotActive: there is nothing to hand over.
	ErrNotActive = errors.New("failover: this node is not active")
	// ErrActive: there is nothing to take over.
	ErrActive = errors.New("failover: this node is active already")
	// ErrFault: the node cannot serve.
	ErrFault = errors.New("failover: this node has a fault; mend it first")
	// ErrNoPartner: nobody is there who could take over or hand over.
	ErrNoPartner = errors.New("failover: no partner that is able to do its part")
)

// graceful is how long the addresses stay when the partner serves: its
// neighbours know, and what is on its way to us still arrives. The partner
// announces once more after it.
const graceful = 10 * time.Millisecond

// Yield asks the partner to take over. It returns when that is asked: the node
// stays active until the partner serves, so that no packet finds nobody, and
// events and status tell how far it has come. If the partner refuses, falls
// silent, does not begin within DeadAfter or does not come to serve within ten
// seconds more (or DeadAfter if that is longer), the node stays active and
// EventHandOverFailed says so. The error is ErrNotActive or ErrNoPartner.
func (n *Node) Yield() error {
	if n.remote != nil {
		return n.remote.yield()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, _, _ := n.machine.State(); s != pulse.StateActive {
		return ErrNotActive
	}
	if !n.machine.Yielding() && !n.machine.CanYield() {
		return ErrNoPartner
	}
	n.step(pulse.Event{Kind: pulse.EventYield}, n.clock())
	return nil
}

// Take asks the active partner to hand over to this node, as if Yield were
// called there. It returns when that is asked; EventHandOverFailed tells that the
// partner has not begun to within DeadAfter. The error is ErrActive, ErrFault,
// ErrNoPartner or ErrLegacy.
func (n *Node) Take() error {
	if n.remote != nil {
		return n.remote.move(verbTake, ErrFault)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch s, _, _ := n.machine.State(); {
	case s == pulse.StateActive:
		return ErrActive
	case s == pulse.StateFault:
		return ErrFault
	case n.cfg.Legacy:
		return ErrLegacy
	case !n.machine.CanTake():
		return ErrNoPartner
	}
	n.step(pulse.Event{Kind: pulse.EventTake}, n.clock())
	return nil
}

// settled takes in whether this node serves and its neighbours know. It comes
// from the goroutine of the effects.
func (n *Node) settled(v bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.serving == v {
		return
	}
	n.serving = v
	n.step(pulse.Event{Kind: pulse.EventServing, On: v}, n.clock())
	n.sendNow()
}

// holdFor returns how long what is held is kept at most when the node enters a
// state. The caller holds mu.
func (n *Node) holdFor(s pulse.State) time.Duration {
	_, why, _ := n.machine.State()
	switch {
	case s == pulse.StateBackup && why == pulse.ReasonYielded:
		return graceful
	case s == pulse.StateLeaving && n.machine.Yielding():
		// The machine ends it; this bound is for a machine that nobody ticks.
		return n.cfg.DeadAfter + n.machine.HandOverLimit() + time.Second
	}
	return 0
}

// handOver does what an action of the machine about a hand-over asks for. The
// caller holds mu.
func (n *Node) handOver(k pulse.ActionKind) {
	s, _, _ := n.machine.State()
	switch k {
	case pulse.ActionHandOver:
		n.events.emit(Event{Kind: EventHandOver, Reason: "asked the partner to take over"})
	case pulse.ActionHandOverTaken:
		n.events.emit(Event{Kind: EventHandOver, Reason: "the partner takes over and does not serve yet"})
	case pulse.ActionHandedOver:
		n.events.emit(Event{Kind: EventHandedOver, Reason: "the partner serves"})
		if s == pulse.StateLeaving {
			n.effects.letGo(graceful)
		}
	case pulse.ActionHandOverFailed:
		n.events.emit(Event{Kind: EventHandOverFailed, Reason: n.failure(s)})
		if s == pulse.StateLeaving {
			n.effects.letGo(0)
		}
	case pulse.ActionTakeAsked:
		n.events.emit(Event{Kind: EventHandOver, Reason: "asked the partner to hand over"})
	case pulse.ActionTakeFailed:
		n.events.emit(Event{Kind: EventHandOverFailed, Reason: "the partner does not hand over, or this node cannot take it any more"})
	}
}

// failure says why a hand-over came to nothing. The caller holds mu.
func (n *Node) failure(s pulse.State) string {
	after := "; this node stays active"
	if s == pulse.StateLeaving {
		after = "; this node stops without a successor"
	}
	said, _, _ := n.machine.Partner()
	switch {
	case n.fault != "":
		return "this node has a fault" + after
	case !n.machine.Hears():
		return "the partner fell silent" + after
	case said == pulse.StateFault:
		return "the partner reports a fault" + after
	case said == pulse.StateLeaving:
		return "the partner is stopping" + after
	case said == pulse.StateActive:
		return "the partner is active and did not come to serve" + after
	}
	return "the partner did not take over" + after
}

// handOverText says how far a hand-over has come.
func handOverText(m *pulse.Machine) string {
	switch {
	case m.Taken():
		return "the partner takes over and does not serve yet"
	case m.Yielding():
		return "asked the partner to take over"
	case m.Takes():
		return "asked the partner to hand over"
	}
	return ""
}
