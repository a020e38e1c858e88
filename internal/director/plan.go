package director

import (
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs"
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

// facts are what is known of a server. The zero value is nothing.
type facts struct {
	state health.State
	// told is the weight that its check tells, nil for none.
	told *int
	// share, load and climb are factors of its weight, 0 for none: told by an
	// agent, for its load, for its slow start.
	share, load, climb float64
}

// factsOf tells what is known of a service's server.
type factsOf func(v *VirtualService, r *RealServer) facts

// stances are those of the routers by their names; the zero value holds. With
// heartbeats the one node has the empty name.
type stances map[string]stance

// of returns the stance that a service has.
func (s stances) of(v *VirtualService) stance { return s[v.Router] }

// holding tells that nobody has decided yet, so that the table is left alone
// whole, with what is in no configuration any more.
func (s stances) holding() bool {
	for _, x := range s {
		if x != stanceHold {
			return false
		}
	}
	return true
}

// plan returns the whole table that should be: the services of routers that
// serve, from the configuration and what is known of the servers, with the
// state of each such service's group; and those of routers that hold, as they
// were found. It changes nothing and remembers nothing but what was decided
// before, so a lost or doubled fact does no harm. What a group makes of the
// facts, package pool decides.
//
// found tells what the table holds. Of a service that is served it counts for
// one thing alone: a server without a verdict stays as it was found. That is
// what lets a restarted daemon leave a running table untouched until it has
// asked, and keeps a new server out until it has answered once.
func plan(s *Setup, as stances, known factsOf, before map[string]pool.Group, found func(ipvs.ServiceKey) (ipvs.Entry, bool), now time.Time) (ipvs.Table, map[string]pool.Group) {
	want := make(ipvs.Table, 0, len(s.Services))
	groups := make(map[string]pool.Group, len(s.Services))
	for i := range s.Services {
		v := &s.Services[i]
		switch as.of(v) {
		case stanceWithdraw:
			continue
		case stanceHold:
			if e, there := found(v.Service.Key); there {
				want = append(want, e)
			}
			continue
		}
		g := v.group(known, before[v.Name], destinations(found(v.Service.Key)), now)
		groups[v.Name] = g
		want = append(want, v.entry(&g))
	}
	return want, groups
}

// group decides on a service; here are its destinations as found.
func (v *VirtualService) group(known factsOf, before pool.Group, here map[ipvs.DestinationKey]ipvs.Destination, now time.Time) pool.Group {
	members := make([]pool.Member, 0, len(v.Servers)+len(v.Sorry))
	for r := range v.each() {
		f := known(v, r)
		m := pool.Member{
			ID: r.Name, Weight: r.Destination.Weight, State: f.state, Inhibit: v.Quiesce,
			Moves: r.SlowStart > 0 || r.FollowLoad || r.TellsWeight, Told: f.told, Share: f.share, Load: f.load, Climb: f.climb,
		}
		if r.Quiesce != nil {
			m.Inhibit = *r.Quiesce
		}
		if r.Maintenance {
			m.Admin = pool.Maintenance
		}
		if n := len(members) - len(v.Servers); n >= 0 {
			m.Sorry = n + 1
			if r.Checker == nil {
				m.State = health.Up
			}
		}
		if d, ok := here[r.Destination.Key]; ok {
			m.Found = &d.Weight
		}
		members = append(members, m)
	}
	return v.policy().Next(before, members, now)
}

// entry is the service as a group's decisions want it.
func (v *VirtualService) entry(g *pool.Group) ipvs.Entry {
	e := ipvs.Entry{Service: v.Service, Destinations: make([]ipvs.Destination, 0, len(v.Servers))}
	i := 0
	for r := range v.each() {
		if m := &g.Members[i]; m.In {
			d := r.Destination
			d.Weight = m.Weight
			e.Destinations = append(e.Destinations, d)
		}
		i++
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
