package userspace

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/ipvs"
)

// side is an end of a relayed connection.
type side int

const (
	fromClient side = 0
	fromServer side = 1
)

type pairState uint8

const (
	pairFree pairState = iota
	pairConnecting
	pairOpen
)

// pair is a relayed TCP connection: two sockets, and a little memory. It
// holds a buffer or a pipe only while one end is slower than the other.
type pair struct {
	front      *loopFrontend
	link       link
	from, at   netip.AddrPort // of the client, and where it came to
	born, last int64          // of Balancer.now; the last time something moved
	half       [2]half
	fd         [2]int32
	generation [2]int32 // of the descriptors, to know the events of former ones
	slot       int32
	state      pairState
	tries      uint8 // connects begun
	active     bool  // no side has closed yet
	queued     bool  // in loop.ready
	uncounted  bool  // in loop.moved
	prompt     uint8 // writes to the server up to the second, from which on none is delayed (TCP_NODELAY)
	watched    bool  // the server's socket is kept alive

	next, prev *pair // in the free list, or in the list of connects
}

// half is one end of a pair and what came from there.
type half struct {
	held   *held  // read and not yet written, while the other end is slow
	pipe   *pipe  // while what comes is bulk
	bytes  uint64 // moved and not yet counted
	pieces uint64
	large  uint8 // large reads in a row
	small  uint8 // small splices in a row
	readable,
	writable,
	ending, // the end or an error is behind what can be read
	failed, // the kernel reported an error
	urgent, // reads may stop at a mark
	ended, // all was read
	done bool // the end was passed on
}

// pairsPerChunk pairs are allocated together and never given back: there are
// at most as many as there were connections at a time.
const pairsPerChunk = 64

// pairTable finds a pair by its slot.
type pairTable struct {
	chunks []*[pairsPerChunk]pair
	free   *pair
}

func (t *pairTable) slots() int          { return len(t.chunks) * pairsPerChunk }
func (t *pairTable) at(slot int32) *pair { return &t.chunks[slot/pairsPerChunk][slot%pairsPerChunk] }

// get returns a pair that is free, all of it zero but its slot and the
// generations.
func (t *pairTable) get() *pair {
	if t.free == nil {
		first := int32(t.slots())
		chunk := new([pairsPerChunk]pair)
		t.chunks = append(t.chunks, chunk)
		for i := pairsPerChunk - 1; i >= 0; i-- {
			chunk[i].slot = first + int32(i)
			chunk[i].next, t.free = t.free, &chunk[i]
		}
	}
	p := t.free
	t.free, p.next = p.next, nil
	return p
}

func (t *pairTable) put(p *pair) {
	*p = pair{slot: p.slot, generation: [2]int32{p.generation[0] + 1, p.generation[1] + 1}, next: t.free}
	t.free = p
}

// pairList is a ring with a root of its own.
type pairList struct{ root pair }

func (l *pairList) init()       { l.root.next, l.root.prev = &l.root, &l.root }
func (l *pairList) empty() bool { return l.root.next == &l.root }

func (l *pairList) add(p *pair) {
	p.next, p.prev = &l.root, l.root.prev
	p.prev.next, p.next.prev = p, p
}

func (p *pair) unlink() {
	p.prev.next, p.next.prev = p.next, p.prev
	p.next, p.prev = nil, nil
}

// watch registers one end of a pair, once for its life.
func (l *loop) watch(p *pair, s side) syscall.Errno {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET,
		Fd:     p.slot<<1 | int32(s), Pad: p.generation[s],
	}
	return rawEpollAdd(l.ep, p.fd[s], &ev)
}

// event takes note of what happened at one end and acts on it.
func (l *loop) event(p *pair, s side, events uint32) {
	h := &p.half[s]
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		h.readable = true
	}
	h.ending = h.ending || events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0
	h.failed = h.failed || events&unix.EPOLLERR != 0
	h.urgent = h.urgent || events&unix.EPOLLPRI != 0
	wrote := events&unix.EPOLLOUT != 0 && !h.writable
	h.writable = h.writable || wrote
	switch {
	case p.state == pairConnecting && s == fromServer:
		l.answered(p)
	case h.failed && (h.ended || p.state == pairConnecting):
		// Nothing more is read here that could tell of the error.
		l.abort(p, endReset)
	case p.state == pairOpen:
		if l.pump(p, s) && wrote {
			l.pump(p, 1-s)
		}
	}
}

// opened begins the relay when the server has accepted.
func (l *loop) opened(p *pair) {
	s := p.front.svc
	p.state, p.last = pairOpen, l.now
	p.half[fromServer].writable = true
	s.stats.connections.Add(1)
	p.link.dest.stats.connections.Add(1)
	if version := s.options().proxy; version != 0 {
		// A fresh socket has room for all of it.
		p.prompt++
		l.header = appendProxyHeader(l.header[:0], version, p.from, p.at)
		if n, _ := rawSend(p.fd[fromServer], l.header); n != len(l.header) {
			l.abort(p, endReset)
			return
		}
	}
	if l.pump(p, fromClient) {
		l.pump(p, fromServer)
	}
}

// firstEnd notes the first end of a side: the connection is inactive then.
func (l *loop) firstEnd(p *pair) {
	if p.active {
		p.active = false
		p.last = l.now // The time of a closing connection begins here.
		p.link.server.Deactivated()
	}
}

// abort ends a pair; both ends see a reset.
func (l *loop) abort(p *pair, how ending) {
	for s := range p.fd {
		if p.fd[s] >= 0 {
			rawReset(p.fd[s])
		}
	}
	l.forget(p, how)
}

// finish ends a pair that both ends have closed.
func (l *loop) finish(p *pair) {
	rawClose(p.fd[fromServer])
	rawClose(p.fd[fromClient])
	l.forget(p, endInOrder)
}

// forget gives back all that a pair has but its sockets, which are closed.
func (l *loop) forget(p *pair, how ending) {
	svc := p.front.svc
	for s := range p.half {
		l.dropPipe(&p.half[s])
		l.dropHeld(&p.half[s])
	}
	switch p.state {
	case pairConnecting:
		p.unlink()
		p.link.release(true)
	case pairOpen:
		p.count()
		if p.active {
			p.link.server.Deactivated()
		}
		svc.closed.add(p.link.server, how, l.b.now)
		p.link.drop()
	}
	l.pairs.put(p)
	l.open.Add(-1)
	l.b.leave(svc)
}

// count adds what moved to the counters.
func (p *pair) count() {
	if !p.uncounted {
		return
	}
	p.uncounted = false
	for s := range p.half {
		h := &p.half[s]
		if h.bytes > 0 {
			p.front.svc.stats.add(h.pieces, h.bytes, side(s) == fromClient)
			p.link.dest.stats.add(h.pieces, h.bytes, side(s) == fromClient)
			h.bytes, h.pieces = 0, 0
		}
	}
}

// add counts what moved in one direction.
func (s *stats) add(pieces, bytes uint64, toServer bool) {
	if toServer {
		s.inPackets.Add(pieces)
		s.inBytes.Add(bytes)
	} else {
		s.outPackets.Add(pieces)
		s.outBytes.Add(bytes)
	}
}

// checkIdle resets a pair that was silent for longer than its state allows or
// is too old, and does to others what short connections need not pay for.
func (l *loop) checkIdle(p *pair) {
	opts := p.front.svc.options()
	silent := time.Duration(l.now - p.last)
	switch {
	case opts.idleTimeout > 0 && silent >= opts.idleTimeout,
		opts.lifeTimeout > 0 && l.now-p.born >= int64(opts.lifeTimeout),
		!p.active && silent >= opts.finTimeout:
		l.b.count.idle.Add(1)
		l.abort(p, endExpired)
		return
	}
	if !p.watched && l.now-p.born >= int64(time.Second) {
		p.watched = true
		keepAlive(p.fd[fromServer])
	}
	if silent >= spliceWait {
		for s := range p.half {
			if h := &p.half[s]; h.pipe != nil && h.pipe.n == 0 {
				l.dropPipe(h)
			}
		}
	}
}

// connection is the row of a pair in a list.
func (p *pair) connection(now int64) Connection {
	opts := p.front.svc.options()
	c := Connection{
		Service: p.front.svc.key, Protocol: ipvs.TCP, Client: p.from, Virtual: p.at,
		Destination: p.link.target(p.at), State: StateEstablished,
	}
	var expires int64
	sooner := func(at int64) {
		if expires == 0 || at < expires {
			expires = at
		}
	}
	switch {
	case p.state == pairConnecting:
		c.State = StateSynRecv
		sooner(p.last + int64(opts.connectTimeout))
	case !p.active:
		c.State = StateFinWait
		sooner(p.last + int64(opts.finTimeout))
	}
	if opts.idleTimeout > 0 {
		sooner(p.last + int64(opts.idleTimeout))
	}
	if opts.lifeTimeout > 0 {
		sooner(p.born + int64(opts.lifeTimeout))
	}
	if expires > 0 {
		c.Expires = until(now, expires)
	}
	return c
}
