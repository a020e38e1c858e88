package userspace

import (
	"errors"
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// sessionKey tells the sessions of a socket apart. With one-packet scheduling
// a client has one for each server that it was sent to, else a single one
// whose server is the zero value.
type sessionKey struct{ client, server netip.AddrPort }

// sessionSocket is a socket connected to a destination.
type sessionSocket interface{ close() }

// session is the way of one client to one destination.
type session struct {
	key  sessionKey
	to   netip.AddrPort // the destination
	dest *destination
	link link // empty with one-packet scheduling, where nothing is held
	sock sessionSocket
	last int64 // of Balancer.now, moved by both directions
	// refused: the destination's host answered that nothing listens. The
	// next datagram of the client is scheduled anew.
	refused    bool
	ended      bool
	next, prev *session
}

// sessions are those of one socket of a UDP service. The caller's mutex
// guards them, and is held in each call.
type sessions struct {
	svc    *service
	at     netip.AddrPort
	dial   func(*session) error // opens the socket of a new one
	closed bool
	all    map[sessionKey]*session
	// recent is a ring of the sessions, the latest used behind the root.
	recent session
}

func (t *sessions) init(s *service, at netip.AddrPort, dial func(*session) error) {
	t.svc, t.at, t.dial, t.all = s, at, dial, map[sessionKey]*session{}
	t.recent.next, t.recent.prev = &t.recent, &t.recent
}

// errNoDescriptors is why a client has no session when the process is close to
// its limit. It is counted when it is met.
var errNoDescriptors = errors.New("out of descriptors")

// get returns the session for a datagram of a client, new if need be.
func (t *sessions) get(client netip.AddrPort, now int64) (*session, error) {
	if t.closed {
		return nil, ErrClosed
	}
	if t.svc.onePacket.Load() {
		return t.once(client, now)
	}
	key := sessionKey{client: client}
	s := t.all[key]
	var avoid *sched.Server
	if s != nil && s.refused {
		avoid = s.link.server
		t.end(s)
		s = nil
	}
	if s == nil {
		l, err := t.pick(client, avoid)
		if err != nil {
			return nil, err
		}
		if s, err = t.open(key, l); err != nil {
			l.drop()
			return nil, err
		}
		s.link = l
		l.server.Opened() // UDP stays inactive, as in the kernel.
		t.scheduled(l.dest)
	}
	t.touch(s, now)
	return s, nil
}

// once schedules a single datagram: it is a connection that ends at once, as
// in the kernel. Its socket stays for the replies, and for the next datagram
// that the same client sends to the same server.
func (t *sessions) once(client netip.AddrPort, now int64) (*session, error) {
	l, err := t.pick(client, nil)
	if err != nil {
		return nil, err
	}
	key := sessionKey{client, l.target(t.at)}
	s := t.all[key]
	if s != nil && (s.refused || s.dest != l.dest) {
		t.end(s)
		s = nil
	}
	if s == nil {
		if s, err = t.open(key, l); err != nil {
			l.drop()
			return nil, err
		}
	}
	l.server.Opened()
	l.release(false)
	t.scheduled(l.dest)
	t.touch(s, now)
	return s, nil
}

func (t *sessions) pick(client netip.AddrPort, avoid *sched.Server) (link, error) {
	l, err := t.svc.pick(client, t.at, avoid)
	if err != nil && avoid != nil {
		// The refusing one is better than none: it may be back.
		l, err = t.svc.pick(client, t.at, nil)
	}
	return l, err
}

func (t *sessions) scheduled(d *destination) {
	t.svc.stats.connections.Add(1)
	d.stats.connections.Add(1)
}

// open makes a session with its socket, first in the ring.
func (t *sessions) open(key sessionKey, l link) (*session, error) {
	b := t.svc.b
	// A socket without sessions takes one above the bound rather than none
	// because of its neighbours.
	if t.svc.sessions.Add(1) > int64(b.cfg.MaxSessions) && t.recent.prev != &t.recent {
		t.end(t.recent.prev)
		b.count.evicted.Add(1)
	}
	if !b.takeDescriptors(1) {
		t.svc.sessions.Add(-1)
		return nil, errNoDescriptors
	}
	s := &session{key: key, to: l.target(t.at), dest: l.dest}
	if err := t.dial(s); err != nil {
		t.svc.sessions.Add(-1)
		b.giveDescriptors(1)
		t.svc.connectFailed(l.dest, err)
		return nil, err
	}
	t.all[key] = s
	s.next, s.prev = s, s // Out of the ring.
	return s, nil
}

// failed counts a datagram that get had no session for.
func (t *sessions) failed(err error) {
	switch {
	case errors.Is(err, errNoServer):
		t.svc.b.count.noServer.Add(1)
	case errors.Is(err, errNoDescriptors):
	default:
		t.svc.b.count.dropped.Add(1)
	}
}

func (t *sessions) refuse(s *session) {
	if !s.refused {
		s.refused = true
		t.svc.b.count.refused.Add(1)
	}
}

// touch tells that a datagram of the session moved.
func (t *sessions) touch(s *session, now int64) {
	s.last = now
	if t.recent.next == s {
		return
	}
	s.unlink()
	s.prev, s.next = &t.recent, t.recent.next
	s.prev.next, s.next.prev = s, s
}

func (s *session) unlink() { s.prev.next, s.next.prev = s.next, s.prev }

// end closes a session.
func (t *sessions) end(s *session) {
	if s.ended {
		return
	}
	s.ended = true
	s.unlink()
	delete(t.all, s.key)
	s.sock.close()
	t.svc.sessions.Add(-1)
	t.svc.b.giveDescriptors(1)
	if s.link.server != nil {
		s.link.release(false)
	}
}

// close ends all, for good.
func (t *sessions) close() {
	t.closed = true
	for _, s := range t.all {
		t.end(s)
	}
}

// forget ends the sessions of a deleted destination. A new one cannot come
// up behind it: sessions are scheduled under the same mutex.
func (t *sessions) forget(d *destination) {
	for _, s := range t.all {
		if s.dest == d {
			t.end(s)
		}
	}
}

// sweep ends the sessions on which nothing moved for the time-out.
func (t *sessions) sweep(now int64) {
	timeout := int64(t.svc.options().udpTimeout)
	for t.recent.prev != &t.recent && now-t.recent.prev.last >= timeout {
		t.end(t.recent.prev)
	}
}

func (t *sessions) list(now int64) []Connection {
	timeout := int64(t.svc.options().udpTimeout)
	all := make([]Connection, 0, len(t.all))
	for _, s := range t.all {
		all = append(all, Connection{
			Service: t.svc.key, Protocol: ipvs.UDP, Client: s.key.client, Virtual: t.at, Destination: s.to,
			State: StateUDP, Expires: until(now, s.last+timeout),
		})
	}
	return all
}

// yieldAll calls yield for each row until it returns false.
func yieldAll(rows []Connection, yield func(Connection) bool) bool {
	for _, c := range rows {
		if !yield(c) {
			return false
		}
	}
	return true
}
