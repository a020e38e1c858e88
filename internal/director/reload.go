package director

import (
	"context"
	"errors"
	"fmt"
)

const heartbeatNote = "the heartbeat settings changed: they take effect when the daemon is started again"

// moveAddresses gives each elector the addresses and the priority of a new
// setup. The roles stay. Trouble with other addresses is told with its own.
func (d *Director) moveAddresses(ctx context.Context, setup *Setup, others error) {
	errs := []error{others}
	for _, m := range d.members {
		list := setup.Addresses
		if m.router != nil {
			r := setup.router(m.name)
			if r == nil {
				continue // it goes on as it is, and oldElection says so
			}
			list = r.Addresses
			m.router.SetPriority(r.priority(d.cfg.Identity))
		}
		if m.addresses != nil {
			if err := m.addresses.Set(ctx, list); err != nil {
				errs = append(errs, named(m.name, err))
			}
		}
	}
	d.addressErr = ""
	if err := errors.Join(errs...); err != nil {
		d.addressErr = err.Error()
		d.log.Error("cannot change the floating addresses", "err", err)
	}
}

// router finds a router of the setup by its name.
func (s *Setup) router(name string) *RouterSetup {
	for i := range s.Routers {
		if s.Routers[i].Name == name {
			return &s.Routers[i]
		}
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
	for i := range begun.Routers {
		was := &begun.Routers[i]
		switch r := now.router(was.Name); {
		case r == nil:
			notes = append(notes, fmt.Sprintf("vrrp %s is gone from the configuration: it runs until the daemon is started again", was.Name))
		case r.differs(was):
			notes = append(notes, fmt.Sprintf("vrrp %s changed: all but its addresses, priority and commands takes effect when the daemon is started again", was.Name))
		}
	}
	for i := range now.Routers {
		if r := &now.Routers[i]; begun.router(r.Name) == nil {
			notes = append(notes, fmt.Sprintf("vrrp %s is new: it and its services run when the daemon is started again", r.Name))
		}
	}
	return notes
}
