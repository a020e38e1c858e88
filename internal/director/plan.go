package director

import "github.com/lvskit/lvskit/ipvs"

// Status of a server as the plan sees it.
type serverState uint8

const (
	// serverUnknown has had no verdict yet.
	serverUnknown serverState = iota
	serverUp
	serverDown
)

// stance is what the node's role asks of the table.
type stance uint8

const (
	// stanceHold leaves the table as it is: the node has just started and
	// cannot know yet whether it is the active one. A table left by an
	// earlier life of the daemon goes on serving meanwhile. A node that has
	// decided once never holds again.
	stanceHold stance = iota
	// stanceServe wants the whole configuration in the table.
	stanceServe
	// stanceWithdraw wants none of it there.
	stanceWithdraw
)

// plan returns the whole table that should be while the node serves, from the
// configuration and the servers' states. It changes nothing and remembers
// nothing, so a lost or doubled fact does no harm.
//
// found tells what the table holds, for one thing alone: a server without a
// verdict stays as it was found. That is what lets a restarted daemon leave a
// running table untouched until it has asked, and keeps a new server out
// until it has answered once.
func plan(s *Setup, states serverStates, found func(ipvs.ServiceKey) (ipvs.Entry, bool)) ipvs.Table {
	want := make(ipvs.Table, 0, len(s.Services))
	for i := range s.Services {
		v := &s.Services[i]
		want = append(want, planService(v, states, destinations(found(v.Service.Key))))
	}
	return want
}

// serverStates tells the state of a service's server, by their names.
type serverStates func(service, server string) serverState

// planService is the plan of one service; here are its destinations as found.
func planService(v *VirtualService, states serverStates, here map[ipvs.DestinationKey]ipvs.Destination) ipvs.Entry {
	e := ipvs.Entry{Service: v.Service, Destinations: make([]ipvs.Destination, 0, len(v.Servers))}
	alive := 0
	for _, r := range v.Servers {
		d := r.Destination
		switch states(v.Name, r.Name) {
		case serverUp:
			alive += d.Weight
		case serverDown:
			if quiesce := r.Quiesce; quiesce == nil && !v.Quiesce || quiesce != nil && !*quiesce {
				continue
			}
			d.Weight = 0
		case serverUnknown:
			old, ok := here[d.Key]
			if !ok {
				continue
			}
			if old.Weight == 0 {
				d.Weight = 0
			}
			alive += d.Weight
		}
		e.Destinations = append(e.Destinations, d)
	}
	if alive < max(1, v.Quorum) && len(v.Sorry) > 0 {
		// Too few are left: they end what they have, and get nothing new.
		for i := range e.Destinations {
			e.Destinations[i].Weight = 0
		}
		e.Destinations = append(e.Destinations, v.Sorry...)
	}
	return e
}

// destinations finds a service's destinations by their keys.
func destinations(e ipvs.Entry, _ bool) map[ipvs.DestinationKey]ipvs.Destination {
	ds := make(map[ipvs.DestinationKey]ipvs.Destination, len(e.Destinations))
	for _, d := range e.Destinations {
		ds[d.Key] = d
	}
	return ds
}
