package userspace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// udpBuffer is what a socket of a service is to hold of what arrives in a
// burst; the system cuts it to net.core.rmem_max.
const udpBuffer = 4 << 20

// udpSocket is a socket of a UDP service in one loop.
type udpSocket struct {
	svc  *service
	loop *udpLoop
	end  *endpoint
	// segments: the system cuts what is sent into datagrams.
	segments bool

	sessions sessions // guarded by udpLoop.mu
}

// fdSocket is the socket of a session.
type fdSocket struct {
	of      *udpSocket
	session *session
	client  sockaddr
	end     *endpoint
	// Those of its client's datagrams that wait in the batch: the first, and
	// the last of the chain; -1 is none.
	first, last int
}

func (f *fdSocket) close() { f.of.loop.remove(f.end) }

// udpFrontend is the sockets of one address and port of a service. Several
// share the address when there are several loops, and the system spreads the
// clients: each client is always on the same one.
type udpFrontend []*udpSocket

func listenUDP(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	loops, err := s.b.udpLoops.start(s.b)
	if err != nil {
		return nil, err
	}
	if s.ports > 1 {
		// Many ports spread by themselves.
		loops = loops[int(at.Port())%len(loops):][:1]
	}
	if len(loops) > 1 {
		// Sockets that share a port share it with those of any program of
		// this user: whether it is free only one that does not share tells.
		probe, err := openUDP(ctx, at, false, s.declared.FreeBind)
		if err != nil {
			return nil, err
		}
		unix.Close(probe)
	}
	var f udpFrontend
	for _, l := range loops {
		fd, err := openUDP(ctx, at, len(loops) > 1, s.declared.FreeBind)
		if err == nil {
			err = f.add(s, l, fd, at)
		}
		if err != nil {
			f.close()
			return nil, err
		}
	}
	return &f, nil
}

func (f *udpFrontend) add(s *service, l *udpLoop, fd int, at netip.AddrPort) error {
	x := &udpSocket{svc: s, loop: l, segments: canSegment(fd)}
	if x.segments {
		joinDatagrams(fd)
	}
	x.sessions.init(s, at, x.dial)
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if x.end, err = l.add(fd, x, nil); err != nil {
		return err
	}
	*f = append(*f, x)
	return nil
}

// openUDP returns a socket that is bound to an address and does not block.
func openUDP(ctx context.Context, at netip.AddrPort, shared, free bool) (int, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			if shared {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			if free {
				level, name := freeBind(at.Addr())
				_ = unix.SetsockoptInt(int(fd), level, name, 1) // without it bind says what is the matter
			}
			// A smaller buffer than asked for is no error.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, udpBuffer)
		})
		return errors.Join(cerr, err)
	}}
	pc, err := lc.ListenPacket(ctx, network("udp", at), at.String())
	if err != nil {
		return 0, err
	}
	defer pc.Close()
	raw, err := pc.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	// A duplicate of our own, that the runtime's poller does not know.
	var own int
	if cerr := raw.Control(func(fd uintptr) { own, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return 0, cerr
	}
	return own, os.NewSyscallError("fcntl", err)
}

func (f *udpFrontend) close() {
	for _, s := range *f {
		s.loop.mu.Lock()
		if !s.sessions.closed {
			s.sessions.close()
			s.loop.remove(s.end)
		}
		s.loop.mu.Unlock()
	}
}

func (f *udpFrontend) forget(d *destination) {
	for _, s := range *f {
		s.loop.mu.Lock()
		s.sessions.forget(d)
		s.loop.mu.Unlock()
	}
}

func (f *udpFrontend) sweep(now int64) {
	for _, s := range *f {
		s.loop.mu.Lock()
		s.sessions.sweep(now)
		s.loop.mu.Unlock()
	}
}

func (f *udpFrontend) connections(yield func(Connection) bool) bool {
	for _, s := range *f {
		s.loop.mu.Lock()
		rows := s.sessions.list(s.svc.b.now())
		s.loop.mu.Unlock()
		if !yieldAll(rows, yield) {
			return false
		}
	}
	return true
}

// dial opens the socket of a session.
func (s *udpSocket) dial(of *session) error {
	to := sockaddrOf(of.to)
	fd, err := unix.Socket(int(to.raw.Family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open a socket to %v: %w", of.to, err)
	}
	if from := s.svc.options().sourceFor(of.to.Addr()); from.IsValid() {
		// The port is chosen with the destination known, so that one may
		// serve for many of them.
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		own := sockaddrOf(netip.AddrPortFrom(from, 0))
		if errno := rawBind(int32(fd), &own); errno != 0 {
			unix.Close(fd)
			return fmt.Errorf("bind to %v: %w", from, errno)
		}
	}
	if errno := rawConnect(int32(fd), &to); errno != 0 {
		unix.Close(fd)
		return fmt.Errorf("connect to %v: %w", of.to, errno)
	}
	if s.segments {
		joinDatagrams(fd)
	}
	x := &fdSocket{of: s, session: of, client: sockaddrOf(of.key.client), first: -1, last: -1}
	if x.end, err = s.loop.add(fd, s, x); err != nil {
		return err
	}
	of.sock = x
	return nil
}

// fromClients forwards what clients sent, in the order of each of them.
func (s *udpSocket) fromClients() {
	l, b := s.loop, s.svc.b
	n, err := l.batch.receive(s.end.fd, 0, batchSize, true)
	if err != nil {
		if err != unix.EAGAIN {
			b.count.acceptErrors.Add(1)
		}
		return
	}
	now := b.now()
	order := l.order[:0]
	for i := range n {
		p, size := l.batch.data(i)
		if size < len(p) && s.svc.onePacket.Load() {
			s.eachAlone(l.batch.client(i), p, size, now)
			continue
		}
		x := s.socketFor(l.batch.client(i), now)
		if x == nil {
			continue
		}
		l.chain[i] = -1
		if x.first < 0 {
			x.first = i
			order = append(order, x)
		} else {
			l.chain[x.last] = i
		}
		x.last = i
	}
	for i, x := range order {
		s.toServer(x, now)
		order[i] = nil
	}
}

// eachAlone schedules each of the datagrams that came joined.
func (s *udpSocket) eachAlone(client netip.AddrPort, p []byte, size int, now int64) {
	for len(p) > 0 {
		piece := p[:min(size, len(p))]
		p = p[len(piece):]
		x := s.socketFor(client, now)
		if x == nil {
			continue
		}
		if err := sendOne(x.end.fd, piece, nil); err != nil {
			s.svc.b.count.dropped.Add(1)
			if isRefusal(err) {
				s.sessions.refuse(x.session)
			}
			continue
		}
		s.svc.movedPackets(x.session.dest, 1, int64(len(piece)), true)
	}
}

// socketFor returns the socket of a client's session, or nil when it has
// none and that is counted.
func (s *udpSocket) socketFor(client netip.AddrPort, now int64) *fdSocket {
	x, err := s.sessions.get(client, now)
	if err != nil {
		s.sessions.failed(err)
		return nil
	}
	return x.sock.(*fdSocket)
}

// toServer sends the chain of a session. A socket tells of a refusal when the
// next datagram is sent, and does not send that one: then it and those behind
// it are scheduled anew.
func (s *udpSocket) toServer(x *fdSocket, now int64) {
	l, b := s.loop, s.svc.b
	l.batch.reset()
	for i := x.first; i >= 0; i = l.chain[i] {
		l.batch.queue(i, nil, s.segments)
	}
	x.first, x.last = -1, -1
	refusals := 0
	for done := 0; done < l.batch.queued; {
		if x.session.ended {
			// A session that made room, for one behind it in the batch.
			if x = s.socketFor(x.session.key.client, now); x == nil {
				// One of those that are left is counted already.
				b.count.dropped.Add(uint64(l.batch.left(done) - 1))
				return
			}
		}
		sent, err := l.batch.send(x.end.fd, done)
		for _, m := range l.batch.about[done : done+sent] {
			s.svc.movedPackets(x.session.dest, int64(m.segments), int64(m.bytes), true)
		}
		if done += sent; err == nil {
			continue
		}
		switch m := &l.batch.about[done]; {
		case isRefusal(err) && refusals < 2:
			refusals++
			s.sessions.refuse(x.session)
			if x = s.socketFor(x.session.key.client, now); x == nil {
				// One of those that are left is counted already.
				b.count.dropped.Add(uint64(l.batch.left(done) - 1))
				return
			}
		case m.segments > 1 && cannotSegment(err):
			sent, bytes := l.batch.sendSingly(x.end.fd, done)
			s.svc.movedPackets(x.session.dest, int64(sent), int64(bytes), true)
			b.count.dropped.Add(uint64(m.segments - sent))
			done++
		default:
			b.count.dropped.Add(uint64(m.segments))
			done++
		}
	}
}

// fromServer takes the replies of a session into the batch, to be sent with
// those of others.
func (s *udpSocket) fromServer(x *fdSocket) {
	l := s.loop
	if l.replies != s || l.filled == batchSize {
		l.flush()
		l.replies = s
	}
	n, err := l.batch.receive(x.end.fd, l.filled, batchSize, false)
	if err != nil {
		if err != unix.EAGAIN {
			s.sessions.refuse(x.session)
		}
		return
	}
	var segments, bytes int
	for i := l.filled; i < l.filled+n; i++ {
		k, size := l.batch.queue(i, &x.client, s.segments)
		segments, bytes = segments+k, bytes+size
	}
	l.filled += n
	s.svc.movedPackets(x.session.dest, int64(segments), int64(bytes), false)
	s.sessions.touch(x.session, s.svc.b.now())
}
