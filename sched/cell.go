package sched

import "sync/atomic"

// cell is what a pick reads of a server. Picks walk over many of them, so
// they are small and lie close together.
type cell struct {
	// load has the active connections in its upper half and the inactive
	// ones in the lower, so that a reader gets a pair that belongs together.
	load atomic.Uint64
	// room is the weight of a server that may take a connection, and 0 if
	// it is quiesced or overloaded.
	room atomic.Int32
	// weight is the weight as it was set.
	weight atomic.Int32
}

func pack(active, inactive int32) uint64 {
	return uint64(uint32(active))<<32 | uint64(uint32(inactive))
}

func (c *cell) counts() (active, inactive int32) {
	n := c.load.Load()
	return int32(n >> 32), int32(n)
}

func (c *cell) active() int32 { return int32(c.load.Load() >> 32) }

// open reports whether the server may take a connection. The one to avoid is
// treated as an overloaded one.
func (c *cell) open(avoid *cell) bool { return c.room.Load() > 0 && c != avoid }

// cells gives out cells side by side. They are not given back: the chunk goes
// when the last server in it does.
type cells struct{ rest []cell }

func (c *cells) take() *cell {
	if len(c.rest) == 0 {
		c.rest = make([]cell, 8) // Two lines of the processor's cache.
	}
	taken := &c.rest[0]
	c.rest = c.rest[1:]
	return taken
}

// view is the list of servers at one moment, the newest first. It is never
// changed, so that picks need no lock to read it.
type view struct {
	servers []*Server
	cells   []*cell // of the same servers
}

func newView(n int) *view {
	return &view{servers: make([]*Server, 0, n), cells: make([]*cell, 0, n)}
}

func (v *view) push(servers ...*Server) {
	for _, s := range servers {
		v.servers = append(v.servers, s)
		v.cells = append(v.cells, s.cell)
	}
}

// with returns a list with s in front of that of v.
func (v *view) with(s *Server) *view {
	n := newView(len(v.servers) + 1)
	n.push(s)
	n.push(v.servers...)
	return n
}

// without returns a list that lacks the server at place i.
func (v *view) without(i int) *view {
	n := newView(len(v.servers) - 1)
	n.push(v.servers[:i]...)
	n.push(v.servers[i+1:]...)
	return n
}
