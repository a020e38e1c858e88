package vrrp

import (
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// State is what a router does at the moment. The zero value is StateInit.
type State uint8

// States of a router.
const (
	// StateInit has not started, or has stopped.
	StateInit State = iota
	// StateBackup leaves the service to another router and watches it.
	StateBackup
	// StateActive serves; older texts say master.
	StateActive
	// StateFault is kept from serving by EventFault.
	StateFault
)

var stateNames = [...]string{StateInit: "init", StateBackup: "backup", StateActive: "active", StateFault: "fault"}

// String returns the name in lower case, or state(N) for unknown ones.
func (s State) String() string { return enum.Name("state", stateNames[:], uint8(s)) }

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (s *State) UnmarshalText(text []byte) error {
	v, err := enum.Parse("vrrp", "state", stateNames[:], string(text))
	*s = State(v)
	return err
}

// EventKind is the kind of an [Event].
type EventKind uint8

// Kinds of events.
const (
	// EventTick: time has passed. Whoever ticks has read all packets that had
	// arrived: only a tick lets timers run out.
	EventTick EventKind = iota
	// EventStart: the interface is ready.
	EventStart
	// EventHeard: an advert of another router was accepted. Source, Priority
	// and Interval are its own, At is when it arrived.
	EventHeard
	// EventStall: the node itself stood still, so that what looks like silence
	// may be packets that nobody sees yet.
	EventStall
	// EventPriority: Priority is the effective one from now on, as trackers
	// make it; it is kept within 1 to 254, and an owner's does not change.
	EventPriority
	// EventFault: On says whether the router is unable to serve.
	EventFault
	// EventYield: an operator wants another router to take over. Until it has
	// been active again, or EventReclaim, the router does not preempt. On: that
	// was an earlier run of it, so that this one, not active yet, does not either.
	EventYield
	// EventReclaim ends what EventYield began.
	EventReclaim
	// EventFollow: the group becomes active, if State is StateActive, or ceases
	// to be. After it ceased the router waits for Wait more than it would
	// otherwise, unless somebody goes on serving. On says that it was this
	// router that had made the group active, and that another member found a
	// better one: its silence proves nothing any more, until it hears one itself.
	EventFollow
	// EventSource: Source is that of our adverts from now on.
	EventSource
	// EventStop: the router stops.
	EventStop
	// EventParams: Params are those from now on, but for Version, Grouped and
	// Address, which stay. An owner stays one, and nobody becomes one. The
	// effective priority is the new one if the configured one changes.
	EventParams
)

// Event is an input of the [Machine].
type Event struct {
	Kind     EventKind
	On       bool          // EventFault, EventFollow, EventYield
	Priority uint8         // EventHeard, EventPriority
	Interval time.Duration // EventHeard
	Source   netip.Addr    // EventHeard, EventSource
	At       time.Duration // EventHeard
	State    State         // EventFollow
	Wait     time.Duration // EventFollow
	Params   *Params       // EventParams
}

// ActionKind is the kind of an [Action].
type ActionKind uint8

// Kinds of actions.
const (
	// ActionState: the state or its reason changed; the machine has both.
	ActionState ActionKind = iota
	// ActionSend: send an advert with Priority now.
	ActionSend
	// ActionAnnounce: teach the neighbours that the addresses are here.
	ActionAnnounce
	// ActionRivalSeen: another router of lower priority is active as well, and
	// spoke later than one does that gives way.
	// ActionRivalGone: no longer.
	ActionRivalSeen
	ActionRivalGone
)

var actionNames = [...]string{
	ActionState: "state", ActionSend: "send", ActionAnnounce: "announce", ActionRivalSeen: "rival-seen", ActionRivalGone: "rival-gone",
}

// String returns the name in lower case, or action(N) for unknown ones.
func (k ActionKind) String() string { return enum.Name("action", actionNames[:], uint8(k)) }

// Action is an output of the [Machine]: an order, or a fact to be told.
type Action struct {
	Kind     ActionKind
	Priority uint8 // ActionSend
}

// Reason is why a router is in its state.
type Reason uint8

// Reasons; String has the words for people.
const (
	// ReasonNone: it has not started.
	ReasonNone Reason = iota
	// ReasonStart: it listens after its start.
	ReasonStart
	// ReasonOwner: it owns the addresses.
	ReasonOwner
	// ReasonActiveHeard: another router is active.
	ReasonActiveHeard
	// ReasonHigherHeard: both were active, and the other one has precedence.
	ReasonHigherHeard
	// ReasonActiveSilent: nothing was heard for the down interval.
	ReasonActiveSilent
	// ReasonActiveStops: the active router stops.
	ReasonActiveStops
	// ReasonPreempt: the active router has a lower priority.
	ReasonPreempt
	// ReasonYielded: handed over by EventYield.
	ReasonYielded
	// ReasonGroup: another member of the group changed.
	ReasonGroup
	// ReasonFault: EventFault is on.
	ReasonFault
	// ReasonFaultCleared: it listens after a fault.
	ReasonFaultCleared
	// ReasonStopped: EventStop came.
	ReasonStopped
)

var reasonNames = [...]string{
	ReasonNone:         "not started",
	ReasonStart:        "just started, listening for the active router",
	ReasonOwner:        "this router owns the addresses",
	ReasonActiveHeard:  "another router is active",
	ReasonHigherHeard:  "another active router has precedence",
	ReasonActiveSilent: "no active router was heard",
	ReasonActiveStops:  "the active router stops",
	ReasonPreempt:      "the active router has a lower priority",
	ReasonYielded:      "handed over by order",
	ReasonGroup:        "moves with its group",
	ReasonFault:        "fault",
	ReasonFaultCleared: "fault mended, listening for the active router",
	ReasonStopped:      "stopping",
}

// String returns a short sentence without a stop.
func (r Reason) String() string { return enum.Name("reason", reasonNames[:], uint8(r)) }

// MarshalText returns the same as String.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (r *Reason) UnmarshalText(text []byte) error {
	v, err := enum.Parse("vrrp", "reason", reasonNames[:], string(text))
	*r = Reason(v)
	return err
}
