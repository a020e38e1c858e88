package failover

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// verifyAfter are the moments, after addresses were acquired or claimed by
// someone else, at which neighbours are asked whether they believe us. A
// neighbour that does at one of them is asked no more.
var verifyAfter = [...]time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}

const (
	// verifyAgain is how often neighbours are asked that do not believe us.
	verifyAgain = 30 * time.Second
	// verifyPause is the least time between two verifications: who claims an
	// address without end has the neighbours asked no more often.
	verifyPause = time.Second
	// verifyWait is how long an answer is waited for.
	verifyWait = 500 * time.Millisecond
)

// Belief is what is known of a neighbour's opinion on where an address is.
type Belief uint8

// Opinions of a neighbour.
const (
	// BeliefUnknown: there is no neighbour to ask, or it does not answer to our
	// own address either.
	BeliefUnknown Belief = iota
	// BeliefVerified: what the neighbour sends to the address arrives here.
	BeliefVerified
	// BeliefDoubted: the neighbour answers our own address again and again and
	// never this one: it still sends that to another machine, or drops it.
	BeliefDoubted
)

var beliefNames = []string{BeliefUnknown: "unknown", BeliefVerified: "verified", BeliefDoubted: "doubted"}

// String returns the name in lower case, or belief(N) for unknown ones.
func (b Belief) String() string { return enum.Name("belief", beliefNames, uint8(b)) }

// MarshalText returns the same as String.
func (b Belief) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (b *Belief) UnmarshalText(text []byte) error {
	v, err := enum.Parse("failover", "belief", beliefNames, string(text))
	if err == nil {
		*b = Belief(v)
	}
	return err
}

// AddressStatus is what is known of one virtual address.
type AddressStatus struct {
	VirtualAddress
	// Held: it was acquired, and not released since. It is false for one of a set
	// that could not be added.
	Held bool `json:"held"`
	// Belief is that of Neighbour, the gateway as a rule, at the moment
	// Checked; Reason says why it is not verified. Nothing is known of
	// addresses that are not held.
	Belief    Belief     `json:"belief"`
	Neighbour netip.Addr `json:"neighbour,omitzero"`
	Checked   time.Time  `json:"checked,omitzero"`
	Reason    string     `json:"reason,omitempty"`
	// ClaimedBy is the hardware address of the machine that was the last one to
	// tell the network that it has the address, and when. While the address is
	// not held here it is the rightful owner.
	ClaimedBy string    `json:"claimed_by,omitempty"`
	ClaimedAt time.Time `json:"claimed_at,omitzero"`
}

// standing is what was found out about an address on a device.
type standing struct {
	belief    Belief
	neighbour netip.Addr
	checked   time.Time
	reason    string
	claimant  net.HardwareAddr // not changed
	claimed   time.Time
}

// place is where an address is.
type place struct {
	addr   netip.Addr
	device string
}

// Status returns what is known of each address, in the order of the set.
// Without Watch that is only whether it is held. Of addresses in a beat process
// the status of the [Node] or [Router] tells.
func (a *Addresses) Status() []AddressStatus {
	a.mu.Lock()
	distant := a.distant
	a.mu.Unlock()
	if distant != nil {
		if out, ok := distant.addresses(); ok {
			return out
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]AddressStatus, 0, len(a.addrs))
	for _, v := range a.addrs {
		s := AddressStatus{VirtualAddress: v, Held: a.held && !slices.Contains(a.lacks, v)}
		if k := a.standings[place{v.Prefix.Addr(), v.Device}]; k != nil {
			if a.held {
				s.Belief, s.Neighbour, s.Checked, s.Reason = k.belief, k.neighbour, k.checked, k.reason
			}
			if !k.claimed.IsZero() {
				s.ClaimedBy, s.ClaimedAt = k.claimant.String(), k.claimed
			}
		}
		out = append(out, s)
	}
	return out
}

// standing returns what is noted of an address of the set, nil for others. The
// caller holds mu.
func (a *Addresses) standing(p place) *standing {
	k := a.standings[p]
	if k != nil {
		return k
	}
	for _, v := range a.addrs {
		if v.Prefix.Addr() == p.addr && v.Device == p.device {
			if a.standings == nil {
				a.standings = make(map[place]*standing)
			}
			k = new(standing)
			a.standings[p] = k
			break
		}
	}
	return k
}

// claimedBy notes a claim, and has the neighbours asked whom they believe if it
// is not that of the rightful owner.
func (a *Addresses) claimedBy(s Sighting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.standing(place{s.Address, s.Device}); k != nil {
		k.claimant, k.claimed = s.MAC, time.Now()
	}
	if a.held {
		a.askNeighbours()
	}
}

// askNeighbours begins a verification anew.
func (a *Addresses) askNeighbours() {
	select {
	case a.verify <- struct{}{}:
	default:
	}
}

// question is one address and the neighbour that is asked about it, through
// several tries.
type question struct {
	device    string
	index     int
	address   netip.Addr
	neighbour netip.Addr
	own       netip.Addr // the machine's, to compare; zero: it has none there
	ownIndex  int        // of the device that it is on

	tries     int // of the address
	believed  bool
	ownHeard  int   // tries in which the own address was answered
	trouble   error // the last time
	doubtTold bool
}

// judge says what the answers mean. Who is not heard at all has no opinion that
// we know of.
func (q *question) judge() (Belief, string) {
	switch {
	case q.believed:
		return BeliefVerified, ""
	case q.tries >= len(verifyAfter) && q.ownHeard >= 2:
		return BeliefDoubted, fmt.Sprintf("%v answers %v and not %v: it still sends that to another machine, or one of us drops it", q.neighbour, q.own, q.address)
	case q.trouble != nil:
		return BeliefUnknown, q.trouble.Error()
	case q.ownHeard > 0:
		return BeliefUnknown, fmt.Sprintf("%v answers %v, and %v not yet", q.neighbour, q.own, q.address)
	case q.own.IsValid():
		return BeliefUnknown, fmt.Sprintf("%v answers no echo requests", q.neighbour)
	}
	return BeliefUnknown, fmt.Sprintf("%v answers no echo request from %v, and there is no other address on %s to compare", q.neighbour, q.address, q.device)
}

// judged notes the outcome. It reports whether a doubt is new.
func (a *Addresses) judged(q *question) (doubt bool) {
	belief, reason := q.judge()
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.standing(place{q.address, q.device})
	if k == nil || !a.held {
		return false
	}
	k.belief, k.reason, k.neighbour, k.checked = belief, reason, q.neighbour, time.Now()
	doubt = belief == BeliefDoubted && !q.doubtTold
	q.doubtTold = belief == BeliefDoubted
	return doubt
}

// nobody notes addresses that there is no neighbour to ask about.
func (a *Addresses) nobody(addrs []VirtualAddress, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range addrs {
		if k := a.standing(place{v.Prefix.Addr(), v.Device}); k != nil {
			k.belief, k.reason, k.neighbour, k.checked = BeliefUnknown, reason, netip.Addr{}, time.Now()
		}
	}
}
