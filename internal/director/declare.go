package director

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
	"github.com/lvskit/lvskit/lvscf"
	"github.com/lvskit/lvskit/lvscf/convert"
)

// declarer is a data plane that has to be told what the table does not hold:
// sockets do not show the mark of a packet.
type declarer interface {
	Configure(context.Context, map[ipvs.ServiceKey]userspace.ServiceConfig) error
}

// declare tells the data plane of the setup's services before they come into
// the table. A service that cannot have its addresses is tried again with the
// table, and seen there.
func (d *Director) declare(ctx context.Context) {
	p, ok := d.cfg.Dataplane.(declarer)
	if !ok {
		return
	}
	if err := p.Configure(ctx, d.declared()); err != nil {
		d.log.Error("cannot configure the data plane", "err", err)
	}
}

// declared is what there is to tell. The sockets of services at addresses that
// the electors bring up are there before them.
func (d *Director) declared() map[ipvs.ServiceKey]userspace.ServiceConfig {
	if d.cfg.NewAddresses == nil {
		return d.setup.Declared
	}
	moving := slices.Clone(d.setup.Addresses)
	for i := range d.setup.Routers {
		moving = append(moving, d.setup.Routers[i].Addresses...)
	}
	comes := func(a netip.Addr) bool {
		return slices.ContainsFunc(moving, func(m failover.VirtualAddress) bool { return m.Prefix.Addr() == a })
	}
	out := make(map[ipvs.ServiceKey]userspace.ServiceConfig, len(d.setup.Services))
	maps.Copy(out, d.setup.Declared)
	for i := range d.setup.Services {
		key := d.setup.Services[i].Service.Key
		c := out[key]
		if !comes(key.Addr.Addr()) && !slices.ContainsFunc(c.Listen, func(l userspace.Listen) bool { return comes(l.Addr) }) {
			continue
		}
		c.FreeBind = true
		out[key] = c
	}
	return out
}

// declarations are the addresses and ports that firewall marks stand for: as
// with Piranha's multi-port services those of all blocks with the mark. Only
// one of them may be active, and it makes the service; with the kernel's table
// the rules that mark packets do not ask which. An address that no active
// block brings up is left out.
func declarations(c *lvscf.Config, services []convert.Service) map[ipvs.ServiceKey]userspace.ServiceConfig {
	out := make(map[ipvs.ServiceKey]userspace.ServiceConfig)
	for _, s := range services {
		if !s.Service.Key.IsMark() {
			continue
		}
		var listen []userspace.Listen
		for i := range c.Virtuals {
			v := &c.Virtuals[i]
			addr := v.Address.Addr
			if v.FWMark != s.Virtual.FWMark || v.Is6() != s.Virtual.Is6() || !addr.IsValid() || v.Port == 0 {
				continue
			}
			carried := slices.ContainsFunc(services, func(o convert.Service) bool { return o.Virtual.Address.Addr == addr })
			if carried {
				listen = append(listen, userspace.Listen{Addr: addr, First: v.Port, Protocol: ipvs.Protocol(v.Protocol)})
			}
		}
		if len(listen) > 0 {
			out[s.Service.Key] = userspace.ServiceConfig{Listen: listen}
		}
	}
	return out
}
