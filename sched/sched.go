package sched

import (
	"errors"
	"fmt"
	"net/netip"
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

// algorithm is one way of picking. Its methods run under the scheduler's
// mutex; the list is already changed when a change is reported.
type algorithm interface {
	added(*Server)
	edited(*Server)
	removed(*Server)
	// pick returns an eligible server other than avoid, or nil.
	pick(f Flow, avoid *Server) *Server
}

// kind is a row of the table of schedulers.
type kind struct {
	name string
	// bind starts an algorithm over the servers that the list holds now.
	bind func(*list, Options) algorithm
}

func kinds() []kind {
	return []kind{
		{"lc", bindLC},
		{"rr", bindRR},
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
	opts  Options
	flags atomic.Uint32

	mu      sync.Mutex
	name    string
	servers list
	alg     algorithm
}

// New returns a scheduler without servers. The name is the kernel's ("wrr");
// an unknown one is an error that lists the known ones and is
// [ErrUnknownScheduler]. Nil options mean the zero value.
func New(name string, opts *Options) (*Scheduler, error) {
	k, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &Options{}
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Scheduler{name: name, opts: o}
	s.flags.Store(uint32(s.opts.Flags))
	s.servers.init()
	s.alg = k.bind(&s.servers, s.opts)
	return s, nil
}

// Name returns the name of the scheduler in use.
func (s *Scheduler) Name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

// Use changes to another scheduler over the same servers. As in the kernel,
// naming the one in use keeps its state.
func (s *Scheduler) Use(name string) error {
	k, err := lookup(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != s.name {
		s.name, s.alg = name, k.bind(&s.servers, s.opts)
	}
	return nil
}

// SetFlags changes the flags of the service, at once and for every pick after
// it. Like the kernel it keeps bits it does not know, and does nothing with
// them.
func (s *Scheduler) SetFlags(f Flags) { s.flags.Store(uint32(f)) }

// Add puts a new server without connections at the head of the list. The
// value is the caller's own, handed back by [Server.Value]. The address tells
// servers apart: a second one with the same address is [ErrServerExists].
func (s *Scheduler) Add(addr netip.AddrPort, c ServerConfig, value any) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("server %v: %w", addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := s.servers.root.next; d != &s.servers.root; d = d.next {
		if d.addr == addr {
			return nil, fmt.Errorf("server %v: %w", addr, ErrServerExists)
		}
	}
	d := &Server{owner: s, addr: addr, value: value, rules: s.opts.Rules}
	d.configure(c)
	s.servers.pushFront(d)
	s.alg.added(d)
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
	if d.owner != s {
		return fmt.Errorf("server %v: %w", d.addr, ErrServerNotFound)
	}
	d.configure(c)
	s.alg.edited(d)
	return nil
}

// Remove takes a server out of the list. The counts of its open connections
// go on; it cannot be added again.
func (s *Scheduler) Remove(d *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.owner != s {
		return fmt.Errorf("server %v: %w", d.addr, ErrServerNotFound)
	}
	d.owner = nil
	s.servers.remove(d)
	s.alg.removed(d)
	d.next, d.prev = nil, nil
	return nil
}

// Servers returns the servers in the order of the list, the newest first.
func (s *Scheduler) Servers() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Server
	for d := s.servers.root.next; d != &s.servers.root; d = d.next {
		all = append(all, d)
	}
	return all
}

// Pick returns the server for a new connection, nil when none may take one.
// It counts no connection: tell the server with [Server.Opened].
func (s *Scheduler) Pick(f Flow) *Server { return s.PickOther(f, nil) }

// PickOther is Pick with one server passed over as if it were overloaded, for
// a second try after a connection to it failed. Nil avoids none.
func (s *Scheduler) PickOther(f Flow, avoid *Server) *Server {
	s.mu.Lock()
	d := s.alg.pick(f, avoid)
	s.mu.Unlock()
	return d
}
