package failover

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// EventKind is the kind of an [Event].
type EventKind uint8

// Kinds of events. The fields of Event that each one fills are named.
const (
	// EventRole: the role changed. Role, From, Reason.
	EventRole EventKind = 1 + iota
	// EventPartnerFound, EventPartnerLost: heard, or silent on all channels.
	// Reason of a loss.
	EventPartnerFound
	EventPartnerLost
	// EventChannelFound, EventChannelLost: the partner is heard on this
	// channel, or not any more. Channel, and Reason of a loss.
	EventChannelFound
	EventChannelLost
	// EventChannelTrouble: the channel cannot be opened, or sending fails;
	// it is tried again. EventChannelMended: it works again. Channel, Err.
	EventChannelTrouble
	EventChannelMended
	// EventRefused: packets are refused. Told once a minute for each channel
	// and reason; the status has the numbers. Channel, Reason: the drop's name,
	// or a sentence with the cure if it keeps us from hearing the partner.
	EventRefused
	// EventPartnerDeaf: the partner is heard and says that it does not hear
	// us, or has never heard us. Reason.
	EventPartnerDeaf
	// EventDigestMismatch, EventDigestMatch: the configurations differ, or do
	// not any more. The first is told again when one of them changes and they
	// still differ.
	EventDigestMismatch
	EventDigestMatch
	// EventRivalSeen, EventRivalGone: both nodes are active, or not any more.
	EventRivalSeen
	EventRivalGone
	// EventRoleConflict: both nodes are configured as primary, or neither.
	EventRoleConflict
	// EventAddressTrouble: the role hook failed, or addresses could not be
	// acquired, released or announced; it is tried again. Err.
	// EventAddressMended: it worked.
	EventAddressTrouble
	EventAddressMended
	// EventDocument: what the partner's differing digest stands for is there,
	// see [Node.PartnerDocument]; or, with Err, the partner told something
	// broken, and is not asked again for this digest.
	EventDocument
	// EventMismatch, EventMismatchGone: another router of VRRP is configured
	// in another way, or not any more. The first is told again when the
	// difference is another one, 16 times a minute at most: the status has all.
	// Peer, Reason.
	EventMismatch
	EventMismatchGone
	// EventStalled: a [Router] stood still for more than an interval. Told
	// once a minute; the status has the number. Reason.
	EventStalled
	// EventRemoved: someone else removed an address or a route while we are
	// active; it is put back. Address, Channel, Reason.
	EventRemoved
	// EventClaimed: another machine told the network that an address is at its
	// own hardware address while we are active; it is announced again. The same
	// claim on a device is told once a minute. Address, MAC, Channel, Reason.
	EventClaimed
	// EventDuplicate: the kernel keeps an IPv6 address unusable since another
	// machine has it; it is added again. Address, Channel, Reason.
	EventDuplicate
	// EventUnbelieved: a neighbour, Peer, still sends what is for an address to
	// another machine; it is announced again. Address, Channel, Reason.
	EventUnbelieved
	// EventBeatLost: the process of a [Beat] ended or could not be started, or
	// told something broken. Err, and in Reason what is done about it.
	EventBeatLost
	// EventBeatLimited: the process of a Beat, or the system, does not give
	// what keeps heartbeats going on a busy machine. Reason: what, what is lost
	// by it, and the cure.
	EventBeatLimited
	// EventNewerKey: the partner seals with a key of a higher id than ours;
	// make it the first one here too. Told once for each id. Reason.
	EventNewerKey
	// EventClocksDiffer, EventClocksAgree: the clocks of day of the two nodes
	// differ by more than a second, or by less than half a second again. Nothing
	// is decided by them. Reason.
	EventClocksDiffer
	EventClocksAgree
	// EventVerdicts: a new list of the partner is there, see
	// [Node.PartnerVerdicts]; or, with Err, a broken one. Logged for debugging.
	EventVerdicts
	// EventTakeOverHeld: the partner is silent, and witness or fence do not
	// agree to a take-over; they are asked again. Told once a minute for each of
	// the two. Reason. EventTakeOverFree: they agree.
	EventTakeOverHeld
	EventTakeOverFree
	// EventLegacy: the node starts with [Config].Legacy. Reason.
	EventLegacy
	// EventHandOver: the partner was asked to take over or to hand over, or has
	// begun to take over; nothing has moved yet. EventHandedOver: the partner
	// serves, so this node lets go. EventHandOverFailed: it was not to be; an
	// active node goes on serving, a stopping one does not. Reason.
	EventHandOver
	EventHandedOver
	EventHandOverFailed
)

var eventNames = [...]string{
	EventRole:           "role",
	EventPartnerFound:   "partner-found",
	EventPartnerLost:    "partner-lost",
	EventChannelFound:   "channel-found",
	EventChannelLost:    "channel-lost",
	EventChannelTrouble: "channel-trouble",
	EventChannelMended:  "channel-mended",
	EventRefused:        "refused",
	EventPartnerDeaf:    "partner-deaf",
	EventDigestMismatch: "digest-mismatch",
	EventDigestMatch:    "digest-match",
	EventRivalSeen:      "rival-seen",
	EventRivalGone:      "rival-gone",
	EventRoleConflict:   "role-conflict",
	EventAddressTrouble: "address-trouble",
	EventAddressMended:  "address-mended",
	EventDocument:       "partner-document",
	EventMismatch:       "mismatch",
	EventMismatchGone:   "mismatch-gone",
	EventStalled:        "stalled",
	EventRemoved:        "address-removed",
	EventClaimed:        "address-claimed",
	EventDuplicate:      "address-duplicate",
	EventUnbelieved:     "address-unbelieved",
	EventBeatLost:       "beat-lost",
	EventBeatLimited:    "beat-limited",
	EventNewerKey:       "newer-key",
	EventClocksDiffer:   "clocks-differ",
	EventClocksAgree:    "clocks-agree",
	EventVerdicts:       "partner-verdicts",
	EventTakeOverHeld:   "take-over-held",
	EventTakeOverFree:   "take-over-free",
	EventLegacy:         "legacy",
	EventHandOver:       "hand-over",
	EventHandedOver:     "handed-over",
	EventHandOverFailed: "hand-over-failed",
}

// String returns the name in lower case, or event(N) for unknown ones.
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return "event(" + strconv.Itoa(int(k)) + ")"
}

// MarshalText returns the same as String.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (k *EventKind) UnmarshalText(text []byte) error {
	for i, n := range eventNames {
		if n != "" && n == string(text) {
			*k = EventKind(i)
			return nil
		}
	}
	var v uint8
	if _, err := fmt.Sscanf(string(text), "event(%d)", &v); err == nil && EventKind(v).String() == string(text) {
		*k = EventKind(v)
		return nil
	}
	return fmt.Errorf("failover: unknown event %.40q", text)
}

// Event is something that happened to a [Node] or a [Router].
type Event struct {
	Time   time.Time
	Kind   EventKind
	Role   Role
	From   Role
	Reason string
	// Channel is the name of a channel of a Node, and the device of a Router or
	// of an Address.
	Channel string
	// Peer is the other router or the neighbour that an event is about, if any.
	Peer netip.Addr
	// Address is the virtual address that an event is about, if it is about
	// one, and MAC the hardware address of another machine that claims it.
	Address netip.Addr
	MAC     net.HardwareAddr
	Err     error
}

// String returns a line for a log, without the time.
func (e Event) String() string {
	s := e.Kind.String()
	if e.Kind == EventRole {
		s += " " + e.From.String() + " -> " + e.Role.String()
	}
	if e.Address.IsValid() {
		s += " address " + e.Address.String()
	}
	if e.Channel != "" {
		s += " channel " + e.Channel
	}
	if len(e.MAC) > 0 {
		s += " mac " + e.MAC.String()
	}
	if e.Peer.IsValid() {
		s += " peer " + e.Peer.String()
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// maxEvents bounds the events that wait for a slow OnEvent.
const maxEvents = 256

// eventQueue logs events and hands them to the callback, in order and without
// making anyone wait.
type eventQueue struct {
	log  *slog.Logger
	call func(Event) // nil: nobody listens
	wake chan struct{}

	mu   sync.Mutex
	wait []happening
	lost uint64
}

// happening is an event, or a line that the beat process has for the log.
type happening struct {
	event Event
	line  *wireLog
}

func newEventQueue(log *slog.Logger, call func(Event)) *eventQueue {
	return &eventQueue{log: log, call: call, wake: make(chan struct{}, 1)}
}

// emit queues one event; it never waits, so it may be called with locks held.
func (q *eventQueue) emit(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	q.put(happening{event: e})
}

func (q *eventQueue) put(h happening) {
	q.mu.Lock()
	if len(q.wait) == maxEvents {
		q.wait = q.wait[:copy(q.wait, q.wait[1:])]
		q.lost++
	}
	q.wait = append(q.wait, h)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) losses() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// run calls back until ctx ends, and then for what is left.
func (q *eventQueue) run(ctx context.Context) {
	for {
		q.mu.Lock()
		batch := q.wait
		q.wait = nil
		q.mu.Unlock()
		for _, h := range batch {
			if h.line != nil {
				h.line.log(q.log)
			} else {
				q.tell(h.event)
			}
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			q.mu.Lock()
			n := len(q.wait)
			q.mu.Unlock()
			if n == 0 {
				return
			}
		}
	}
}

// tell logs one event and hands it to the callback.
func (q *eventQueue) tell(e Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case EventPartnerLost, EventChannelLost, EventChannelTrouble, EventRefused, EventPartnerDeaf,
		EventDigestMismatch, EventRivalSeen, EventRoleConflict, EventAddressTrouble, EventMismatch, EventStalled,
		EventRemoved, EventClaimed, EventDuplicate, EventUnbelieved, EventBeatLost, EventBeatLimited,
		EventNewerKey, EventClocksDiffer, EventHandOverFailed:
		level = slog.LevelWarn
	case EventVerdicts:
		level = slog.LevelDebug
	case EventDocument:
		if e.Err == nil { // what it says is news, not that it came
			level = slog.LevelDebug
		}
	case EventLegacy, EventTakeOverHeld: // of the heartbeat
		level = slog.LevelWarn
	}
	var attrs []slog.Attr
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if e.Kind == EventRole {
		add("role", e.Role.String())
		add("from", e.From.String())
	}
	if e.Address.IsValid() {
		add("address", e.Address.String())
	}
	switch e.Kind {
	case EventRemoved, EventClaimed, EventDuplicate, EventUnbelieved:
		add("device", e.Channel)
	default:
		add("channel", e.Channel)
	}
	if len(e.MAC) > 0 {
		add("mac", e.MAC.String())
	}
	if e.Peer.IsValid() {
		add("peer", e.Peer.String())
	}
	add("reason", e.Reason)
	if e.Err != nil {
		add("error", e.Err.Error())
	}
	q.log.LogAttrs(context.Background(), level, "failover: "+e.Kind.String(), attrs...)
	if q.call != nil {
		q.call(e)
	}
}
