package director

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/control"
)

// maxSightings bounds what is remembered; it is far above what one director
// carries of addresses with trouble.
const maxSightings = 256

// sightings remember what others did to the addresses: the last of each kind
// for each address. They belong to the loop's goroutine.
type sightings map[sighted]*control.Sighting

type sighted struct {
	kind    failover.EventKind
	address netip.Addr
}

// take takes an event if it is one.
func (s sightings) take(e failover.Event) {
	switch e.Kind {
	case failover.EventRemoved, failover.EventClaimed, failover.EventDuplicate, failover.EventUnbelieved:
	default:
		return
	}
	key := sighted{e.Kind, e.Address}
	was := s[key]
	if was == nil {
		if len(s) >= maxSightings {
			return
		}
		was = &control.Sighting{Kind: e.Kind.String(), Address: e.Address.String()}
		s[key] = was
	}
	was.At, was.Reason = e.Time, e.Reason
	was.Count++
}

// list is in the order in which they were seen.
func (s sightings) list() (out []control.Sighting) {
	for _, x := range s {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b control.Sighting) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Address, b.Address))
	})
	return out
}
