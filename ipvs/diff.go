package ipvs

// Diff returns the least changes that lead from have to want: what is right
// already is left alone. It is pure, and the same tables give the same
// changes in the same order.
//
// A service that only have holds is deleted when owned says that it is ours;
// nil owns nothing. A service that want holds is ours and made equal in all,
// destinations included. The order of the services, or of the destinations of
// a service, is never a change by itself. Of several entries with one key the
// last counts.
//
// Additions come before deletions, within a service and over the whole, so
// that there is always something to take a connection. The destinations of a
// service are added last one first: a kernel lists the newest first, so they
// end up in the order of want.
//
// The time is linear in the size of both tables; equal tables cost two map
// insertions a service and nothing for a destination.
func Diff(have, want Table, owned func(ServiceKey) bool) []Change {
	// The keys of have stay as they are: a mapped IPv4 address in a kernel's
	// table is another service than the plain one.
	haveAt := make(map[ServiceKey]int, len(have))
	for i := range have {
		haveAt[have[i].Service.Key] = i
	}
	wantAt := make(map[ServiceKey]int, len(want))
	for i := range want {
		wantAt[want[i].Service.Key.canonical()] = i
	}
	var changes []Change
	for i := range want {
		s := want[i].Service.Normalized()
		if wantAt[s.Key] != i {
			continue
		}
		var had []Destination
		if at, ok := haveAt[s.Key]; !ok {
			changes = append(changes, Change{Op: OpAddService, Service: s})
		} else {
			had = have[at].Destinations
			if old := have[at].Service.Normalized(); old != s {
				kept := old // old itself would be allocated for equal ones, too
				changes = append(changes, Change{Op: OpSetService, Service: s, OldService: &kept})
			}
		}
		changes = diffDestinations(changes, s.Key, had, want[i].Destinations)
	}
	if owned == nil {
		return changes
	}
	for i := range have {
		key := have[i].Service.Key
		if haveAt[key] != i {
			continue
		}
		if _, ok := wantAt[key]; !ok && owned(key) {
			changes = append(changes, Change{Op: OpDelService, Service: Service{Key: key}})
		}
	}
	return changes
}

// diffDestinations appends the additions, then the edits, then the deletions
// of one service.
func diffDestinations(changes []Change, key ServiceKey, have, want []Destination) []Change {
	if sameDestinations(have, want) {
		return changes
	}
	service := Service{Key: key}
	haveAt := make(map[DestinationKey]int, len(have))
	for i := range have {
		haveAt[have[i].Key] = i
	}
	wantAt := make(map[DestinationKey]int, len(want))
	for i := range want {
		wantAt[canonicalAddrPort(want[i].Key)] = i
	}
	for i := len(want) - 1; i >= 0; i-- {
		d := want[i].Normalized()
		if _, ok := haveAt[d.Key]; !ok && wantAt[d.Key] == i {
			changes = append(changes, Change{Op: OpAddDestination, Service: service, Destination: d})
		}
	}
	for i := range want {
		d := want[i].Normalized()
		at, ok := haveAt[d.Key]
		if !ok || wantAt[d.Key] != i {
			continue
		}
		if old := have[at].Normalized(); old != d {
			kept := old
			changes = append(changes, Change{Op: OpSetDestination, Service: service, Destination: d, OldDestination: &kept})
		}
	}
	for i := range have {
		k := have[i].Key
		if _, ok := wantAt[k]; !ok && haveAt[k] == i {
			changes = append(changes, Change{Op: OpDelDestination, Service: service, Destination: Destination{Key: k}})
		}
	}
	return changes
}

// sameDestinations is the common case of a resync that finds nothing to do:
// the same destinations in the same order, told without an allocation.
func sameDestinations(have, want []Destination) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range have {
		if have[i] == want[i] {
			continue
		}
		w := want[i].Normalized()
		if have[i].Key != w.Key || have[i].Normalized() != w {
			return false
		}
	}
	return true
}
