package failover

import (
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// refusals remember which packets from the partner's own address are refused,
// so that a partner that speaks and is not believed is not called silent. The
// entries are by reason: what somebody sends under the partner's address
// cannot hide another reason.
type refusals [pulse.DropCount]spell

// spell is an unbroken row of refusals for one reason.
type spell struct {
	since, last time.Duration
	seen        bool
}

// note takes in that a packet was refused. A pause of more than dead begins
// the spell anew.
func (r *refusals) note(d pulse.Drop, now, dead time.Duration) {
	switch d {
	case pulse.DropSource, pulse.DropOwn, pulse.DropReplay, pulse.DropChannel:
		// Not from the partner; or a copy of what is taken in otherwise.
		return
	}
	s := &r[d]
	if !s.seen || now-s.last > dead {
		*s = spell{since: now, seen: true}
	}
	s.last = now
}

// current returns the reason for which packets were refused within the last
// dead time, the latest of several; DropNone if none were. Unproven packets
// begin each contact, so they count only when they have gone on for dead.
func (r *refusals) current(now, dead time.Duration) pulse.Drop {
	found := pulse.DropNone
	for i := range r {
		s, d := &r[i], pulse.Drop(i)
		if !s.seen || now-s.last > dead || d == pulse.DropUnproven && s.last-s.since < dead {
			continue
		}
		if found == pulse.DropNone || s.last >= r[found].last {
			found = d
		}
	}
	return found
}

// refused returns why the partner is not believed although packets come from
// its address, or DropNone. A partner that is heard is believed: what is
// refused beside its heartbeats is not from it. The caller holds mu.
func (n *Node) refused(now time.Duration) pulse.Drop {
	if n.machine.Hears() {
		return pulse.DropNone
	}
	return n.refusals.current(now, n.cfg.DeadAfter)
}

// complaint names a reason to refuse with what mends it.
func (n *Node) complaint(d pulse.Drop) string {
	text := "the partner's heartbeats are refused (" + d.String() + "): "
	switch d {
	case pulse.DropSize, pulse.DropMagic:
		if n.cfg.Legacy {
			return text + "this router is configured for a partner that runs Piranha's pulse, and that one does not"
		}
	case pulse.DropKey:
		return text + "give both routers the same key"
	case pulse.DropLegacy:
		return text + "it runs Piranha's pulse; run this program there too, or say so in the configuration for the time of the migration"
	case pulse.DropMode:
		return text + "it runs Piranha's pulse for fos, and this router balances"
	case pulse.DropUnknownKey:
		return text + "it seals with a key whose id this router does not have; add that key here"
	case pulse.DropUnproven:
		return text + "it does not hear this router, or someone replays old packets; look at the way from here to it"
	}
	return text + "run the same version on both routers, and nothing else on the partner's port"
}
