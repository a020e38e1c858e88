package ipvs

import (
	"cmp"
	"slices"
	"time"
)

// Drain is a destination that leaves: it takes no new connections (weight 0)
// and is removed when it carries none any more, or at its deadline.
type Drain struct {
	Service     ServiceKey     `json:"service"`
	Destination DestinationKey `json:"destination"`
	// Since is when it began, Deadline when it ends at the latest.
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline"`
	// Active, Inactive and Persistent are the connections and persistence
	// templates as last counted, at Counted; zero before the first time.
	Active     uint32    `json:"active"`
	Inactive   uint32    `json:"inactive"`
	Persistent uint32    `json:"persistent"`
	Counted    time.Time `json:"counted,omitzero"`
}

// drain is a Drain with what the reconciler alone has to know.
type drain struct {
	Drain
	// over: it may be removed. Only a destination that comes back into the
	// wanted table takes that away.
	over bool
}

// count takes over what was read, and tells whether the destination carries
// nothing any more. Numbers from before the weight was 0 do not count.
func (d *drain) count(s *DestinationState, now time.Time) bool {
	d.Active, d.Inactive, d.Persistent, d.Counted = s.Active, s.Inactive, s.Persistent, now
	return s.Weight == 0 && isDrained(d.Service, s)
}

// isDrained tells whether a destination of weight 0 carries nothing that its
// removal would cut. What counts depends on the protocol, as the kernel
// counts (net/netfilter/ipvs/ip_vs_proto_*.c):
//
//   - TCP and SCTP connections are active while they are established; the
//     inactive ones are opening or closing and need no server much longer.
//   - UDP has no states: its connections are always inactive and live until
//     the UDP time-out (300 s) after the last packet.
//   - A firewall mark takes all protocols, so both count.
//
// A persistence template is a promise to send a client's next connection to
// the same server, which the kernel keeps even at weight 0 unless
// net.ipv4.vs.expire_quiescent_template is 1. So templates count for every
// protocol: without that setting a persistent service drains no faster than
// its clients' persistence ends.
func isDrained(of ServiceKey, s *DestinationState) bool {
	if s.Active > 0 || s.Persistent > 0 {
		return false
	}
	if of.IsMark() || of.Protocol != TCP && of.Protocol != SCTP {
		return s.Inactive == 0
	}
	return true
}

// leavingDestinations returns those of have that want does not hold.
func leavingDestinations(have, want []Destination) []Destination {
	if slices.EqualFunc(have, want, func(h, w Destination) bool { return h.Key == w.Key }) {
		return nil
	}
	wanted := make(map[DestinationKey]struct{}, len(want))
	for i := range want {
		wanted[canonicalAddrPort(want[i].Key)] = struct{}{}
	}
	var leaving []Destination
	for _, d := range have {
		if _, ok := wanted[d.Key]; !ok {
			leaving = append(leaving, d)
		}
	}
	return leaving
}

// withDraining returns the table of a service while destinations leave it:
// what is wanted, and behind that the leaving ones as they are but with
// weight 0.
func withDraining(want Entry, leaving []Destination) Entry {
	if len(leaving) == 0 {
		return want
	}
	all := append(make([]Destination, 0, len(want.Destinations)+len(leaving)), want.Destinations...)
	for _, d := range leaving {
		d.Weight = 0
		all = append(all, d)
	}
	return Entry{Service: want.Service, Destinations: all}
}

func sortDrains(list []Drain) {
	slices.SortFunc(list, func(a, b Drain) int {
		return cmp.Or(a.Service.Compare(b.Service), a.Destination.Compare(b.Destination))
	})
}
