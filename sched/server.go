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
	*record
	addr  netip.AddrPort
	value any
	// owner is the scheduler that holds the server, nil after the removal.
	owner atomic.Pointer[Scheduler]
	// lastWeight is the latest weight above 0, or that of the addition. It
	// is guarded by the scheduler's mutex.
	lastWeight int32
}

// Addr returns the address that the server was added with.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Value returns what the caller attached to the server in [Scheduler.Add].
func (s *Server) Value() any { return s.value }

// Active returns the number of active (established) connections.
func (s *Server) Active() int {
	active, _ := s.cell.counts()
	return int(active)
}

// Inactive returns the number of connections that are open but not active.
func (s *Server) Inactive() int {
	_, inactive := s.cell.counts()
	return int(inactive)
}

// Overloaded reports whether the server is passed over because of its
// thresholds.
func (s *Server) Overloaded() bool { return s.overloaded.Load() }

// Opened counts a new connection, inactive at first. Every Opened needs one
// [Server.Closed] later.
func (s *Server) Opened() { s.count(0, 1) }

// Activated moves one connection from inactive to active.
func (s *Server) Activated() { s.count(1, -1) }

// Deactivated moves one connection from active to inactive.
func (s *Server) Deactivated() { s.count(-1, 1) }

// Closed counts the end of a connection; active tells which count it was in.
func (s *Server) Closed(active bool) {
	if active {
		s.count(-1, 0)
	} else {
		s.count(0, -1)
	}
}

// configure takes over a configuration; the scheduler's mutex is held.
func (s *Server) configure(c ServerConfig) {
	if c.Weight > 0 {
		s.lastWeight = int32(c.Weight)
	}
	s.record.configure(c)
}

// record is what is known of a server apart from its place in a list. A
// server that is added again while connections to it are still open goes on
// with the record of the removed one, as in the kernel.
type record struct {
	cell       *cell
	rules      Rules
	overloaded atomic.Bool

	// mu makes a change of a count and the judgement of the overload one
	// step. Without it a late judgement could leave an idle server marked
	// as overloaded, and nothing would ever clear the mark.
	mu           sync.Mutex
	upper, lower uint32
}

// count changes the numbers of connections. Only a beginning can bring about
// an overload, and only an end can end one.
func (r *record) count(active, inactive int32) {
	r.mu.Lock()
	a, i := r.cell.counts()
	a, i = a+active, i+inactive
	r.cell.load.Store(pack(a, i))
	n := uint32(a + i)
	switch active + inactive {
	case 1:
		if r.upper > 0 && n >= r.upper {
			r.mark(true)
		}
	case -1:
		if r.rules.relieved(n, r.upper, r.lower) {
			r.mark(false)
		}
	}
	r.mu.Unlock()
}

// mark sets or clears the overload; mu is held.
func (r *record) mark(overloaded bool) {
	if r.overloaded.Load() != overloaded {
		r.overloaded.Store(overloaded)
		r.openOrShut()
	}
}

// openOrShut brings the room of the cell up to date; mu is held.
func (r *record) openOrShut() {
	room := r.cell.weight.Load()
	if r.overloaded.Load() {
		room = 0
	}
	r.cell.room.Store(room)
}

func (r *record) configure(c ServerConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, i := r.cell.counts()
	n := uint32(a + i)
	changed := c.Upper != r.upper || c.Lower != r.lower
	switch {
	case r.rules == OlderRules:
		if c.Upper == 0 || c.Upper > r.upper {
			r.overloaded.Store(false)
		}
	case !changed:
	case c.Upper > 0 && n >= c.Upper:
		r.overloaded.Store(true)
	case r.rules.relieved(n, c.Upper, c.Lower):
		r.overloaded.Store(false)
	}
	r.upper, r.lower = c.Upper, c.Lower
	r.cell.weight.Store(int32(c.Weight))
	r.openOrShut()
}

// idle reports whether no connection is open.
func (r *record) idle() bool { return r.cell.load.Load() == 0 }
