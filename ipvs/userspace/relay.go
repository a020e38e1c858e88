package userspace

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

const (
	// smallBuffer is what an idle or chatty connection holds for each
	// direction, bigBuffer what one in a transfer does.
	smallBuffer = 4 << 10
	bigBuffer   = maxPiece
)

// pools lend buffers.
type pools struct{ small, big, datagram sync.Pool }

func (p *pools) init() {
	p.small.New = func() any { return new([smallBuffer]byte) }
	p.big.New = func() any { return new([bigBuffer]byte) }
	p.datagram.New = func() any { return new(datagram) }
}

// conn is a relayed TCP connection.
type conn struct {
	f              *tcpFrontend
	svc            *service
	from, at       netip.AddrPort // of the client, and where it came to
	born           int64          // of Balancer.now
	link           link
	client, server *net.TCPConn
	last           atomic.Int64 // of Balancer.now, when bytes moved
	aborting       sync.Once
	end            ending // read when nobody can abort it any more

	mu     sync.Mutex
	active bool // no side has closed yet
}

// relay moves bytes both ways until both sides have closed or one failed.
func (c *conn) relay() {
	var wg sync.WaitGroup
	wg.Go(func() { c.forward(c.server, c.client, true) })
	c.forward(c.client, c.server, false)
	wg.Wait()
	c.client.Close()
	c.server.Close()
}

// forward moves bytes one way. The end of the source is passed on as such;
// any failure, a reset among them, is passed on to both sides as a reset.
func (c *conn) forward(dst, src *net.TCPConn, toServer bool) {
	err := c.copy(dst, src, toServer)
	if err == io.EOF {
		c.closing()
		err = dst.CloseWrite()
	}
	if err != nil {
		c.abort(endReset)
	}
}

// closing notes the first end of a side: the connection is inactive then.
func (c *conn) closing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active {
		c.active = false
		c.touch() // The time of a closing connection begins here.
		c.link.server.Deactivated()
	}
}

func (c *conn) abort(how ending) {
	c.aborting.Do(func() {
		c.end = how
		reset(c.client)
		reset(c.server)
	})
}

func (c *conn) touch() { c.last.Store(c.svc.b.now()) }

// idle reports whether nothing moved for longer than the state allows.
func (c *conn) idle(now int64) bool {
	opts := c.svc.options()
	silent := time.Duration(now - c.last.Load())
	if opts.idleTimeout > 0 && silent >= opts.idleTimeout || opts.lifeTimeout > 0 && now-c.born >= int64(opts.lifeTimeout) {
		return true
	}
	if silent < opts.finTimeout {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.active
}

func (c *conn) moved(n int64, toServer bool) {
	if n > 0 {
		c.touch()
		c.svc.moved(c.link.dest, n, toServer)
	}
}

// copy moves bytes until an error, which is io.EOF at the end of the source.
func (c *conn) copy(dst, src *net.TCPConn, toServer bool) error {
	pools := &c.svc.b.pools
	small := pools.small.Get().(*[smallBuffer]byte)
	defer func() {
		if small != nil {
			pools.small.Put(small)
		}
	}()
	for {
		n, err := src.Read(small[:])
		if n > 0 {
			w, werr := dst.Write(small[:n])
			c.moved(int64(w), toServer)
			if werr != nil {
				return werr
			}
		}
		if err != nil {
			return err
		}
		if n < smallBuffer {
			continue
		}
		// The waits of a transfer are short: the small buffer may go.
		pools.small.Put(small)
		small = nil
		if err := c.copyBig(dst, src, toServer); err != nil {
			return err
		}
		small = pools.small.Get().(*[smallBuffer]byte)
	}
}

// copyBig moves a transfer; nil means that it has slowed down to what a small
// buffer holds.
func (c *conn) copyBig(dst, src *net.TCPConn, toServer bool) error {
	pools := &c.svc.b.pools
	big := pools.big.Get().(*[bigBuffer]byte)
	defer pools.big.Put(big)
	for {
		n, err := src.Read(big[:])
		if n > 0 {
			w, werr := dst.Write(big[:n])
			c.moved(int64(w), toServer)
			if werr != nil {
				return werr
			}
		}
		if err != nil {
			return err
		}
		if n < smallBuffer {
			return nil
		}
	}
}

// relaySet holds the open connections of a balancer.
type relaySet struct {
	mu     sync.Mutex
	closed bool
	all    map[*conn]struct{}
}

func (s *relaySet) init() { s.all = map[*conn]struct{}{} }

// add reports false when the balancer is closed.
func (s *relaySet) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.all[c] = struct{}{}
	}
	return !s.closed
}

func (s *relaySet) remove(c *conn) {
	s.mu.Lock()
	delete(s.all, c)
	s.mu.Unlock()
}

// list returns the connections of a listener.
func (s *relaySet) list(f *tcpFrontend) []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Connection
	for c := range s.all {
		if c.f == f {
			all = append(all, c.row(f.svc.b.now()))
		}
	}
	return all
}

func (c *conn) row(now int64) Connection {
	r := Connection{
		Service: c.svc.key, Protocol: ipvs.TCP, Client: c.from, Virtual: c.at, Destination: c.link.target(c.at),
		State: StateEstablished,
	}
	opts := c.svc.options()
	timeout := opts.idleTimeout
	c.mu.Lock()
	if !c.active {
		r.State, timeout = StateFinWait, opts.finTimeout
	}
	c.mu.Unlock()
	if timeout > 0 {
		r.Expires = until(now, c.last.Load()+int64(timeout))
	}
	return r
}

func (s *relaySet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.all {
		c.abort(endReset)
	}
}

// resetIdle resets the connections on which nothing moved for too long.
func (s *relaySet) resetIdle(b *Balancer, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if c.idle(now) {
			b.count.idle.Add(1)
			delete(s.all, c)
			c.abort(endExpired)
		}
	}
}
