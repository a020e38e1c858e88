package vrrp

import (
	"time"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// Verdict is what a group has to do, see [Agree].
type Verdict uint8

// Verdicts on a group.
const (
	// VerdictStay: the members are together, or wait for each other.
	VerdictStay Verdict = iota
	// VerdictUp: all members become active.
	VerdictUp
	// VerdictDown: one of them has ceased to be active, and the others follow.
	VerdictDown
)

var verdictNames = [...]string{VerdictStay: "stay", VerdictUp: "up", VerdictDown: "down"}

// String returns the name in lower case, or verdict(N) for unknown ones.
func (v Verdict) String() string { return enum.Name("verdict", verdictNames[:], uint8(v)) }

// Agree decides for routers of one node that are active together or not at all.
// Their times are those of one clock, and all are Params.Grouped. It returns the
// member that the verdict is due to, or -1.
//
// One member that is ready takes all. It has to wait for a member that is no
// backup or has not listened yet after a start or a fault, and for one that has
// heard a better router since: in the last interval and a half, when the ready
// one had missed all adverts but the last that it may miss. So a dead node is
// found by the quickest member, and where only one of several links is broken
// nothing moves, as the members that still hear the active node would have to give
// way again: where the intervals differ that happens once, and then all have to be
// ready. After a stop it waits for who has heard a better router since then, and
// where another member was told of the stop, for the skew of that one.
// Members whose priorities
// contradict each other come to rest by the same rule: whoever serves goes on.
func Agree(members []*Machine) (v Verdict, by int) {
	active, idle := 0, -1
	for i, m := range members {
		if m.state == StateActive {
			active++
		} else if idle < 0 {
			idle = i
		}
	}
	switch {
	case active > 0 && idle >= 0:
		return VerdictDown, idle
	case active > 0:
		return VerdictStay, -1
	}
	for i, m := range members {
		if m.ready && Waiting(members, i) < 0 {
			return VerdictUp, i
		}
	}
	return VerdictStay, -1
}

// Follow returns the event that lets all members follow a verdict other than
// VerdictStay, and to which of them it comes with On set, or -1. by is whom the
// verdict is due to, up who made the group active last, or -1. patience is a
// random time up to an interval: another group may have given way to this one
// at the same moment, and is not to come back at the same moment, too.
func Follow(members []*Machine, v Verdict, by, up int, patience time.Duration) (e Event, wrong int) {
	if v == VerdictUp {
		return Event{Kind: EventFollow, State: StateActive}, -1
	}
	e, wrong = Event{Kind: EventFollow, State: StateBackup, Wait: patience}, -1
	if members[by].reason == ReasonHigherHeard && by != up {
		wrong = up
	}
	return e, wrong
}

// Waiting returns the first member that the ready one of the number i waits
// for, or -1.
func Waiting(members []*Machine, i int) int {
	m := members[i]
	doubted, soon, due := m.doubted, m.soon, m.base
	if !soon {
		due += time.Duration(m.p.DownAdverts-1) * m.learned
		if m.p.DownAdverts > 2 {
			due -= m.learned / 2 // on a link that works the next advert may be late
		}
	}
	for j, m := range members {
		switch {
		case j == i || m.ready:
		case doubted, m.state != StateBackup, m.listening, m.soon && !soon, !m.soon && m.base > due:
			return j
		}
	}
	return -1
}
