package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// datagram holds any UDP payload.
type datagram [64 << 10]byte

// udpFrontend is the socket of a UDP service with its sessions.
type udpFrontend struct {
	svc  *service
	at   netip.AddrPort
	sock *net.UDPConn
	done chan struct{}

	mu       sync.Mutex
	closed   bool
	sessions map[netip.AddrPort]*session
	// recent is a ring of the sessions, the latest used behind the root.
	recent session
}

// session is the way of one client to one destination.
type session struct {
	f      *udpFrontend
	client netip.AddrPort
	link   link
	sock   *net.UDPConn // connected to the destination
	last   atomic.Int64 // of Balancer.now, moved by both directions
	// refused: the destination's host answered that nothing listens. The
	// next datagram of the client is scheduled anew.
	refused atomic.Bool

	// Guarded by udpFrontend.mu.
	listed     int64 // when it was put first in the ring
	ended      bool
	next, prev *session
}

func listenUDP(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network("udp", at), at.String())
	if err != nil {
		return nil, err
	}
	f := &udpFrontend{svc: s, at: at, sock: pc.(*net.UDPConn), done: make(chan struct{}), sessions: map[netip.AddrPort]*session{}}
	f.recent.next, f.recent.prev = &f.recent, &f.recent
	s.b.wg.Go(f.serve)
	return f, nil
}

func (f *udpFrontend) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	close(f.done)
	f.sock.Close()
	for _, s := range f.sessions {
		f.end(s)
	}
}

// forget ends the sessions of a deleted destination. A new one cannot come
// up behind it: sessions are scheduled under the same mutex.
func (f *udpFrontend) forget(d *destination) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if s.link.dest == d {
			f.end(s)
		}
	}
}

func (f *udpFrontend) sweep(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if now-s.last.Load() >= int64(f.svc.options().udpTimeout) {
			f.end(s)
		}
	}
}

func (f *udpFrontend) connections(yield func(Connection) bool) bool {
	now, timeout := f.svc.b.now(), int64(f.svc.options().udpTimeout)
	f.mu.Lock()
	all := make([]Connection, 0, len(f.sessions))
	for _, s := range f.sessions {
		all = append(all, Connection{
			Service: f.svc.key, Protocol: ipvs.UDP, Client: s.client, Virtual: f.at, Destination: s.link.target(f.at),
			State: StateUDP, Expires: until(now, s.last.Load()+timeout),
		})
	}
	f.mu.Unlock()
	for _, c := range all {
		if !yield(c) {
			return false
		}
	}
	return true
}

// serve forwards the datagrams of clients until the socket is closed.
func (f *udpFrontend) serve() {
	b := f.svc.b
	buf := b.pools.datagram.Get().(*datagram)
	defer b.pools.datagram.Put(buf)
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
		f.forward(netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), buf[:n])
	}
}

// forward sends a datagram to the destination of its client. A socket tells
// of a refusal when the next datagram is sent, and does not send that one:
// so it is scheduled anew and sent again.
func (f *udpFrontend) forward(client netip.AddrPort, p []byte) {
	b := f.svc.b
	for range 3 {
		s, err := f.session(client)
		if err != nil {
			if errors.Is(err, errNoServer) {
				b.count.noServer.Add(1)
			} else {
				b.count.dropped.Add(1)
			}
			return
		}
		_, err = s.sock.Write(p)
		switch {
		case err == nil:
			f.svc.moved(s.link.dest, int64(len(p)), true)
			return
		case isRefusal(err):
			s.refuse()
		case errors.Is(err, net.ErrClosed): // Ended meanwhile.
		default:
			b.count.dropped.Add(1)
			return
		}
	}
	b.count.dropped.Add(1)
}

func (s *session) refuse() {
	if !s.refused.Swap(true) {
		s.f.svc.b.count.refused.Add(1)
	}
}

// session returns the session of a client, new if need be.
func (f *udpFrontend) session(client netip.AddrPort) (*session, error) {
	now := f.svc.b.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	s := f.sessions[client]
	var avoid *sched.Server
	if s != nil && s.refused.Load() {
		avoid = s.link.server
		f.end(s)
		s = nil
	}
	if s == nil {
		var err error
		if s, err = f.open(client, avoid); err != nil {
			return nil, err
		}
	} else {
		s.unlink()
	}
	f.pushFront(s, now)
	s.last.Store(now)
	return s, nil
}

// open makes a session, not yet in the ring.
func (f *udpFrontend) open(client netip.AddrPort, avoid *sched.Server) (*session, error) {
	b := f.svc.b
	l, err := f.svc.pick(client, f.at, avoid)
	if err != nil && avoid != nil {
		// The refusing one is better than none: it may be back.
		l, err = f.svc.pick(client, f.at, nil)
	}
	if err != nil {
		return nil, err
	}
	if len(f.sessions) >= b.cfg.MaxSessions {
		f.evict()
	}
	to := l.target(f.at)
	sock, err := net.DialUDP(network("udp", to), nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		l.drop()
		f.svc.connectFailed(l.dest, err)
		return nil, err
	}
	s := &session{f: f, client: client, link: l, sock: sock}
	f.sessions[client] = s
	l.server.Opened() // UDP stays inactive, as in the kernel.
	f.svc.stats.connections.Add(1)
	l.dest.stats.connections.Add(1)
	b.wg.Go(s.replies)
	return s, nil
}

// evict ends the session that was idle for longest. Replies do not move a
// session in the ring, so a few that had some lately get another turn.
func (f *udpFrontend) evict() {
	for range 8 {
		s := f.recent.prev
		last := s.last.Load()
		if last-s.listed < int64(time.Second) {
			break
		}
		s.unlink()
		f.pushFront(s, last)
	}
	f.end(f.recent.prev)
	f.svc.b.count.evicted.Add(1)
}

// end closes a session; mu is held.
func (f *udpFrontend) end(s *session) {
	if s.ended {
		return
	}
	s.ended = true
	s.unlink()
	delete(f.sessions, s.client)
	s.sock.Close()
	s.link.release(false)
}

func (f *udpFrontend) pushFront(s *session, now int64) {
	s.listed = now
	s.prev, s.next = &f.recent, f.recent.next
	s.prev.next, s.next.prev = s, s
}

func (s *session) unlink() { s.prev.next, s.next.prev = s.next, s.prev }

// replies sends the destination's datagrams back until the session ends or
// is refused.
func (s *session) replies() {
	svc := s.f.svc
	r := newReceiver(s.sock, &svc.b.pools.datagram)
	defer r.close()
	for {
		p, err := r.receive()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.refuse()
			}
			return
		}
		s.last.Store(svc.b.now())
		if _, err := s.f.sock.WriteToUDPAddrPort(p, s.client); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				svc.b.count.dropped.Add(1)
			}
		} else {
			svc.moved(s.link.dest, int64(len(p)), false)
		}
		r.release()
	}
}
