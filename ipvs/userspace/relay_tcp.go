package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/lvskit/lvskit/sched"
)

// tcpFrontend is the listener of a TCP service.
type tcpFrontend struct {
	svc       *service
	at        netip.AddrPort
	ln        *net.TCPListener
	done      chan struct{}
	closeOnce sync.Once
}

// listenRelay listens by the net package.
func listenRelay(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	var lc net.ListenConfig
	// A multipath socket cannot pass a reset on faithfully.
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, network("tcp", at), at.String())
	if err != nil {
		return nil, err
	}
	f := &tcpFrontend{svc: s, at: at, ln: ln.(*net.TCPListener), done: make(chan struct{})}
	s.b.wg.Go(f.serve)
	return f, nil
}

func (f *tcpFrontend) close() {
	f.closeOnce.Do(func() {
		close(f.done)
		f.ln.Close()
	})
}

func (f *tcpFrontend) forget(*destination) {}
func (f *tcpFrontend) sweep(int64)         {}

func (f *tcpFrontend) connections(yield func(Connection) bool) bool {
	b := f.svc.b
	for _, c := range b.conns.relays.list(f) {
		if !yield(c) {
			return false
		}
	}
	return true
}

// serve accepts clients until the listener is closed.
func (f *tcpFrontend) serve() {
	b := f.svc.b
	var wait backoff
	for {
		c, err := f.ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			b.count.acceptErrors.Add(1)
			wait.sleep(f.done, b.cfg.Logger, f.svc, err)
			continue
		}
		wait.reset()
		if !b.admit(f.svc) {
			reset(c)
			continue
		}
		b.wg.Go(func() {
			defer b.leave(f.svc)
			f.carry(c)
		})
	}
}

// carry serves one client from its acceptance to its end.
func (f *tcpFrontend) carry(client *net.TCPConn) {
	s := f.svc
	var from netip.AddrPort
	if a, ok := client.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort()
	}
	at := f.at
	if a, ok := client.LocalAddr().(*net.TCPAddr); ok {
		at = plain(a.AddrPort())
	}
	from = plain(from)
	server, l, err := s.connect(from, at)
	if err != nil {
		// Nothing listens for this client: let it see just that.
		reset(client)
		return
	}
	s.stats.connections.Add(1)
	l.dest.stats.connections.Add(1)
	opts := s.options()
	c := &conn{f: f, svc: s, link: l, from: from, at: at, client: client, server: server, active: true, born: s.b.now()}
	c.touch()
	if opts.proxy != 0 {
		if _, err := server.Write(appendProxyHeader(nil, opts.proxy, from, at)); err != nil {
			c.abort(endReset)
		}
	}
	if !s.b.conns.relays.add(c) {
		c.abort(endReset)
	}
	c.relay()
	s.b.conns.relays.remove(c)
	if c.active {
		l.server.Deactivated()
	}
	s.closed.add(l.server, c.end, s.b.now)
	l.drop()
}

// connect picks a destination and connects to it; when that fails, to one
// other. The connection counts as active from here on, as it does in the
// kernel from the first packet.
func (s *service) connect(client, at netip.AddrPort) (*net.TCPConn, link, error) {
	b := s.b
	var avoid *sched.Server
	var failed error
	for range 2 {
		l, err := s.pick(client, at, avoid)
		if err != nil {
			if failed == nil {
				b.count.noServer.Add(1)
				failed = err
			}
			break
		}
		if avoid != nil {
			b.count.retries.Add(1)
		}
		l.server.Opened()
		l.server.Activated()
		opts, to := s.options(), l.target(at)
		d := net.Dialer{Timeout: opts.connectTimeout}
		var own netip.AddrPort
		if a := opts.sourceFor(to.Addr()); a.IsValid() {
			own = netip.AddrPortFrom(a, 0)
		}
		c, err := d.DialTCP(b.ctx, network("tcp", to), own, to)
		if err == nil {
			return c, l, nil
		}
		l.release(true)
		if b.ctx.Err() != nil {
			return nil, link{}, ErrClosed
		}
		if s.connectFailed(l.dest, err) {
			return nil, link{}, err
		}
		avoid, failed = l.server, err
	}
	return nil, link{}, failed
}

// reset closes a connection so that the peer sees a reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
