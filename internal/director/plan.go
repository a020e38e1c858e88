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
	// earlier life of the daemon goes on serving meanwhile.
	stanceHold stance = iota
	// stanceServe wants the whole configuration in the table.
	stanceServe
	// stanceWithdraw wants none of it there.
	stanceWithdraw
)

// plan returns the whole table that should be, from the configuration, the
// servers' states and the node's stance. It changes nothing and remembers
// nothing, so a lost or doubled fact does no harm.
//
// have is read for one thing alone: a server without a verdict stays as it
// was found. That is what lets a restarted daemon leave a running table
// untouched until it has asked, and keeps a new server out until it has
// answered once.
func plan(s *Setup, states func(service, server string) serverState, st stance, have ipvs.Table) ipvs.Table {
	switch st {
	case stanceHold:
		return have
	case stanceWithdraw:
		return nil
	}
	found := index(have)
	want := make(ipvs.Table, 0, len(s.Services))
	for _, v := range s.Services {
		e := ipvs.Entry{Service: v.Service, Destinations: make([]ipvs.Destination, 0, len(v.Servers))}
		here := found[v.Service.Key]
		alive := false
		for _, r := range v.Servers {
			d := r.Destination
			switch states(v.Name, r.Name) {
			case serverUp:
				alive = alive || d.Weight > 0
			case serverDown:
				if !v.Quiesce {
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
				alive = alive || d.Weight > 0
			}
			e.Destinations = append(e.Destinations, d)
		}
		if !alive && v.Sorry != nil {
			e.Destinations = append(e.Destinations, *v.Sorry)
		}
		want = append(want, e)
	}
	return want
}

// index finds a table's destinations by their keys.
func index(t ipvs.Table) map[ipvs.ServiceKey]map[ipvs.DestinationKey]ipvs.Destination {
	m := make(map[ipvs.ServiceKey]map[ipvs.DestinationKey]ipvs.Destination, len(t))
	for _, e := range t {
		ds := make(map[ipvs.DestinationKey]ipvs.Destination, len(e.Destinations))
		for _, d := range e.Destinations {
			ds[d.Key] = d
		}
		m[e.Service.Key] = ds
	}
	return m
}
