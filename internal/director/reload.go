package director

import (
	"context"
	"errors"
	"fmt"

	"github.com/lvskit/lvskit/failover"
)

const heartbeatNote = "the heartbeat settings changed: they take effect when the daemon is started again"

// electAnew works out the part in each router of a new setup.
func (d *Director) electAnew(setup *Setup) ([]failover.RouterConfig, error) {
	if len(setup.Routers) == 0 || len(d.cfg.Setup.Routers) == 0 {
		return nil, nil // another mode, as oldElection says, or none
	}
	return d.cfg.Elect(setup)
}

// changeKeys gives the node of a pair the keys that are in the file now.
func (d *Director) changeKeys(setup *Setup) error {
	m := d.members[0]
	if m.node == nil || d.cfg.Keys == nil || !d.cfg.Setup.Heartbeat.Enabled {
		return nil
	}
	keys, err := d.cfg.Keys(setup)
	if err != nil || len(keys) == 0 {
		return err
	}
	return m.node.SetKeys(keys)
}

// moveAddresses gives each elector what a new setup has for it: addresses, and
// with VRRP all that a router can change while it keeps its role. Trouble with
// other addresses is told with its own.
func (d *Director) moveAddresses(ctx context.Context, setup *Setup, routers []failover.RouterConfig, others error) {
	errs := []error{others}
	for _, m := range d.members {
		list, plan := setup.Addresses, setup.Announcing
		if m.router != nil {
			i := setup.routerIndex(m.name)
			if i < 0 || routers == nil {
				continue // it goes on as it is, and oldElection says so
			}
			list, plan = setup.Routers[i].Addresses, setup.Routers[i].Announcing
			if m.refused = m.router.Reconfigure(ctx, &routers[i]); m.refused != nil {
				// The addresses change all the same.
				errs = append(errs, named(m.name, m.router.SetAddresses(ctx, routers[i].Addresses, nil)))
			}
		}
		if m.addresses != nil {
			errs = append(errs, named(m.name, errors.Join(m.addresses.SetAnnouncing(plan), m.addresses.Set(ctx, list))))
		}
	}
	d.addressErr = ""
	if err := errors.Join(errs...); err != nil {
		d.addressErr = err.Error()
		d.log.Error("cannot change the floating addresses", "err", err)
	}
}

// routerIndex finds a router of the setup by its name, -1 if there is none.
func (s *Setup) routerIndex(name string) int {
	for i := range s.Routers {
		if s.Routers[i].Name == name {
			return i
		}
	}
	return -1
}

// router finds a router of the setup by its name.
func (s *Setup) router(name string) *RouterSetup {
	if i := s.routerIndex(name); i >= 0 {
		return &s.Routers[i]
	}
	return nil
}

// oldElection tells in what the electors go on as they were started, whatever
// was loaded since.
func (d *Director) oldElection() (notes []string) {
	begun, now := d.cfg.Setup, d.setup
	if (len(begun.Routers) > 0) != (len(now.Routers) > 0) {
		return []string{"failover_mode changed: it takes effect when the daemon is started again"}
	}
	if len(begun.Routers) == 0 {
		if now.Heartbeat.differs(begun.Heartbeat) {
			notes = append(notes, heartbeatNote)
		}
		return notes
	}
	for i, m := range d.members {
		was := &begun.Routers[i]
		switch r := now.router(m.name); {
		case r == nil:
			notes = append(notes, fmt.Sprintf("vrrp %s is gone from the configuration: it runs until the daemon is started again", m.name))
		case m.refused != nil:
			notes = append(notes, fmt.Sprintf("vrrp %s goes on as it was until the daemon is started again: %v", m.name, onOneLine{m.refused}))
		case r.SyncGroup != was.SyncGroup:
			notes = append(notes, fmt.Sprintf("vrrp %s: sync_group changed: it takes effect when the daemon is started again", m.name))
		}
	}
	for i := range now.Routers {
		if r := &now.Routers[i]; begun.router(r.Name) == nil {
			notes = append(notes, fmt.Sprintf("vrrp %s is new: it and its services run when the daemon is started again", r.Name))
		}
	}
	return notes
}
