package userspace

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// backlog is the length of a listener's queue; the kernel bounds it by
	// net.core.somaxconn.
	backlog = 1 << 15
	// maxAccepts bounds the clients taken for one event.
	maxAccepts = 64
	// Keep-alive finds dead peers within three minutes. Clients' sockets
	// inherit it from the listener.
	keepAliveIdle     = 75 // s
	keepAliveInterval = 15 // s
	keepAliveCount    = 7
)

// listenTCP opens the listening sockets of a service at an address.
func listenTCP(_ context.Context, s *service, at netip.AddrPort) (frontend, error) {
	all, err := s.b.conns.loops.start(s.b)
	if err != nil {
		return nil, err
	}
	in := s.b.conns.loops.listeners()
	f := &loopFrontend{svc: s, at: at, loops: all, in: in}
	for range in {
		fd, err := listenRaw(at, len(f.acceptors) == 0, s.declared.FreeBind)
		if err != nil {
			for _, a := range f.acceptors {
				rawClose(a.fd)
			}
			s.b.conns.loops.unlistened(len(in))
			return nil, &net.OpError{Op: "listen", Net: network("tcp", at), Addr: net.TCPAddrFromAddrPort(at), Err: err}
		}
		f.acceptors = append(f.acceptors, &acceptor{front: f, fd: fd})
	}
	errs := make([]error, len(in))
	callAll(in, func(i int, l *loop) { errs[i] = l.listen(f.acceptors[i]) })
	for _, err := range errs {
		if err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

// loopFrontend are the listening sockets of a service at one address, as a
// rule one in each loop.
type loopFrontend struct {
	svc       *service
	at        netip.AddrPort
	loops     []*loop     // all of them may have its connections
	in        []*loop     // those that listen
	acceptors []*acceptor // in those
}

// close closes the sockets; their connections live on.
func (f *loopFrontend) close() {
	callAll(f.in, func(i int, l *loop) { l.unlisten(f.acceptors[i]) })
	f.svc.b.conns.loops.unlistened(len(f.in))
}

func (f *loopFrontend) forget(*destination) {}
func (f *loopFrontend) sweep(int64)         {}

// connections asks each loop for a part of its pairs at a time, so that a
// long list delays no traffic.
func (f *loopFrontend) connections(yield func(Connection) bool) bool {
	var rows []Connection
	for _, l := range f.loops {
		for from, more := 0, true; more; from += sweepStep {
			rows = rows[:0]
			l.call(func() { rows, more = l.list(rows, f, from) })
			for _, c := range rows {
				if !yield(c) {
					return false
				}
			}
		}
	}
	return true
}

// list appends the connections of a front end in the slots of one step.
func (l *loop) list(rows []Connection, f *loopFrontend, from int) (_ []Connection, more bool) {
	now := l.b.now()
	end := min(from+sweepStep, l.pairs.slots())
	for i := from; i < end; i++ {
		if p := l.pairs.at(int32(i)); p.state != pairFree && p.front == f {
			rows = append(rows, p.connection(now))
		}
	}
	return rows, end < l.pairs.slots()
}

// acceptor is a listening socket in its loop.
type acceptor struct {
	front  *loopFrontend
	fd     int32
	id     int32 // below wakeID, once it is registered
	batch  int   // clients to take for the next event
	round  int   // of the loop, when there were as many as that
	wait   time.Duration
	resume int64 // when one that failed is tried again
}

// client is an accepted one on its way to a loop.
type client struct {
	front *loopFrontend
	fd    int32
	from  netip.AddrPort
}

// listenRaw opens a listening socket that may share its address with others
// of this user. The first one must not: it finds out whether the address is
// taken, and shares it only then.
func listenRaw(at netip.AddrPort, first, free bool) (int32, error) {
	fd, errno := rawSocket(family(at.Addr()))
	if errno != 0 {
		return -1, os.NewSyscallError("socket", errno)
	}
	fail := func(call string, errno syscall.Errno) (int32, error) {
		rawClose(fd)
		return -1, os.NewSyscallError(call, errno)
	}
	type option struct {
		level, name int
		value       int32
	}
	options := []option{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
	}
	if at.Addr().Is6() {
		options = append(options, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1})
	}
	if !first {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	for _, o := range options {
		if errno := rawSetInt(fd, o.level, o.name, o.value); errno != 0 {
			return fail("setsockopt", errno)
		}
	}
	if free {
		level, name := freeBind(at.Addr())
		rawSetInt(fd, level, name, 1) // without it bind says what is the matter
	}
	var to sockaddr
	to.set(at)
	if errno := rawBind(fd, &to); errno != 0 {
		return fail("bind", errno)
	}
	if first {
		if errno := rawSetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); errno != 0 {
			return fail("setsockopt", errno)
		}
	}
	if err := unix.Listen(int(fd), backlog); err != nil {
		rawClose(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// freeBind is the option for sockets at addresses that are not here yet.
func freeBind(a netip.Addr) (level, name int) {
	if a.Is4() {
		return unix.IPPROTO_IP, unix.IP_FREEBIND
	}
	return unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
}

// keepAlive lets the kernel find out when a peer is gone.
func keepAlive(fd int32) {
	rawSetInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle)
	rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval)
	rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount)
}

// bindTo has a socket connect from an address. The port is left to the
// connect, which can share it among destinations.
func (l *loop) bindTo(fd int32, own netip.Addr) syscall.Errno {
	rawSetInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	l.addr.set(netip.AddrPortFrom(own, 0))
	return rawBind(fd, &l.addr)
}

// listen begins to accept.
func (l *loop) listen(a *acceptor) error {
	if l.closing {
		rawClose(a.fd)
		return ErrClosed
	}
	l.lastID++
	a.id, a.batch = wakeID-l.lastID, 1
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: a.id}
	if errno := rawEpollAdd(l.ep, a.fd, &ev); errno != 0 {
		rawClose(a.fd)
		return os.NewSyscallError("epoll_ctl", errno)
	}
	l.listeners[a.id] = a
	return nil
}

// unlisten ends accepting. It may be called again.
func (l *loop) unlisten(a *acceptor) {
	if l.listeners[a.id] == a {
		delete(l.listeners, a.id)
		rawClose(a.fd)
	}
}

// accept takes clients. The listener is level-triggered, so it need not be
// emptied, and one client costs one call; it is asked for more when there are
// more and more.
func (l *loop) accept(a *acceptor) {
	for range a.batch {
		fd, errno := rawAccept(a.fd, &l.addr)
		switch errno {
		case 0:
			l.place(client{a.front, fd, l.addr.get()})
		case unix.EAGAIN:
			a.batch = 1
			return
		case unix.EINTR, unix.ECONNABORTED:
		default:
			l.suspend(a, errno)
			return
		}
	}
	a.wait = 0
	if a.round == l.round-1 { // There were some the last time, too.
		a.batch = min(2*a.batch, maxAccepts)
	}
	a.round = l.round
}

// suspend stops listening for a while: for want of descriptors or memory the
// listener would be ready all the time.
func (l *loop) suspend(a *acceptor, errno syscall.Errno) {
	l.b.count.acceptErrors.Add(1)
	if a.wait == 0 {
		l.b.cfg.Logger.Warn("service cannot take clients for now", "service", a.front.svc.key, "error", os.NewSyscallError("accept4", errno))
	}
	a.wait = min(max(2*a.wait, minBackoff), maxBackoff)
	a.resume = l.now + int64(a.wait)
	l.suspended = append(l.suspended, a)
	rawEpollModify(l.ep, a.fd, &unix.EpollEvent{Fd: a.id})
}

// resume listens again where it is time to.
func (l *loop) resume() {
	l.suspended = slices.DeleteFunc(l.suspended, func(a *acceptor) bool {
		if l.now < a.resume {
			return false
		}
		if l.listeners[a.id] == a {
			rawEpollModify(l.ep, a.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: a.id})
		}
		return true
	})
}

// place gives a client to this loop or to one that has clearly less to do.
// The kernel spreads clients by a hash: four of them may all be here.
func (l *loop) place(c client) {
	if !l.b.admit(c.front.svc) {
		rawReset(c.fd)
		return
	}
	if len(l.others) > 1 {
		l.turn++
		other := l.others[l.turn%len(l.others)]
		own, theirs := l.open.Load(), other.open.Load()
		if other != l && own > theirs+theirs/8 {
			other.open.Add(1)
			if other.adopt(c) {
				return
			}
			other.open.Add(-1)
		}
	}
	l.open.Add(1)
	l.take(c)
}

// take makes a pair of a client and a server.
func (l *loop) take(c client) {
	p := l.pairs.get()
	p.front, p.from, p.at = c.front, c.from, c.front.at
	p.born, p.last = l.now, l.now
	p.fd = [2]int32{c.fd, -1}
	if p.at.Addr().IsUnspecified() {
		if rawGetsockname(c.fd, &l.addr) == 0 {
			p.at = l.addr.get()
		}
	}
	p.half[fromClient].writable = true
	if err := l.watch(p, fromClient); err != 0 {
		l.b.count.acceptErrors.Add(1)
		l.abort(p, endReset)
		return
	}
	l.connect(p, nil)
}

// refuse resets a client that no loop takes any more.
func (l *loop) refuse(c client) {
	rawReset(c.fd)
	l.open.Add(-1)
	l.b.leave(c.front.svc)
}
