package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

// elector decides whether this director serves: the node of a pair that
// exchanges heartbeats, or one virtual router of VRRP.
type elector interface {
	SetFault(reason string)
	Run(context.Context) error
	Yield() error
}

var (
	_ elector = (*failover.Node)(nil)
	_ elector = (*failover.Router)(nil)
)

// member is an elector with the addresses that are its. The name is that of
// its vrrp block, empty for a node. One of node and router is nil.
type member struct {
	name string
	elector
	node      *failover.Node
	router    *failover.Router
	addresses AddressSet // nil: nobody carries any
	// refused is why a router could not become what was loaded last. It belongs
	// to the loop.
	refused error
}

// newMembers readies the electors of the configuration.
func (d *Director) newMembers() error {
	setups := d.cfg.Setup.Routers
	if len(setups) == 0 {
		return d.addNode()
	}
	configs, err := d.cfg.Elect(d.cfg.Setup)
	if err != nil {
		return err
	}
	for i := range setups {
		if err := d.addRouter(&setups[i], configs[i]); err != nil {
			return err
		}
	}
	return d.group()
}

func (d *Director) addNode() error {
	m := &member{}
	f := d.cfg.Failover
	f.Digest = d.setup.Digest
	f.OnRole = d.onRole("")
	d.partner = &partner{log: d.log, key: concealKey(&f), own: d.setup}
	f.OnEvent = func(e failover.Event) {
		d.partner.onEvent(e)
		d.onEvent(m, e)
	}
	f.Logger, f.Beat = d.log, d.cfg.Beat
	var err error
	if m.addresses, err = d.own(d.setup.Addresses, d.setup.Announcing); err != nil {
		return err
	}
	if m.addresses != nil {
		f.Owner = m.addresses
	}
	if m.node, err = failover.New(&f); err != nil {
		return err
	}
	m.elector, d.partner.node = m.node, m.node
	d.members = append(d.members, m)
	return nil
}

// concealKey hides what may be a secret in what the nodes tell each other of
// their configurations. While keys change it is the oldest one, which both have
// longest in common.
func concealKey(c *failover.Config) []byte {
	if len(c.Keys) == 0 {
		return c.Key
	}
	return slices.MinFunc(c.Keys, func(a, b pulse.Key) int { return cmp.Compare(a.ID, b.ID) }).Secret
}

func (d *Director) addRouter(s *RouterSetup, c failover.RouterConfig) error {
	m := &member{name: s.Name}
	c.OnRole = d.onRole(s.Name)
	c.OnEvent = func(e failover.Event) { d.onEvent(m, e) }
	c.Logger, c.Beat = d.log, d.cfg.Beat
	var err error
	if m.addresses, err = d.own(s.Addresses, s.Announcing); err != nil {
		return fmt.Errorf("%s: %w", s.Place, onOneLine{err})
	}
	if m.addresses != nil {
		c.Owner = m.addresses
	}
	if m.router, err = failover.NewRouter(&c); err != nil {
		return fmt.Errorf("%s: %w", s.Place, onOneLine{err})
	}
	m.elector = m.router
	d.members = append(d.members, m)
	return nil
}

// group lets the routers of a sync group move together.
func (d *Director) group() error {
	groups := make(map[string][]*failover.Router)
	var names []string
	for i, m := range d.members {
		name := d.cfg.Setup.Routers[i].SyncGroup
		if name == "" {
			continue
		}
		if groups[name] == nil {
			names = append(names, name)
		}
		groups[name] = append(groups[name], m.router)
	}
	for _, name := range names {
		if _, err := failover.NewGroup(name, groups[name]...); err != nil {
			return err
		}
	}
	return nil
}

// own makes an owner of addresses, nil if nobody carries any.
func (d *Director) own(list []failover.VirtualAddress, plan failover.Announcing) (AddressSet, error) {
	if d.cfg.NewAddresses == nil {
		return nil, nil
	}
	return d.cfg.NewAddresses(&failover.AddressesConfig{Addresses: list, Announcing: plan, Logger: d.log})
}

// elect runs all electors until ctx ends and they have left. One that fails
// ends the others.
func (d *Director) elect(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if d.cfg.Beat != nil {
		g.Go(func() error { return d.cfg.Beat.Run(ctx) })
	}
	for _, m := range d.members {
		g.Go(func() error { return m.Run(ctx) })
	}
	return g.Wait()
}

// yield has every elector hand over that is active.
func (d *Director) yield() error {
	var refused []error
	given := false
	for _, m := range d.members {
		switch err := m.Yield(); {
		case err == nil:
			given = true
		case !errors.Is(err, failover.ErrNotActive):
			refused = append(refused, named(m.name, err))
		}
	}
	if !given && len(refused) == 0 {
		return failover.ErrNotActive
	}
	return errors.Join(refused...)
}

// reclaim ends what yield began.
func (d *Director) reclaim() error {
	if d.members[0].router == nil {
		return errors.New("with heartbeats nothing fails back by itself, so there is nothing to reclaim: order the partner to yield")
	}
	for _, m := range d.members {
		m.router.Reclaim()
	}
	return nil
}

// named tells which router an error is of.
func named(router string, err error) error {
	if router == "" || err == nil {
		return err
	}
	return fmt.Errorf("vrrp %s: %w", router, err)
}
