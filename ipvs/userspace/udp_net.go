package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// datagram holds any UDP payload.
type datagram [64 << 10]byte

// udpNet is a UDP socket of a service by means of package net: for the
// systems that udp_linux.go is not for. A goroutine waits for the replies of
// each session.
type udpNet struct {
	svc  *service
	sock *net.UDPConn
	done chan struct{}

	mu       sync.Mutex
	sessions sessions
}

// netSocket is the socket of a session.
type netSocket struct{ *net.UDPConn }

func (s netSocket) close() { s.UDPConn.Close() }

func listenUDPNet(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network("udp", at), at.String())
	if err != nil {
		return nil, err
	}
	f := &udpNet{svc: s, sock: pc.(*net.UDPConn), done: make(chan struct{})}
	f.sessions.init(s, at, f.dial)
	s.b.wg.Go(f.serve)
	return f, nil
}

func (f *udpNet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sessions.closed {
		return
	}
	close(f.done)
	f.sock.Close()
	f.sessions.close()
}

func (f *udpNet) forget(d *destination) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions.forget(d)
}

func (f *udpNet) sweep(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions.sweep(now)
}

func (f *udpNet) connections(yield func(Connection) bool) bool {
	f.mu.Lock()
	rows := f.sessions.list(f.svc.b.now())
	f.mu.Unlock()
	return yieldAll(rows, yield)
}

// serve forwards the datagrams of clients until the socket is closed.
func (f *udpNet) serve() {
	b := f.svc.b
	buf := new(datagram)
	var wait backoff
	for {
		n, client, err := f.sock.ReadFromUDPAddrPort(buf[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			b.count.acceptErrors.Add(1)
			if isRefusal(err) {
				continue // Windows: a client did not want our last reply.
			}
			wait.sleep(f.done, b.cfg.Logger, f.svc, err)
			continue
		}
		wait.reset()
		f.forward(plain(client), buf[:n])
	}
}

// forward sends a datagram to the destination of its client. A socket tells
// of a refusal when the next datagram is sent, and does not send that one:
// so it is scheduled anew and sent again.
func (f *udpNet) forward(client netip.AddrPort, p []byte) {
	b := f.svc.b
	for range 3 {
		s, err := f.session(client)
		if err != nil {
			f.sessions.failed(err)
			return
		}
		_, err = s.sock.(netSocket).Write(p)
		switch {
		case err == nil:
			f.svc.moved(s.dest, int64(len(p)), true)
			return
		case isRefusal(err):
			f.refuse(s)
		case errors.Is(err, net.ErrClosed): // Ended meanwhile.
		default:
			b.count.dropped.Add(1)
			return
		}
	}
	b.count.dropped.Add(1)
}

func (f *udpNet) session(client netip.AddrPort) (*session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions.get(client, f.svc.b.now())
}

func (f *udpNet) refuse(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions.refuse(s)
}

// dial opens the socket of a session; mu is held.
func (f *udpNet) dial(s *session) error {
	var from *net.UDPAddr
	if a := f.svc.options().sourceFor(s.to.Addr()); a.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	c, err := net.DialUDP(network("udp", s.to), from, net.UDPAddrFromAddrPort(s.to))
	if err != nil {
		return err
	}
	s.sock = netSocket{c}
	f.svc.b.wg.Go(func() { f.replies(s, c) })
	return nil
}

// replies sends the destination's datagrams back until the session ends or
// is refused.
func (f *udpNet) replies(s *session, c *net.UDPConn) {
	b := f.svc.b
	buf := b.pools.datagram.Get().(*datagram)
	defer b.pools.datagram.Put(buf)
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				f.refuse(s)
			}
			return
		}
		f.mu.Lock()
		if !s.ended {
			f.sessions.touch(s, b.now())
		}
		f.mu.Unlock()
		if _, err := f.sock.WriteToUDPAddrPort(buf[:n], s.key.client); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				b.count.dropped.Add(1)
			}
		} else {
			f.svc.moved(s.dest, int64(n), false)
		}
	}
}
