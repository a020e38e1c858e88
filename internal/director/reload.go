package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// changeKeys gives the node of a pair the keys that are in the file now.
func (d *Director) changeKeys(setup *Setup, m *member) error {
	if m.node == nil || d.cfg.Keys == nil || !m.heartbeat.Enabled {
		return nil
	}
	keys, err := d.cfg.Keys(setup)
	if err != nil || len(keys) == 0 {
		return err
	}
	return m.node.SetKeys(keys)
}

// take has what belongs to the electors follow those that a setup has.
func (d *Director) take(setup *Setup, r *roster) {
	d.identity = r.identity
	leaving := d.electing.all()[len(d.electing.present()):]
	names := make(map[string]string)
	for _, p := range r.gone {
		leaving = append(leaving, p.member)
		if p.setup != nil {
			d.loop.commands.gone[p.name()] = p.setup
		}
		for i := range d.setup.Services {
			if v := &d.setup.Services[i]; v.Router == p.name() {
				d.loop.lingering[v.Service.Key] = p.member
			}
		}
	}
	for _, m := range leaving {
		names[m.name()] = m.name()
	}
	before := d.electing.present()
	for i, m := range r.members {
		if m.node == nil && slices.Contains(before, m) {
			m.setup = &setup.Routers[i]
			names[m.name()] = m.setup.Name
			m.called.Store(&m.setup.Name)
		} else if m.node != nil {
			names[""] = ""
		}
		if !slices.Contains(before, m) {
			m.after = slices.Collect(func(yield func(*member) bool) {
				for _, o := range leaving {
					if m.conflicts(o) && !yield(o) {
						return
					}
				}
			})
		}
	}
	d.loop.rename(names)
	d.loop.stances = stancesOf(slices.Concat(r.members, leaving))
}

// stand has the stances follow the electors.
func (d *Director) stand() { d.loop.stances = stancesOf(d.electing.all()) }

// stancesOf are the stances of services. Where one elector takes the place of
// another, a service is served by either, and held until the new one has
// decided.
func stancesOf(members []*member) stances {
	rank := [...]int{stanceServe: 2, stanceHold: 1, stanceWithdraw: 0}
	as := make(stances)
	for _, m := range members {
		if was, there := as[m.name()]; !there || rank[m.stance] > rank[was] {
			as[m.name()] = m.stance
		}
	}
	return as
}

// ended notes that an elector has left, or that it could not begin.
func (d *Director) ended(ctx context.Context, m *member, err error) {
	present := d.electing.forget(m)
	if present && err == nil {
		return // the director ends
	}
	if present && m.added {
		m.failed, m.stance = err, stanceWithdraw
		d.log.Error(m.title()+" does not run: mend it and reload", "err", err)
	} else if !present {
		d.log.Info(m.title() + " has left")
	}
	for k, o := range d.loop.lingering {
		if o == m {
			delete(d.loop.lingering, k)
		}
	}
	if d.loop.commands.gone[m.name()] == m.setup {
		delete(d.loop.commands.gone, m.name())
	}
	names := make(map[string]string)
	for _, o := range d.electing.all() {
		names[o.name()] = o.name()
	}
	d.loop.rename(names)
	d.stand()
	d.loop.settle(ctx)
}

// carriage is what moves with an elector.
type carriage struct {
	addresses []failover.VirtualAddress
	routes    []failover.VirtualRoute
}

// moveAddresses gives each elector that goes on what a new setup has for it:
// addresses, routes, and with VRRP all that a router can change while it keeps its
// role. Trouble with other addresses is told with its own.
func (d *Director) moveAddresses(ctx context.Context, setup *Setup, r *roster, others error) {
	before := d.electing.present()
	next := make(map[*member]carriage)
	for i, m := range r.members {
		switch {
		case !slices.Contains(before, m):
		case m.node != nil:
			next[m] = carriage{setup.Addresses, setup.Routes}
		default:
			next[m] = carriage{setup.Routers[i].Addresses, setup.Routers[i].Routes}
		}
	}
	errs := []error{others, dropRoutes(ctx, before, next)}
	// What goes from one to another is let go first: who lets go later would take
	// it away from there.
	for _, m := range before {
		rest := slices.DeleteFunc(slices.Clone(m.list), func(a failover.VirtualAddress) bool {
			for o, c := range next {
				if o != m && carries(c.addresses, a) && !carries(next[m].addresses, a) {
					return true
				}
			}
			return false
		})
		if m.addresses != nil && len(rest) < len(m.list) {
			errs = append(errs, named(m.name(), m.addresses.Set(ctx, rest)))
			m.list = rest
		}
	}
	for i, m := range r.members {
		c, stays := next[m]
		if !stays {
			continue
		}
		plan := setup.Announcing
		if m.router != nil {
			plan = setup.Routers[i].Announcing
			errs = append(errs, named(m.name(), m.router.Reconfigure(ctx, &r.configs[i])))
		}
		if m.addresses != nil {
			errs = append(errs, named(m.name(), errors.Join(m.addresses.SetAnnouncing(plan), m.addresses.Set(ctx, c.addresses), m.addresses.SetRoutes(ctx, c.routes))))
		}
		m.list, m.routes = c.addresses, c.routes
		if err := m.track.set(setup.dependence(m.name(), r.identity)); err != nil {
			d.log.Error("what was tracked before is tracked still", "err", named(m.name(), err))
		}
	}
	d.addressErr, d.lacked = "", false
	if err := errors.Join(errs...); err != nil {
		d.addressErr = err.Error()
		d.log.Error("cannot change the floating addresses", "err", err)
	}
}

// exchangeMembers ends the electors that are gone, and begins those that are new.
func (d *Director) exchangeMembers(r *roster) {
	before := d.electing.present()
	gone := make(map[*member]time.Duration)
	for _, p := range r.gone {
		gone[p.member] = 0
		text, why := p.title()+" ends", p.why
		if p.again {
			text = p.title() + " ends and begins anew"
			if p.stance == stanceServe {
				gone[p.member] = p.otherReady()
			}
		}
		d.log.Info(text, "why", why)
	}
	for _, m := range r.members {
		if !slices.Contains(before, m) {
			d.log.Info(m.title() + " begins")
		}
	}
	if (r.members[0].node != nil) != (before[0].node != nil) {
		d.log.Warn("failover_mode changed: the two modes do not hear each other, so both routers may serve until the other one has reloaded, too")
	}
	d.electing.change(r.members, gone)
}

// otherReady is how long a router that serves waits before it ends to begin anew:
// the other one may have been told so at the same moment, and nobody would serve
// before it listens again.
func (m *member) otherReady() time.Duration {
	if m.node != nil { // before another node that does not hear this one serves
		return 2*cmp.Or(m.heartbeat.Interval, failover.DefaultInterval) + time.Second
	}
	c := m.setup.Config
	return 2*time.Duration(max(c.DownAdverts, 3))*cmp.Or(c.Interval, failover.DefaultInterval) + time.Second
}

// routerIndex finds a router of the setup by its name, -1 if there is none.
func (s *Setup) routerIndex(name string) int {
	return slices.IndexFunc(s.Routers, func(r RouterSetup) bool { return r.Name == name })
}

// router finds a router of the setup by its name.
func (s *Setup) router(name string) *RouterSetup {
	if i := s.routerIndex(name); i >= 0 {
		return &s.Routers[i]
	}
	return nil
}

// pending tells what takes effect at the next start of the daemon only.
func (d *Director) pending() (notes []string) {
	if now := d.setup.Drain; now != d.drain {
		notes = append(notes, fmt.Sprintf("drain_time = %v takes effect when the daemon is started again, and is %v until then: what drains already was promised that", now, d.drain))
	}
	return notes
}
