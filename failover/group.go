package failover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// maxMembers bounds the routers of a [Group].
const maxMembers = 64

// Group is some Routers of one node that are active together or not at all, as
// the two sides of a balancer that translates addresses; elsewhere it is a sync
// group. Its methods are safe for concurrent use.
//
// A fault of one member holds all of them in RoleFault. One that finds nobody
// better takes all, once each member has listened; it waits only for one that
// has heard a better router since, as that one would have to give way again.
// One that gives way, yields or stops takes all down.
//
// Each member has its own election, so give all members of a node one priority,
// and let a track.Tracker feed the group and not a member. With priorities that
// contradict each other, each node being better in one member, nobody preempts:
// whoever serves goes on, and after both served apart from each other one of
// them gets all, by chance. Members had better have one Interval, too: the
// quickest member decides for a slower one, which is wrong where only the quick
// one's link is broken. The other router's answer takes it back within a round
// trip, and from then on all members have to find the silence themselves, until
// that link works again.
type Group struct {
	name     string
	apart    bool // in a beat process
	routers  []*Router
	machines []*vrrp.Machine // of the routers
	start    time.Time       // of all machines
	mu       *sync.Mutex     // that of all routers
	settling bool
	because  *Router // whom the last move was due to
	up       *Router // who made it active last
}

// NewGroup lets routers move together from now on. It is for routers that have
// not run yet, each of one group; call it before anything else is done with
// them. The group is over when one of them has ended its run.
func NewGroup(name string, routers ...*Router) (*Group, error) {
	if len(routers) == 0 || len(routers) > maxMembers {
		return nil, fmt.Errorf("failover: group %q has %d routers; give 1 to %d", name, len(routers), maxMembers)
	}
	if slices.Contains(routers, nil) {
		return nil, fmt.Errorf("failover: group %q: one of the routers is nil: make it with NewRouter", name)
	}
	g := &Group{name: name, routers: slices.Clone(routers), start: time.Now(), mu: new(sync.Mutex)}
	var errs []error
	seen := make(map[*Router]bool)
	for _, r := range routers {
		r.mu.Lock()
		switch {
		case seen[r]:
			errs = append(errs, fmt.Errorf("failover: group %q: %s is given twice", name, r))
		case r.started || r.remote.has():
			errs = append(errs, fmt.Errorf("failover: group %q: %s runs already; make the group before", name, r))
		case r.group != nil:
			errs = append(errs, fmt.Errorf("failover: group %q: %s is in group %q already", name, r, r.group.name))
		}
		r.mu.Unlock()
		if r.cfg.Beat.apart() != routers[0].cfg.Beat.apart() || r.remote != nil && r.cfg.Beat != routers[0].cfg.Beat {
			errs = append(errs, fmt.Errorf("failover: group %q: %s is in another process than %s; give all the same Beat", name, r, routers[0]))
		}
		seen[r] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if routers[0].remote != nil {
		return g, g.distant()
	}
	for _, r := range routers {
		r.join(g)
	}
	return g, nil
}

// join makes the router a member. All members are under one lock and on one
// clock, so that the group is decided in one step of any of them.
func (r *Router) join(g *Group) {
	r.mu, r.group, r.start = g.mu, g, g.start
	p := r.cfg.params()
	p.Grouped = true
	r.machine = vrrp.NewMachine(p, 0)
	g.machines = append(g.machines, &r.machine)
}

// Name returns the name that the group was given.
func (g *Group) Name() string { return g.name }

// Routers returns the members. The slice is not to be changed.
func (g *Group) Routers() []*Router { return g.routers }

// SetFault is [Router.SetFault] for all members.
func (g *Group) SetFault(reason string) {
	if g.apart {
		for _, r := range g.routers {
			r.SetFault(reason) // the first holds all
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each(func(r *Router) {
		r.fault = reason
		r.judgeFault(r.clock())
	})
}

// SetPriority is [Router.SetPriority] for all members, except owners.
func (g *Group) SetPriority(priority uint8) {
	if g.apart {
		for _, r := range g.routers {
			r.SetPriority(priority)
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each(func(r *Router) { r.setPriority(priority) })
}

// Yield is [Router.Yield] for all members.
func (g *Group) Yield() error { return g.routers[0].Yield() }

// Reclaim is [Router.Reclaim] for all members.
func (g *Group) Reclaim() { g.routers[0].Reclaim() }

// each does the same to all members before the group is settled. The caller
// holds mu.
func (g *Group) each(do func(*Router)) {
	was := g.settling
	g.settling = true
	for _, r := range g.routers {
		do(r)
	}
	g.settling = was
	g.settle()
}

// all calls do for the members of the router's group, or for it alone. The
// caller holds mu.
func (r *Router) all(do func(*Router)) {
	if r.group == nil {
		do(r)
		return
	}
	r.group.each(do)
}

// settle brings the members together again after one of them took a step. The
// caller holds mu.
func (g *Group) settle() {
	if g.settling {
		return // who is at it looks again
	}
	g.settling = true
	defer func() { g.settling = false }()
	for g.hold() || g.move() {
	}
}

// hold lets all members be in fault while one is.
func (g *Group) hold() (changed bool) {
	for _, r := range g.routers {
		if by := g.faulty(r); by != r.heldBy {
			// Another one of several that hold it is no change.
			changed = changed || (by == nil) != (r.heldBy == nil)
			r.heldBy = by
			r.judgeFault(r.clock())
		}
	}
	return changed
}

// faulty returns the first member other than r that has a fault of its own.
func (g *Group) faulty(r *Router) *Router {
	for _, other := range g.routers {
		if other != r && (other.fault != "" || other.connErr != nil) {
			return other
		}
	}
	return nil
}

// move lets the others follow one member that is ready, or that has ceased to
// be active.
func (g *Group) move() (changed bool) {
	v, by := vrrp.Agree(g.machines)
	if v == vrrp.VerdictStay {
		return false
	}
	if v == vrrp.VerdictUp {
		// What lies unread may be from a better router.
		for _, r := range g.routers {
			r.drain()
		}
		again := v
		if again, by = vrrp.Agree(g.machines); again != v {
			return g.hold() // it may have found a socket broken
		}
	}
	e, wrong := vrrp.Follow(g.machines, v, by, slices.Index(g.routers, g.up), rand.N(g.routers[by].cfg.Interval))
	if g.because = g.routers[by]; v == vrrp.VerdictUp {
		g.up = g.because
	}
	for i, r := range g.routers {
		e.On = i == wrong
		r.step(e, r.clock())
	}
	return true
}

// reason says what the group has to do with a member's role, or nothing. The
// caller holds mu.
func (g *Group) reason(r *Router) string {
	_, why, _ := r.machine.State()
	switch {
	case why == vrrp.ReasonGroup && g.because != nil && g.because != r:
		_, why, _ := g.because.machine.State()
		return fmt.Sprintf("group %q follows %s: %s", g.name, g.because, why)
	case r.machine.Ready():
		i := vrrp.Waiting(g.machines, slices.Index(g.routers, r))
		if i < 0 {
			return ""
		}
		other := g.routers[i]
		if active, priority := other.machine.Active(); active.IsValid() {
			return fmt.Sprintf("group %q leaves the service to %v, which %s hears with priority %d", g.name, active, other, priority)
		}
		_, why, _ := other.machine.State()
		return fmt.Sprintf("group %q waits for %s: %s", g.name, other, why)
	}
	return ""
}
