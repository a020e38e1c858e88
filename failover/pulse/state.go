package pulse

import "github.com/lvskit/lvskit/failover/internal/enum"

// State is what a node says about itself. The zero value is no state.
type State uint8

// States of a node. The numbers are those of the wire.
const (
	// StateInit listens for the partner and has not decided yet.
	StateInit State = 1 + iota
	// StateBackup is able to serve and leaves it to the partner.
	StateBackup
	// StateActive serves.
	StateActive
	// StateFault is unable to serve by its own account.
	StateFault
	// StateLeaving is stopping: the partner should take over at once.
	StateLeaving
)

var stateNames = [...]string{
	StateInit:    "init",
	StateBackup:  "backup",
	StateActive:  "active",
	StateFault:   "fault",
	StateLeaving: "leaving",
}

// String returns the name in lower case, or state(N) for unknown ones.
func (s State) String() string { return enum.Name("state", stateNames[:], uint8(s)) }

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (s *State) UnmarshalText(text []byte) error {
	v, err := enum.Parse("pulse", "state", stateNames[:], string(text))
	*s = State(v)
	return err
}

// Drop is the reason for which a packet was refused, or counted although a
// part of it was used. The zero value, DropNone, is no reason.
type Drop uint8

// Reasons to refuse a packet, in the order of the checks.
const (
	// DropNone: the packet was accepted.
	DropNone Drop = iota
	// DropSource: it came from another address than the channel's partner.
	DropSource
	// DropSize: it is not [Size] bytes long, or beyond the bounds of a piece.
	DropSize
	// DropMagic: it begins neither as a heartbeat nor as a piece.
	DropMagic
	// DropVersion: another version of the protocol.
	DropVersion
	// DropUnknownKey: sealed with a key whose id this node does not have.
	DropUnknownKey
	// DropKey: the HMAC or tag does not match; another key under the same id,
	// or a forgery.
	DropKey
	// DropField: authentic, but a field is out of range.
	DropField
	// DropOwn: one of our own packets came back.
	DropOwn
	// DropUnproven: authentic, of an unknown boot, without an echo of our
	// challenge. The first packets of each contact are of this kind; if it
	// goes on, the partner does not hear us, or old packets are replayed.
	DropUnproven
	// DropReplay: the sequence did not grow.
	DropReplay
	// DropLegacy: a heartbeat of Piranha's pulse, which a node must be
	// configured for.
	DropLegacy
	// DropMode: a heartbeat of Piranha's pulse that is not about balancing.
	DropMode
	// DropChannel: sent on another channel than it came in on. The partner
	// lists its channels in another order; it counts as alive nevertheless.
	DropChannel

	// DropCount is the number of reasons, DropNone included.
	DropCount = iota
)

var dropNames = [...]string{
	DropNone:       "none",
	DropSource:     "wrong-source",
	DropSize:       "wrong-size",
	DropMagic:      "bad-magic",
	DropVersion:    "bad-version",
	DropUnknownKey: "unknown-key",
	DropKey:        "bad-key",
	DropField:      "bad-field",
	DropOwn:        "own-packet",
	DropUnproven:   "unproven",
	DropReplay:     "replay",
	DropLegacy:     "legacy",
	DropMode:       "other-mode",
	DropChannel:    "wrong-channel",
}

// String returns the name in lower case, or drop(N) for unknown ones.
func (d Drop) String() string { return enum.Name("drop", dropNames[:], uint8(d)) }

// MarshalText returns the same as String.
func (d Drop) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (d *Drop) UnmarshalText(text []byte) error {
	v, err := enum.Parse("pulse", "drop", dropNames[:], string(text))
	*d = Drop(v)
	return err
}

// Error makes a Drop usable as the error of [Codec.Open].
func (d Drop) Error() string { return "pulse: packet refused: " + d.String() }
