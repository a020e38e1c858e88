package userspace

import (
	"sync"
	"time"

	"github.com/lvskit/lvskit/sched"
)

const (
	// resetTimeout is how long a reset connection counts as inactive: the
	// kernel's time of the state CLOSE (net/netfilter/ipvs/ip_vs_proto_tcp.c),
	// which cannot be set there either.
	resetTimeout = 10 * time.Second
	// maxClosed bounds the closed connections of one service that still
	// count, those that ended in order and those that were reset each: 1 MiB.
	maxClosed = 1 << 16
	// minClosed is the room that a queue begins with.
	minClosed = 16
)

// ending tells how a connection ended.
type ending uint8

const (
	endInOrder ending = iota // both sides have closed
	endReset
	endExpired // nothing moved for the time of its state
)

// closedConns are the TCP connections of one service that have ended and
// still count as inactive, as they do in the kernel, which keeps them for the
// time of their last state. Without them wlc and lc would see idle servers
// between short connections and send all of them to the first one.
type closedConns struct {
	mu       sync.Mutex
	dropped  bool
	inOrder  closedQueue
	reset    closedQueue
	capacity int // of each queue
}

func (c *closedConns) init(capacity int) {
	c.reset.life, c.capacity = int64(resetTimeout), capacity
}

// setFin changes how long connections that ended in order count, those that
// have ended already too.
func (c *closedConns) setFin(d time.Duration) {
	c.mu.Lock()
	c.inOrder.life = int64(d)
	c.mu.Unlock()
}

// add takes over an inactive connection of the server, until its time is up.
func (c *closedConns) add(server *sched.Server, how ending, clock func() int64) {
	if how == endExpired { // Its time is up already.
		server.Closed(false)
		return
	}
	q := &c.inOrder
	if how == endReset {
		q = &c.reset
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped {
		server.Closed(false)
		return
	}
	if q.n == c.capacity {
		q.pop()
	}
	// The clock is read under the mutex, so a queue is in order.
	q.push(closedConn{server, clock()}, c.capacity)
}

// sweep lets those go whose time is up.
func (c *closedConns) sweep(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inOrder.sweep(now)
	c.reset.sweep(now)
}

// drop lets all go, and later ones at once.
func (c *closedConns) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = true
	for _, q := range []*closedQueue{&c.inOrder, &c.reset} {
		for q.n > 0 {
			q.pop()
		}
		q.ring = nil
	}
}

// closedConn holds a server only: that of a deleted destination is counted
// down like any other, and one added anew in its place is another.
type closedConn struct {
	server *sched.Server
	ended  int64 // of Balancer.now
}

// closedQueue is a first-in-first-out ring of connections of one life time.
type closedQueue struct {
	life     int64
	ring     []closedConn
	first, n int
}

func (q *closedQueue) push(c closedConn, capacity int) {
	if q.n == len(q.ring) {
		ring := make([]closedConn, min(max(2*q.n, minClosed), capacity))
		copy(ring[copy(ring, q.ring[q.first:]):], q.ring[:q.first])
		q.ring, q.first = ring, 0
	}
	i := q.first + q.n
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	q.ring[i] = c
	q.n++
}

// pop ends the oldest.
func (q *closedQueue) pop() {
	q.ring[q.first].server.Closed(false)
	q.ring[q.first].server = nil
	if q.first++; q.first == len(q.ring) {
		q.first = 0
	}
	q.n--
}

// sweep leaves no memory to a service that had no connection for a life time.
func (q *closedQueue) sweep(now int64) {
	for q.n > 0 && now-q.ring[q.first].ended >= q.life {
		q.pop()
	}
	if q.n == 0 {
		q.ring, q.first = nil, 0
	}
}
