package pulse

import (
	"time"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// EventKind is the kind of an [Event].
type EventKind uint8

// Kinds of events.
const (
	// EventTick: time has passed, nothing else.
	EventTick EventKind = iota
	// EventHeard: an authentic, new packet came in. Proof says for what it
	// counts, Beat is its content, At the time of its arrival.
	EventHeard
	// EventStall: the node itself stood still for longer than an interval, so
	// that what looks like silence may be unread packets.
	EventStall
	// EventFault: On says whether the node is unable to serve.
	EventFault
	// EventBlind: On says whether no channel can be heard at all for a reason
	// of our own, as when no socket could be opened.
	EventBlind
	// EventServing: On says whether what serving takes is done: hook and
	// addresses are through and the neighbours know.
	EventServing
	// EventYield: an operator wants the partner to take over.
	EventYield
	// EventTake: an operator wants this node to take over from the partner.
	EventTake
	// EventCleared: the take-over that [Machine.Waits] for it may go on.
	EventCleared
	// EventLeave: the node stops.
	EventLeave
)

// Event is an input of the [Machine].
type Event struct {
	Kind    EventKind
	On      bool          // EventFault, EventBlind, EventServing
	Channel int           // EventHeard
	Proof   Proof         // EventHeard
	At      time.Duration // EventHeard
	Beat    *Beat         // EventHeard; not kept
}

// ActionKind is the kind of an [Action].
type ActionKind uint8

// Kinds of actions.
const (
	// ActionState: the state or its reason changed; the machine has both.
	ActionState ActionKind = iota
	// ActionSend: send a beat now, do not wait for the interval.
	ActionSend
	// ActionAnnounce: teach the neighbours again that the addresses are here.
	ActionAnnounce
	// ActionPartnerFound and ActionPartnerLost: heard for the first time or
	// again; silent on all channels.
	ActionPartnerFound
	ActionPartnerLost
	// ActionChannelFound and ActionChannelLost: the same of one channel.
	ActionChannelFound
	ActionChannelLost
	// ActionRivalSeen: both nodes are active. ActionRivalGone: no longer.
	ActionRivalSeen
	ActionRivalGone
	// ActionRoleConflict: both nodes are primary by configuration, or neither.
	ActionRoleConflict
	// ActionHandOver: the partner is asked to take over, and this node serves
	// until it does. ActionHandOverTaken: the partner is active and not serving
	// yet. ActionHandedOver: it serves, so this node lets go.
	// ActionHandOverFailed: it refused, fell silent or did not come to serve in
	// time; a leaving node lets go nevertheless, another one stays active.
	ActionHandOver
	ActionHandOverTaken
	ActionHandedOver
	ActionHandOverFailed
	// ActionTakeAsked: the partner is asked to hand over. ActionTakeFailed: it
	// did not.
	ActionTakeAsked
	ActionTakeFailed
)

// Action is an output of the [Machine]: an order, or a fact to be told.
type Action struct {
	Kind    ActionKind
	Channel int // ActionChannelFound, ActionChannelLost
}

// Reason is why a node is in its state.
type Reason uint8

// Reasons; String has the words for people.
const (
	// ReasonStart: the node listens after its start.
	ReasonStart Reason = iota
	// ReasonAlone: there is no channel, hence no partner.
	ReasonAlone
	// ReasonPartnerActive: the partner serves.
	ReasonPartnerActive
	// ReasonPartnerPreferred: neither serves, and the partner may go first.
	ReasonPartnerPreferred
	// ReasonPartnerInactive: neither served.
	ReasonPartnerInactive
	// ReasonPartnerFault: the partner cannot serve.
	ReasonPartnerFault
	// ReasonPartnerLeaving: the partner stops.
	ReasonPartnerLeaving
	// ReasonPartnerYields: the partner hands over.
	ReasonPartnerYields
	// ReasonPartnerSilent: nothing was heard for the dead time.
	ReasonPartnerSilent
	// ReasonRivalPreferred: both served, the partner goes on.
	ReasonRivalPreferred
	// ReasonRivalDeaf: both served, and only we can know of it.
	ReasonRivalDeaf
	// ReasonPartnerKeeps: the partner was about to hand over and did not.
	ReasonPartnerKeeps
	// ReasonUncleared: nothing was heard for the dead time, and EventCleared
	// has not come.
	ReasonUncleared
	// ReasonYielded: handed over by EventYield, or by the partner's request.
	ReasonYielded
	// ReasonFault: EventFault is on.
	ReasonFault
	// ReasonFaultCleared: the node listens after a fault.
	ReasonFaultCleared
	// ReasonBlind: EventBlind is on.
	ReasonBlind
	// ReasonStopped: EventLeave came.
	ReasonStopped
)

var reasonNames = [...]string{
	ReasonStart:            "just started, listening for the partner",
	ReasonAlone:            "no partner is configured",
	ReasonPartnerActive:    "the partner is active",
	ReasonPartnerPreferred: "neither node is active, waiting a moment for the primary",
	ReasonPartnerInactive:  "neither node was active",
	ReasonPartnerFault:     "the partner reports a fault",
	ReasonPartnerLeaving:   "the partner is stopping",
	ReasonPartnerYields:    "the partner hands over",
	ReasonPartnerSilent:    "the partner is silent on all channels",
	ReasonRivalPreferred:   "both nodes were active and the partner has precedence",
	ReasonRivalDeaf:        "both nodes were active and the partner does not hear us",
	ReasonPartnerKeeps:     "the partner did not hand over after all",
	ReasonUncleared:        "the partner is silent on all channels, and the take-over is not cleared yet",
	ReasonYielded:          "handed over by order",
	ReasonFault:            "fault",
	ReasonFaultCleared:     "fault mended, listening for the partner",
	ReasonBlind:            "no channel can be heard, so silence proves nothing",
	ReasonStopped:          "stopping",
}

// String returns a short sentence without a stop.
func (r Reason) String() string { return enum.Name("reason", reasonNames[:], uint8(r)) }

// MarshalText returns the same as String.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (r *Reason) UnmarshalText(text []byte) error {
	v, err := enum.Parse("pulse", "reason", reasonNames[:], string(text))
	*r = Reason(v)
	return err
}
