package sched

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
)

// MaxWeight is the largest weight of a server.
const MaxWeight = math.MaxInt32

// ServerConfig is what a caller may set of a server.
type ServerConfig struct {
	// Weight is 0..MaxWeight; a server of weight 0 is never picked.
	Weight int
	// Upper is the number of connections, active and inactive, at which the
	// server counts as overloaded and is passed over; 0 is no limit.
	Upper uint32
	// Lower is the number below which it is taken again; 0 means three
	// quarters of Upper. It must not be above Upper.
	Lower uint32
}

func (c ServerConfig) validate() error {
	var errs []error
	if c.Weight < 0 || c.Weight > MaxWeight {
		errs = append(errs, fmt.Errorf("weight %d: want 0..%d", c.Weight, MaxWeight))
	}
	if c.Lower > c.Upper {
		errs = append(errs, fmt.Errorf("lower threshold %d is above the upper threshold %d: lower it", c.Lower, c.Upper))
	}
	return errors.Join(errs...)
}

// Server is one server of a [Scheduler], made by [Scheduler.Add], with the
// counts of its connections. It outlives its removal: connections that are
// still open go on being counted. It is safe for concurrent use.
type Server struct {
	// The list, the owner and the weight are guarded by the scheduler's
	// mutex.
	next, prev *Server
	owner      *Scheduler
	weight     int32

	addr  netip.AddrPort
	value any
	rules Rules

	active, inactive atomic.Int32
	overloaded       atomic.Bool

	// mu makes a change of a count and the judgement of the overload one
	// step. Without it a late judgement could leave an idle server marked
	// as overloaded, and nothing would ever clear the mark.
	mu           sync.Mutex
	upper, lower uint32
}

// Addr returns the address that the server was added with.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Value returns what the caller attached to the server in [Scheduler.Add].
func (s *Server) Value() any { return s.value }

// Active returns the number of active (established) connections.
func (s *Server) Active() int { return int(s.active.Load()) }

// Inactive returns the number of connections that are open but not active.
func (s *Server) Inactive() int { return int(s.inactive.Load()) }

// Overloaded reports whether the server is passed over because of its
// thresholds.
func (s *Server) Overloaded() bool { return s.overloaded.Load() }

// Opened counts a new connection, inactive at first. Every Opened needs one
// [Server.Closed] later.
func (s *Server) Opened() {
	s.mu.Lock()
	s.inactive.Add(1)
	if s.upper > 0 && s.total() >= s.upper {
		s.overloaded.Store(true)
	}
	s.mu.Unlock()
}

// Activated moves one connection from inactive to active.
func (s *Server) Activated() { s.move(&s.inactive, &s.active) }

// Deactivated moves one connection from active to inactive.
func (s *Server) Deactivated() { s.move(&s.active, &s.inactive) }

func (s *Server) move(from, to *atomic.Int32) {
	s.mu.Lock()
	from.Add(-1)
	to.Add(1)
	s.mu.Unlock()
}

// Closed counts the end of a connection; active tells which count it was in.
func (s *Server) Closed(active bool) {
	s.mu.Lock()
	if active {
		s.active.Add(-1)
	} else {
		s.inactive.Add(-1)
	}
	if s.rules.relieved(s.total(), s.upper, s.lower) {
		s.overloaded.Store(false)
	}
	s.mu.Unlock()
}

// total is the number of connections; mu is held.
func (s *Server) total() uint32 { return uint32(s.active.Load() + s.inactive.Load()) }

// configure takes over a configuration; the scheduler's mutex is held.
func (s *Server) configure(c ServerConfig) {
	s.weight = int32(c.Weight)
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := c.Upper != s.upper || c.Lower != s.lower
	switch {
	case s.rules == OlderRules:
		if c.Upper == 0 || c.Upper > s.upper {
			s.overloaded.Store(false)
		}
	case !changed:
	case c.Upper > 0 && s.total() >= c.Upper:
		s.overloaded.Store(true)
	case s.rules.relieved(s.total(), c.Upper, c.Lower):
		s.overloaded.Store(false)
	}
	s.upper, s.lower = c.Upper, c.Lower
}

// takes reports whether the server may take a connection whatever its
// weight. The server to avoid is treated as an overloaded one.
func (s *Server) takes(avoid *Server) bool { return s != avoid && !s.overloaded.Load() }

// eligible reports whether the server may take a connection.
func (s *Server) eligible(avoid *Server) bool { return s.weight > 0 && s.takes(avoid) }

// list is a ring of servers around root, the newest first. root is no server
// but the place before the first and behind the last one.
type list struct{ root Server }

func (l *list) init() { l.root.next, l.root.prev = &l.root, &l.root }

func (l *list) pushFront(s *Server) {
	s.prev, s.next = &l.root, l.root.next
	s.prev.next, s.next.prev = s, s
}

// remove takes s out of the ring and leaves its own links alone.
func (l *list) remove(s *Server) { s.prev.next, s.next.prev = s.next, s.prev }
