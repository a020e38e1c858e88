package director

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

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

// claimed is the last claim of another machine to one of some addresses, nil if
// there was none after a moment.
func (s sightings) claimed(after time.Time, addresses []failover.VirtualAddress) (last *control.Sighting) {
	for key, x := range s {
		ours := slices.ContainsFunc(addresses, func(a failover.VirtualAddress) bool { return a.Prefix.Addr() == key.address })
		if key.kind == failover.EventClaimed && ours && x.At.After(after) && (last == nil || x.At.After(last.At)) {
			last = x
		}
	}
	return last
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
