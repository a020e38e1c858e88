package sched

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Errors of this package, to be told apart with errors.Is.
var (
	// ErrUnknownScheduler is a scheduler's name that this package lacks.
	ErrUnknownScheduler = errors.New("unknown scheduler")
	// ErrServerExists is an address that is added twice.
	ErrServerExists = errors.New("server exists")
	// ErrServerNotFound is a server that the scheduler does not hold.
	ErrServerNotFound = errors.New("server not found")
)

// algorithm is one way of picking. Changes are told to it one at a time;
// picks go on meanwhile, any number at once.
type algorithm interface {
	// added gets the list with a new server in front.
	added(*view)
	// edited gets the list in which a weight or a threshold has changed.
	edited(*view)
	// removed gets the list without the server that was at place i.
	removed(v *view, i int)
	// pick returns a server other than the one of avoid, or nil.
	pick(f Flow, flags Flags, avoid *cell) *Server
}

// kind is a row of the table of schedulers.
type kind struct {
	name string
	// bind starts an algorithm over the servers that the list holds now.
	bind func(*view, Options) (algorithm, error)
}

func kinds() []kind {
	return []kind{
		{"dh", bindDH},
		{"fo", bindFO},
		{"lblc", bindLBLC},
		{"lblcr", bindLBLCR},
		{"lc", bindLC},
		{"mh", bindMH},
		{"none", bindNone},
		{"nq", bindNQ},
		{"ovf", bindOVF},
		{"rr", bindRR},
		{"sed", bindSED},
		{"sh", bindSH},
		{"twos", bindTwos},
		{"wlc", bindWLC},
		{"wrr", bindWRR},
	}
}

func lookup(name string) (kind, error) {
	for _, k := range kinds() {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("%w %q: known are %s", ErrUnknownScheduler, name, strings.Join(Names(), ", "))
}

// Names returns the names that [New] knows, sorted.
func Names() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// Scheduler holds the servers of one virtual service and picks among them.
// It is safe for concurrent use. Make one with [New].
type Scheduler struct {
	flags atomic.Uint32
	bound atomic.Pointer[binding]
	opts  Options

	// mu is held by changes, never by picks.
	mu    sync.Mutex
	list  *view
	cells cells
	// gone are the records of the server removed last and of those whose
	// connections were not all closed at the last look.
	gone map[netip.AddrPort]*record
}

// binding is the scheduler in use.
type binding struct {
	name string
	algorithm
}

// New returns a scheduler without servers. The name is the kernel's ("wrr");
// an unknown one is an error that lists the known ones and is
// [ErrUnknownScheduler]. Nil options mean the zero value.
func New(name string, opts *Options) (*Scheduler, error) {
	if opts == nil {
		opts = &Options{}
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Scheduler{opts: o, list: &view{}, gone: map[netip.AddrPort]*record{}}
	s.flags.Store(uint32(o.Flags))
	if err := s.bind(name); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scheduler) bind(name string) error {
	k, err := lookup(name)
	if err != nil {
		return err
	}
	alg, err := k.bind(s.list, s.opts)
	if err != nil {
		return fmt.Errorf("scheduler %s: %w", name, err)
	}
	s.bound.Store(&binding{name, alg})
	return nil
}

// Name returns the name of the scheduler in use.
func (s *Scheduler) Name() string { return s.bound.Load().name }

// Use changes to another scheduler over the same servers. As in the kernel,
// naming the one in use keeps its state.
func (s *Scheduler) Use(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == s.Name() {
		return nil
	}
	return s.bind(name)
}

// SetFlags changes the flags of the service, at once and for every pick after
// it. Like the kernel it keeps bits it does not know, and does nothing with
// them.
func (s *Scheduler) SetFlags(f Flags) { s.flags.Store(uint32(f)) }

// Add puts a new server at the head of the list. The value is the caller's
// own, handed back by [Server.Value]. The address tells servers apart: a
// second one with the same address is [ErrServerExists]. A server that was
// removed while connections to it were open goes on with their counts when
// its address comes back before the last of them is closed, as in the kernel
// (which keeps removed destinations for two minutes more; without connections
// that makes no difference here).
func (s *Scheduler) Add(addr netip.AddrPort, c ServerConfig, value any) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("server %v: %w", addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.list.servers {
		if d.addr == addr {
			return nil, fmt.Errorf("server %v: %w", addr, ErrServerExists)
		}
	}
	s.forgetIdle()
	rec := s.gone[addr]
	if rec == nil {
		rec = &record{cell: s.cells.take(), rules: s.opts.Rules}
	}
	delete(s.gone, addr)
	d := &Server{record: rec, addr: addr, value: value}
	d.owner.Store(s)
	d.configure(c)
	s.list = s.list.with(d)
	s.bound.Load().added(s.list)
	return d, nil
}

// Edit changes weight and thresholds of a server. Its place in the list and
// its connections stay. Even an edit that changes nothing is told to the
// scheduler, as the kernel does: it moves the mark of wrr.
func (s *Scheduler) Edit(d *Server, c ServerConfig) error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("server %v: %w", d.addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.owner.Load() != s {
		return fmt.Errorf("server %v: %w", d.addr, ErrServerNotFound)
	}
	d.configure(c)
	s.bound.Load().edited(s.list)
	return nil
}

// Remove takes a server out of the list. The counts of its open connections
// go on; it cannot be added again, but its address can.
func (s *Scheduler) Remove(d *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.owner.Load() != s {
		return fmt.Errorf("server %v: %w", d.addr, ErrServerNotFound)
	}
	d.owner.Store(nil)
	s.forgetIdle()
	s.gone[d.addr] = d.record
	i := slices.Index(s.list.servers, d)
	s.list = s.list.without(i)
	s.bound.Load().removed(s.list, i)
	return nil
}

// forgetIdle bounds gone by the number of open connections.
func (s *Scheduler) forgetIdle() {
	maps.DeleteFunc(s.gone, func(_ netip.AddrPort, r *record) bool { return r.idle() })
}

// Servers returns the servers in the order of the list, the newest first.
func (s *Scheduler) Servers() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list.servers)
}

// Pick returns the server for a new connection, nil when none may take one.
// It counts no connection: tell the server with [Server.Opened].
func (s *Scheduler) Pick(f Flow) *Server { return s.PickOther(f, nil) }

// PickOther is Pick with one server passed over as if it were overloaded, for
// a second try after a connection to it failed. Nil avoids none.
func (s *Scheduler) PickOther(f Flow, avoid *Server) *Server {
	var c *cell
	if avoid != nil {
		c = avoid.cell
	}
	return s.bound.Load().pick(f, Flags(s.flags.Load()), c)
}
