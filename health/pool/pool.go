package pool

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/lvskit/lvskit/health"
)

// MaxWeight is the largest weight of a decision, that of the kernel's table.
const MaxWeight = math.MaxInt32

// Policy is what the operator wants of a group. The zero value needs one live
// server of any weight and shows weights as they are.
type Policy struct {
	// Quorum is the live weight that the group needs; 0 means 1. It counts
	// configured weights, or those that agents tell, before load and slow
	// start: a server that is warming up is a whole one.
	Quorum int `json:"quorum,omitempty"`
	// Hysteresis is added to Quorum for gaining it, and taken from it for
	// losing it: a lost quorum is gained at Quorum + Hysteresis, a gained one
	// lost below Quorum - Hysteresis, and at 0 in any case. So a hysteresis
	// of the quorum or more loses it only with the last server. The first
	// decision is by Quorum alone, unless a group is found serving: then it
	// goes on, lost if sorry servers serve, and gained if the others are
	// enough not to lose it. (quorum and hysteresis of keepalived.conf(5))
	Hysteresis int `json:"hysteresis,omitempty"`
	// Unit is the weight in the table for each 1 of a configured weight, 0
	// means 1; so that there is room for fine steps.
	Unit int `json:"unit,omitempty"`
	// Panic is the share of members, above 0 to 1, below which those that are
	// down are kept as if they were up, since it is likelier that the check is
	// wrong. 0 never does that. Sorry servers come first: while one of them
	// serves there is no panic.
	Panic float64 `json:"panic,omitempty"`
}

// Validate reports every field that cannot be used. [Policy.Next] takes such a
// field for the nearest one that can.
func (p Policy) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{{"quorum", p.Quorum}, {"hysteresis", p.Hysteresis}, {"unit", p.Unit}} {
		if f.value < 0 || f.value > MaxWeight {
			errs = append(errs, fmt.Errorf("%s %d: want 0..%d", f.name, f.value, MaxWeight))
		}
	}
	if !(p.Panic >= 0 && p.Panic <= 1) {
		errs = append(errs, fmt.Errorf("panic %v: want a share of 0..1", p.Panic))
	}
	return errors.Join(errs...)
}

// Member is a server of a group and all that is known of it.
type Member struct {
	// ID names the member; it is unique within the group.
	ID string `json:"id"`
	// Weight is the configured one, 0..MaxWeight. 0 takes no clients.
	Weight int `json:"weight"`
	// Sorry is 0 for an ordinary member. Sorry servers have their place in
	// the order, from 1 on: those of the first place that has one serve
	// while the quorum is lost.
	Sorry int `json:"sorry,omitempty"`
	// Admin is the operator's order.
	Admin Admin `json:"admin,omitzero"`
	// Inhibit keeps the member with weight 0 when it is down; otherwise it
	// leaves.
	Inhibit bool `json:"inhibit,omitempty"`
	// State is what its checks add up to; [health.Unknown] before the first
	// verdict. Who is not checked at all is up. Reason says why, in one line.
	State  health.State `json:"state"`
	Reason string       `json:"reason,omitempty"`
	// Found is the weight that it has in the table, nil when it is not there.
	Found *int `json:"found,omitempty"`
	// Moves tells that the weight is no fixed one: while there is no verdict
	// the one that was found stays. Without it the configured one is shown.
	Moves bool `json:"moves,omitempty"`
	// Told is the weight that a check or an agent tells, in place of the
	// configured one; nil when nobody does. 0 takes no new clients.
	Told *int `json:"told,omitempty"`
	// Share is the part of the weight that an agent tells, as HAProxy's agents
	// do in percent; Load is the factor that the load leads to, and Climb how
	// far the slow start is, above 0 to 1. 0, and what is no number, means 1.
	Share float64 `json:"share,omitempty"`
	Load  float64 `json:"load,omitempty"`
	Climb float64 `json:"climb,omitempty"`
}

// Decision is what becomes of a member.
type Decision struct {
	// ID is the member's.
	ID string `json:"id"`
	// In tells that it belongs in the table, with this Weight; 0 keeps what
	// connections it has and takes no new ones.
	In     bool `json:"in"`
	Weight int  `json:"weight"`
	// Cause decided, Since when. [Decision.Why] says it in words.
	Cause Cause     `json:"cause"`
	Since time.Time `json:"since"`
	// Reason is the member's own.
	Reason string `json:"reason,omitempty"`
	// Base is the weight that was multiplied, which Told says is not the
	// configured one; Unit, Share, Load and Climb are what it was multiplied
	// with, 0 where there was nothing to multiply.
	Base  int     `json:"base"`
	Told  bool    `json:"told,omitempty"`
	Unit  int     `json:"unit,omitempty"`
	Share float64 `json:"share,omitempty"`
	Load  float64 `json:"load,omitempty"`
	Climb float64 `json:"climb,omitempty"`
}

// Group is the state of a group: what the last decision was. The zero value is
// a group about which nothing was decided.
type Group struct {
	// Quorum is whether there is enough, Since when.
	Quorum Quorum    `json:"quorum"`
	Since  time.Time `json:"since,omitzero"`
	// Live is the weight of the ordinary members that are known to live, or
	// were found serving, and Possible adds those that have not answered.
	Live     int64 `json:"live"`
	Possible int64 `json:"possible"`
	// Need is the live weight that gains the quorum while it is not gained,
	// and below which it is lost while it is.
	Need int64 `json:"need"`
	// Servers counts the ordinary members, Up those of them that are up, and
	// Unasked those without a verdict.
	Servers int `json:"servers"`
	Up      int `json:"up"`
	Unasked int `json:"unasked,omitempty"`
	// Sorry tells that sorry servers serve.
	Sorry bool `json:"sorry,omitempty"`
	// Members are the decisions, in the order of the members.
	Members []Decision `json:"members"`
}

// Next decides on a group: from its policy, its members, what was decided
// before and the time. It changes none of its arguments, and gives the same
// again when nothing has changed but the time. Members may come in any order
// and may have been exchanged since.
func (p Policy) Next(before Group, members []Member, now time.Time) Group {
	g := Group{Quorum: before.Quorum, Since: before.Since, Members: make([]Decision, len(members))}
	standing, ready := 0, 0          // ordinary members, those that are not down first
	serves, found := int64(0), false // as found: what weight the ordinary have, and whether sorry ones serve
	for i := range members {
		m := &members[i]
		if m.Sorry > 0 {
			found = found || m.serving()
			continue
		}
		g.Servers++
		switch m.State {
		case health.Up:
			g.Up++
		case health.Unknown:
			g.Unasked++
		}
		if m.Admin != Ready {
			continue
		}
		ready++
		if m.State == health.Down {
			continue
		}
		standing++
		base := int64(m.base())
		g.Possible += base
		if m.State == health.Up || m.serving() {
			g.Live += base
		}
		if m.serving() {
			serves += base
		}
	}
	if before.Since.IsZero() {
		g.resume(p, serves, found)
	}
	g.decide(p, now)

	stand := 0
	if g.Quorum == Lost || g.Live == 0 {
		stand = standInOf(members)
	}
	g.Sorry = stand > 0
	panicking := !g.Sorry && p.Panic > 0 && float64(standing) < p.Panic*float64(ready)
	for i := range members {
		d := p.one(&members[i], stand, panicking)
		d.Since = now
		g.Members[i] = d
	}
	g.keepSince(before)
	return g
}

// resume takes over what a life before had decided, as far as that was found:
// without it the first decision would jump over the hysteresis.
func (g *Group) resume(p Policy, serves int64, sorry bool) {
	switch {
	case sorry:
		g.Quorum = Lost
	case serves >= p.need(Gained):
		g.Quorum = Gained
	}
}

// need is the live weight that gains a quorum, or below which it is lost.
func (p Policy) need(q Quorum) int64 {
	quorum, slack := int64(max(p.Quorum, 1)), int64(max(p.Hysteresis, 0))
	switch q {
	case Gained:
		return max(quorum-slack, 1)
	case Lost:
		return quorum + slack
	}
	return quorum
}

// decide moves the quorum.
func (g *Group) decide(p Policy, now time.Time) {
	was := g.Quorum
	switch need := p.need(was); {
	case was != Gained && g.Live >= need:
		g.Quorum = Gained
	case was != Lost && g.Possible < need:
		g.Quorum = Lost
	}
	if g.Quorum != was || g.Since.IsZero() {
		g.Since = now
	}
	g.Need = p.need(g.Quorum)
}

// standInOf is the first place in the order of the sorry servers that has one
// which can serve; 0 for none.
func standInOf(members []Member) (place int) {
	for i := range members {
		if m := &members[i]; m.Sorry > 0 && m.standsIn() && (place == 0 || m.Sorry < place) {
			place = m.Sorry
		}
	}
	return place
}

// standsIn tells whether a sorry server can serve: it is up, or it was found
// serving and has not answered.
func (m *Member) standsIn() bool {
	return m.Admin == Ready && m.base() > 0 && (m.State == health.Up || m.State == health.Unknown && m.serving())
}

// one decides on one member. stand is the place of the sorry servers which
// serve.
func (p Policy) one(m *Member, stand int, panicking bool) Decision {
	d := Decision{ID: m.ID, Reason: m.Reason, Base: m.base(), Told: m.Told != nil}
	as := func(c Cause, in bool) Decision {
		d.Cause, d.In = c, in
		return d
	}
	sorry := m.Sorry > 0
	switch {
	case sorry && m.Sorry == stand && m.standsIn():
		p.weigh(&d, m)
		return as(CauseSorry, true)
	case sorry && m.Admin == Ready && m.State == health.Up:
		return as(CauseStandby, false)
	case sorry && m.Admin == Ready && m.State == health.Unknown:
		return as(CauseUnasked, false)
	case m.Admin == Maintenance:
		return as(CauseMaintenance, !sorry)
	case m.State == health.Down && panicking && !sorry && m.Admin == Ready && d.Base > 0:
		p.weigh(&d, m)
		return as(CausePanic, true)
	case m.State == health.Down:
		return as(CauseDown, m.Inhibit && !sorry)
	case m.State == health.Unknown && m.Found == nil:
		return as(CauseUnasked, false)
	case m.Admin != Ready:
		return as(CauseDrain, !sorry)
	case stand > 0:
		return as(CauseQuorum, true)
	case m.State == health.Unknown && *m.Found == 0:
		return as(CauseFound, true)
	case m.State == health.Unknown:
		p.weigh(&d, m)
		if m.Moves {
			d.Weight = min(*m.Found, MaxWeight)
		}
		return as(CauseFound, true)
	case d.Base == 0 && d.Told:
		return as(CauseTold, true)
	case d.Base == 0:
		return as(CauseConfigured, true)
	}
	p.weigh(&d, m)
	return as(CauseUp, true)
}

// keepSince takes over since when each decision stands.
func (g *Group) keepSince(before Group) {
	var byID map[string]int
	for i := range g.Members {
		d := &g.Members[i]
		at := i
		if at >= len(before.Members) || before.Members[at].ID != d.ID {
			// The list has changed: rare enough to look it up then.
			if byID == nil {
				byID = make(map[string]int, len(before.Members))
				for j := range before.Members {
					byID[before.Members[j].ID] = j
				}
			}
			var known bool
			if at, known = byID[d.ID]; !known {
				continue
			}
		}
		if was := &before.Members[at]; was.Cause == d.Cause {
			d.Since = was.Since
		}
	}
}
