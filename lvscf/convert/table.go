package convert

import (
	"fmt"
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// Service is an active virtual block as the kernel's table has it.
type Service struct {
	// Virtual is the block in the configuration.
	Virtual *lvscf.Virtual
	Service ipvs.Service
	// Servers are those of the active server blocks in their order, with
	// their configured weights; zero for those in maintenance.
	Servers []Server
	// Sorry are those that serve when no other one does, Piranha's
	// sorry_server first.
	Sorry []Server
}

// Server is a server of a [Service].
type Server struct {
	// Server is the block in the configuration, nil for Piranha's
	// sorry_server.
	Server      *lvscf.Server
	Destination ipvs.Destination
}

// Services returns the active virtual blocks of a configuration as the
// kernel's table has them. Names must be resolved; blocks without an address
// are left out. The losses are what the table cannot hold as written: the port
// of a server that is not reached by NAT, and a server that stands twice.
//
// This is the one place where the words of lvs.cf become those of the kernel:
// what the director makes of a file, and what [ToIPVSAdm] writes, begins here.
func Services(c *lvscf.Config) ([]Service, Losses) {
	var l ledger
	services := tableServices(c, &l)
	return services, l.losses()
}

func tableServices(c *lvscf.Config, l *ledger) []Service {
	b := &tableBuilder{c, l}
	out := make([]Service, 0, len(c.Virtuals))
	for i := range c.Virtuals {
		v := &c.Virtuals[i]
		if !v.Active {
			continue
		}
		key, ok := b.key(v)
		if !ok {
			l.lose(b.at(v.Pos, v), "the virtual service", "it has no address", "write an address, or a name and look it up")
			continue
		}
		out = append(out, b.service(v, key))
	}
	return out
}

// Table returns the table of a configuration for the case that every server is
// up: with the first sorry server that may serve where all weights are zero. The
// losses are those of [Services].
func Table(c *lvscf.Config) (ipvs.Table, Losses) {
	services, losses := Services(c)
	return tableOf(services), losses
}

func tableOf(services []Service) ipvs.Table {
	t := make(ipvs.Table, 0, len(services))
	for _, s := range services {
		e := ipvs.Entry{Service: s.Service, Destinations: make([]ipvs.Destination, 0, len(s.Servers))}
		alive := false
		for _, r := range s.Servers {
			e.Destinations = append(e.Destinations, r.Destination)
			alive = alive || r.Destination.Weight > 0
		}
		if !alive {
			for _, r := range s.Sorry {
				if r.Server == nil || !r.Server.Maintenance {
					e.Destinations = append(e.Destinations, r.Destination)
					break
				}
			}
		}
		t = append(t, e)
	}
	return t
}

type tableBuilder struct {
	c *lvscf.Config
	l *ledger
}

// at returns the place of something in a block.
func (b *tableBuilder) at(pos lvscf.Pos, v *lvscf.Virtual) Where {
	return Where{File: b.c.Path, Pos: pos, Path: "virtual " + v.Name}
}

// key is the identity of the service.
func (b *tableBuilder) key(v *lvscf.Virtual) (ipvs.ServiceKey, bool) {
	switch {
	case v.FWMark != 0 && v.Is6():
		return ipvs.MarkService6(v.FWMark), true
	case v.FWMark != 0:
		return ipvs.MarkService(v.FWMark), true
	}
	if !v.Address.Addr.IsValid() {
		return ipvs.ServiceKey{}, false
	}
	return ipvs.ServiceKey{Protocol: ipvs.Protocol(v.Protocol), Addr: netip.AddrPortFrom(v.Address.Addr, v.Port)}, true
}

var schedulerFlags = []struct {
	lvs lvscf.SchedulerFlags
	own ipvs.ServiceFlags
}{{lvscf.FlagFallback, ipvs.Sched1}, {lvscf.FlagPort, ipvs.Sched2}, {lvscf.FlagThird, ipvs.Sched3}}

func (b *tableBuilder) service(v *lvscf.Virtual, key ipvs.ServiceKey) Service {
	s := Service{Virtual: v, Service: ipvs.Service{
		Key: key, Scheduler: v.Scheduler.String(), Persistence: v.Persistent, Engine: v.PersistenceEngine,
	}}
	if v.Persistent > 0 {
		s.Service.PersistencePrefix = v.PMask.Bits()
	}
	for _, f := range schedulerFlags {
		if v.SchedulerFlags&f.lvs != 0 {
			s.Service.Flags |= f.own
		}
	}
	if v.OnePacket {
		s.Service.Flags |= ipvs.OnePacket
	}
	taken := map[ipvs.DestinationKey]string{}
	add := func(to *[]Server, r *lvscf.Server, name string, d ipvs.Destination) {
		pos := v.Pos
		if r != nil {
			pos = r.Pos
		}
		if other, dup := taken[d.Key]; dup {
			b.l.lose(b.at(pos, v), name, "it is the same destination as "+other+", and the table has each once", "it is left out")
			return
		}
		taken[d.Key] = name
		*to = append(*to, Server{r, d})
	}
	for _, sorry := range []bool{false, true} {
		if sorry && v.SorryServer.IsValid() {
			port := v.Port
			if key.IsMark() {
				port = 0
			}
			add(&s.Sorry, nil, "the sorry server", ipvs.Destination{
				Key: netip.AddrPortFrom(v.SorryServer, port), Forward: forwardOf(b.c.ForwardOf(v, nil)), Weight: 1, Tunnel: tunnelOf(b.c.ForwardOf(v, nil), v.Tunneling),
			})
		}
		for i := range v.Servers {
			r := &v.Servers[i]
			if !r.Active || r.Sorry != sorry {
				continue
			}
			name := "server " + r.Name
			if !r.Address.Addr.IsValid() {
				b.l.lose(b.at(r.Pos, v), name, "it has no address", "write an address, or a name and look it up")
				continue
			}
			to := &s.Servers
			if sorry {
				to = &s.Sorry
			}
			add(to, r, name, b.destination(v, r, name))
		}
	}
	return s
}

func (b *tableBuilder) destination(v *lvscf.Virtual, r *lvscf.Server, name string) ipvs.Destination {
	network := b.c.ForwardOf(v, r)
	d := ipvs.Destination{
		Key:     netip.AddrPortFrom(r.Address.Addr, b.port(v, r, network, name)),
		Forward: forwardOf(network), Weight: r.Weight,
		UpperThreshold: r.UpperThreshold, LowerThreshold: r.LowerThreshold,
		Tunnel: tunnelOf(network, v.TunnelOf(r)),
	}
	if r.Maintenance {
		d.Weight = 0
	}
	return d
}

// port is the server's port as the table has it. Only NAT can turn one port
// into another: with the other methods packets arrive at the virtual port
// whatever the table says, and a table that says otherwise has brought whole
// balancers down. A mark may stand for several ports, so its destinations keep
// that of the connection unless the file asks for another.
func (b *tableBuilder) port(v *lvscf.Virtual, r *lvscf.Server, n lvscf.Network, name string) uint16 {
	port := v.Port
	if v.FWMark != 0 {
		port = 0
	}
	if r.Port == v.Port {
		return port
	}
	if n == lvscf.NAT {
		return r.Port
	}
	arrives := fmt.Sprintf("at port %d", v.Port)
	if port == 0 {
		arrives = "at the port that the client asked for"
	}
	b.l.lose(b.at(r.Pos, v), fmt.Sprintf("port %d of %s", r.Port, name), "without NAT its packets arrive "+arrives, "the port is only checked")
	return port
}

func forwardOf(n lvscf.Network) ipvs.ForwardMethod {
	switch n {
	case lvscf.Direct:
		return ipvs.DirectRoute
	case lvscf.Tunnel:
		return ipvs.Tunnel
	}
	return ipvs.Masquerade
}

// tunnelOf returns the tunnel where the method is that; another has none.
func tunnelOf(n lvscf.Network, t lvscf.Tunneling) ipvs.TunnelOptions {
	if n != lvscf.Tunnel {
		return ipvs.TunnelOptions{}
	}
	o := ipvs.TunnelOptions{Port: t.TunnelPort}
	switch t.TunnelType {
	case lvscf.GUE:
		o.Type = ipvs.GUE
	case lvscf.GRE:
		o.Type = ipvs.GRE
	}
	switch t.TunnelChecksum {
	case lvscf.TunnelFullChecksum:
		o.Flags = 1 // its number in the kernel
	case lvscf.TunnelRemoteChecksum:
		o.Flags = 2
	}
	return o
}
