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
// Within a service destinations are added before any is deleted, so that there
// is always something to take a connection, and services are deleted last. The destinations of a
// service are added last one first: a kernel lists the newest first, so they
// end up in the order of want.
//
// The time is linear in the size of both tables; equal tables cost a look-up
// a service and one comparison a destination.
func Diff(have, want Table, owned func(ServiceKey) bool) []Change {
	// The keys of have stay as they are: a mapped IPv4 address in a kernel's
	// table is another service than the plain one.
	services := newMatcher()
	at, kept := match(services, len(have), len(want),
		func(i int) ServiceKey { return have[i].Service.Key },
		func(i int) ServiceKey { return want[i].Service.Key.canonical() }, hashServiceKey)
	var d differ
	if len(have) == 0 {
		all := len(want)
		for i := range want {
			all += len(want[i].Destinations)
		}
		d.grow(all)
	}
	for i := range want {
		if at[i] == isReplaced {
			continue
		}
		s := want[i].Service.Normalized()
		var had []Destination
		if at[i] == isNew {
			d.add(Change{Op: OpAddService, Service: s})
		} else {
			e := &have[at[i]]
			had = e.Destinations
			if old := e.Service.Normalized(); old != s {
				kept := old // old itself would be allocated for equal ones, too
				d.add(Change{Op: OpSetService, Service: s, OldService: &kept})
			}
		}
		d.destinations(s.Key, had, want[i].Destinations)
	}
	if owned == nil {
		return d.changes
	}
	for i := range have {
		if s := &have[i].Service; !kept[i] && owned(s.Key) {
			d.add(Change{Op: OpDelService, Service: *s})
		}
	}
	return d.changes
}

// differ collects changes.
type differ struct {
	changes []Change
	m       *matcher // of destinations; made when first needed
	// replaced holds what edits replace, in blocks.
	replaced []Destination
}

func (d *differ) add(c Change) {
	d.grow(1)
	d.changes = append(d.changes, c)
}

// grow makes room for n more changes. Doubling copies less than append does
// with large lists, and a change has some 200 bytes.
func (d *differ) grow(n int) {
	if need := len(d.changes) + n; need > cap(d.changes) {
		d.changes = append(make([]Change, 0, max(need, 2*cap(d.changes))), d.changes...)
	}
}

// destinations adds the additions, then the edits, then the deletions of one
// service.
func (d *differ) destinations(key ServiceKey, have, want []Destination) {
	if sameDestinations(have, want) {
		return
	}
	if d.m == nil {
		d.m = newMatcher()
	}
	at, kept := match(d.m, len(have), len(want),
		func(i int) DestinationKey { return have[i].Key },
		func(i int) DestinationKey { return canonicalAddrPort(want[i].Key) }, hashAddrPort)
	// Counted first: room for all at once.
	additions, edits, deletions := 0, 0, 0
	for i, j := range at {
		switch {
		case j == isNew:
			additions++
		case j >= 0 && have[j].Normalized() != want[i].Normalized():
			edits++
		}
	}
	for i := range have {
		if !kept[i] {
			deletions++
		}
	}
	d.grow(additions + edits + deletions)
	service := Service{Key: key}
	if additions > 0 {
		for i := len(want) - 1; i >= 0; i-- {
			if at[i] == isNew {
				d.changes = append(d.changes, Change{Op: OpAddDestination, Service: service, Destination: want[i].Normalized()})
			}
		}
	}
	if edits > 0 {
		if cap(d.replaced)-len(d.replaced) < edits {
			d.replaced = make([]Destination, 0, max(edits, min(2*cap(d.replaced), maxBlock)))
		}
		for i, j := range at {
			if j < 0 {
				continue
			}
			if old, now := have[j].Normalized(), want[i].Normalized(); old != now {
				d.replaced = append(d.replaced, old)
				d.changes = append(d.changes, Change{
					Op: OpSetDestination, Service: service,
					Destination: now, OldDestination: &d.replaced[len(d.replaced)-1],
				})
			}
		}
	}
	if deletions > 0 {
		for i := range have {
			if !kept[i] {
				d.changes = append(d.changes, Change{Op: OpDelDestination, Service: service, Destination: have[i]})
			}
		}
	}
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
