package schedlab

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// Model plays a case on package sched and keeps the books of its flows.
type Model struct {
	protocol Protocol
	s        *sched.Scheduler
	now      time.Duration
	servers  map[int]*server // also those that were removed
	flows    map[int]*flow   // open ones
}

type server struct {
	*sched.Server
	config  sched.ServerConfig
	removed bool
}

type flow struct {
	server          int
	active          bool
	client, service netip.AddrPort
}

// NewModel returns a model of the case before its first step.
func NewModel(c Case) (*Model, error) {
	s, err := sched.New(c.Scheduler, &sched.Options{
		Rules: c.Rules, Flags: c.Flags, LBLCExpiration: c.Expiration, LBLCRExpiration: c.Expiration,
	})
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", c.Name, err)
	}
	return &Model{protocol: c.Protocol, s: s, servers: map[int]*server{}, flows: map[int]*flow{}}, nil
}

// Sensible reports whether a step can be played now: what it is about is
// there, and no rule of the kernel beside the schedulers would meddle. Other
// steps of a case are left out. The flows of an End come back without those
// that it cannot end.
func (m *Model) Sensible(s Step) (Step, bool) {
	here := func(n int) bool { d := m.servers[n]; return d != nil && !d.removed }
	switch s.Op {
	case Add:
		if m.servers[s.Server] != nil {
			return s, false
		}
		for _, d := range m.servers {
			if d.Addr() == s.Addr && !d.removed {
				return s, false
			}
		}
	case Edit, Remove:
		return s, here(s.Server)
	case Pick:
		// What comes from port 20 may be a server's FTP data, and is never
		// scheduled; port 0 is a client of which one waits for the port.
		if port := s.Client.Port(); port == 20 || port == 0 {
			return s, false
		}
		for n, f := range m.flows {
			// A packet of a flow that is there is not scheduled.
			if n == s.Flow || f.client == s.Client && f.service == s.Service {
				return s, false
			}
		}
	case Half:
		f := m.flows[s.Flow]
		if f == nil || !f.active || !here(f.server) {
			return s, false
		}
		for n, other := range m.flows {
			// The server's packet would belong to either.
			if n != s.Flow && other.client == f.client && other.server == f.server {
				return s, false
			}
		}
	case End:
		var flows []int
		for _, n := range s.Flows {
			if f := m.flows[n]; f != nil && here(f.server) {
				flows = append(flows, n)
			}
		}
		s.Flows = flows
		return s, len(flows) > 0
	}
	return s, true
}

// Play plays one sensible step. For a pick it returns the server's number, 0
// for nobody, and counts nothing: that is what [Model.Took] is for.
func (m *Model) Play(s Step) (int, error) {
	switch s.Op {
	case Add:
		d, err := m.s.Add(s.Addr, s.Config, s.Server)
		if err != nil {
			return 0, err
		}
		m.servers[s.Server] = &server{Server: d, config: s.Config}
		// One that comes back has its flows again.
		for _, f := range m.flows {
			if m.servers[f.server].Addr() == s.Addr {
				f.server = s.Server
			}
		}
	case Edit:
		d := m.servers[s.Server]
		d.config = s.Config
		return 0, m.s.Edit(d.Server, s.Config)
	case Remove:
		d := m.servers[s.Server]
		d.removed = true
		return 0, m.s.Remove(d.Server)
	case Pick:
		d := m.s.Pick(sched.Flow{Client: s.Client, Service: s.Service, Now: m.now})
		if d == nil {
			return 0, nil
		}
		return d.Value().(int), nil
	case Half:
		f := m.flows[s.Flow]
		f.active = false
		m.servers[f.server].Deactivated()
	case End:
		for _, n := range s.Flows {
			f := m.flows[n]
			delete(m.flows, n)
			m.servers[f.server].Closed(f.active)
		}
	case SetFlags:
		m.s.SetFlags(s.Flags)
	case Use:
		return 0, m.s.Use(s.Name)
	case Wait:
		m.now += s.Wait
	default:
		return 0, fmt.Errorf("unknown step %q", s.Op)
	}
	return 0, nil
}

// Took counts the flow of a pick at the server that took it, which with twos
// is not the one that the model drew.
func (m *Model) Took(s Step, number int) {
	d := m.servers[number]
	d.Opened()
	if m.protocol == OnePacket {
		d.Closed(false)
		return
	}
	if m.protocol == TCP {
		d.Activated()
	}
	m.flows[s.Flow] = &flow{server: number, active: m.protocol == TCP, client: s.Client, service: s.Service}
}

// Agrees reports whether a pick may have yielded a server: the one that the
// model picked, or with twos any that may take a connection.
func (m *Model) Agrees(picked, got int) bool {
	if m.s.Name() != "twos" || picked == 0 || got == 0 {
		return picked == got
	}
	d := m.servers[got]
	return !d.removed && d.config.Weight > 0 && !d.Overloaded()
}

// Replay plays a recorded case and returns an error that names the first step
// at which the model differs from the record.
func Replay(c Case) error {
	m, err := NewModel(c)
	if err != nil {
		return err
	}
	for i, s := range c.Steps {
		if _, ok := m.Sensible(s); !ok {
			return fmt.Errorf("case %s, step %d (%v): not possible here", c.Name, i+1, s)
		}
		got, err := m.Play(s)
		if err != nil {
			return fmt.Errorf("case %s, step %d (%v): %w", c.Name, i+1, s, err)
		}
		if s.Op != Pick {
			continue
		}
		if !m.Agrees(got, s.Got) {
			return fmt.Errorf("case %s, step %d (%v): the kernel picked %s, the model %s", c.Name, i+1, s, who(s.Got), who(got))
		}
		if s.Got != 0 {
			m.Took(s, s.Got)
		}
	}
	return nil
}

func who(server int) string {
	if server == 0 {
		return "nobody"
	}
	return fmt.Sprintf("server %d", server)
}
