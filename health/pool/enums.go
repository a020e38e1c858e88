package pool

import (
	"fmt"
	"slices"
)

// Admin is what the operator wants of a member, whatever its checks say.
type Admin uint8

// The orders. The zero value is Ready.
const (
	// Ready leaves it to the checks.
	Ready Admin = iota
	// Drain gives no new clients: weight 0 as long as the checks are good, so
	// that what is there can end. A member that fails meanwhile is treated as
	// any that fails.
	Drain
	// Maintenance gives no new clients: weight 0 whatever the checks say.
	Maintenance
)

var adminNames = []string{Ready: "ready", Drain: "drain", Maintenance: "maintenance"}

// String returns "ready", "drain", "maintenance", or "admin(N)" for a number
// that this version does not know.
func (a Admin) String() string { return nameOf(uint8(a), adminNames, "admin") }

// MarshalText writes the same text as String.
func (a Admin) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Admin) UnmarshalText(text []byte) error { return read(a, text, adminNames, "admin") }

// Quorum tells whether a group has enough live weight.
type Quorum uint8

// The states of a quorum. The zero value is Undecided.
const (
	// Undecided means that too few members have answered to tell.
	Undecided Quorum = iota
	// Gained means that there is enough.
	Gained
	// Lost means that there is not.
	Lost
)

var quorumNames = []string{Undecided: "undecided", Gained: "gained", Lost: "lost"}

// String returns "undecided", "gained", "lost", or "quorum(N)" for a number
// that this version does not know.
func (q Quorum) String() string { return nameOf(uint8(q), quorumNames, "quorum") }

// MarshalText writes the same text as String.
func (q Quorum) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (q *Quorum) UnmarshalText(text []byte) error { return read(q, text, quorumNames, "quorum") }

// Cause is what decided on a member.
type Cause uint8

// The causes. The zero value stands for no decision.
const (
	// CauseNone is the cause of nothing.
	CauseNone Cause = iota
	// CauseUp: it is up and serves.
	CauseUp
	// CauseDown: its checks fail.
	CauseDown
	// CauseUnasked: it has no verdict and is not in the table.
	CauseUnasked
	// CauseFound: it has no verdict and stays as it was found.
	CauseFound
	// CauseDrain and CauseMaintenance are the operator's orders.
	CauseDrain
	CauseMaintenance
	// CauseTold: its check or its agent tells a weight of 0.
	CauseTold
	// CauseConfigured: it is configured with weight 0.
	CauseConfigured
	// CauseQuorum: sorry servers serve in its place.
	CauseQuorum
	// CausePanic: it is down, and kept since too few are up.
	CausePanic
	// CauseSorry: it is a sorry server, and serves.
	CauseSorry
	// CauseStandby: it is a sorry server that is not needed.
	CauseStandby
)

var causeNames = []string{
	CauseNone: "none", CauseUp: "up", CauseDown: "down", CauseUnasked: "unasked", CauseFound: "found", CauseDrain: "drain",
	CauseMaintenance: "maintenance", CauseTold: "told", CauseConfigured: "configured", CauseQuorum: "quorum", CausePanic: "panic",
	CauseSorry: "sorry", CauseStandby: "standby",
}

// String returns the cause in one word, or "cause(N)" for a number that this
// version does not know.
func (c Cause) String() string { return nameOf(uint8(c), causeNames, "cause") }

// MarshalText writes the same text as String.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Cause) UnmarshalText(text []byte) error { return read(c, text, causeNames, "cause") }

// Phase is how far a wave of failures has been looked into; see [Wave].
type Phase uint8

// The phases. The zero value is Calm.
const (
	// Calm: failures are believed as they come.
	Calm Phase = iota
	// Asking: too many failed at once, and the control target is being asked.
	Asking
	// Holding: the control target does not answer either, so it is us. All
	// keep the states that they had before the wave.
	Holding
	// Settling: the control target answers again, and the others get the time
	// of a window to do so too.
	Settling
	// Granted: the control target answers, so the failures are real.
	Granted
)

var phaseNames = []string{Calm: "calm", Asking: "asking", Holding: "holding", Settling: "settling", Granted: "granted"}

// String returns the phase in one word, or "phase(N)" for a number that this
// version does not know.
func (p Phase) String() string { return nameOf(uint8(p), phaseNames, "phase") }

// MarshalText writes the same text as String.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Phase) UnmarshalText(text []byte) error { return read(p, text, phaseNames, "phase") }

func nameOf(n uint8, names []string, kind string) string {
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%s(%d)", kind, n)
}

// read finds text among names, or reads the "kind(N)" form that nameOf gives
// to numbers without a name.
func read[E ~uint8](to *E, text []byte, names []string, kind string) error {
	if i := slices.Index(names, string(text)); i >= 0 {
		*to = E(i)
		return nil
	}
	var n uint8
	if _, err := fmt.Sscanf(string(text), kind+"(%d)", &n); err == nil && string(text) == fmt.Sprintf("%s(%d)", kind, n) {
		*to = E(n)
		return nil
	}
	return fmt.Errorf("%s %q: want one of %q", kind, text, names)
}
