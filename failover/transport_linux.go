package failover

import (
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stamped lets the kernel stamp what comes to c, or returns c if it does not.
func stamped(c udpConn) PacketConn {
	raw, err := c.SyscallConn()
	if err != nil {
		return c
	}
	s := &stampedConn{udpConn: c}
	var option error
	err = raw.Control(func(fd uintptr) {
		option = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err != nil || option != nil {
		return c
	}
	s.waiter.init(raw)
	s.io.init(nil)
	s.receiving = func(fd uintptr) {
		for range drainLimit {
			if s.io.receive(fd, s.buffer); s.io.errno != unix.EINTR {
				return
			}
		}
	}
	return s
}

// stampedConn is a UDP socket whose packets the kernel stamps.
type stampedConn struct {
	udpConn
	waiter

	// Of Receive.
	io        rawIO
	receiving func(fd uintptr)
	buffer    []byte
	scope     uint32 // of the sender of the last packet that had one
	zone      string // and its name
}

// Receive takes the next packet from the socket.
func (s *stampedConn) Receive(b []byte) (p Packet, ok bool, err error) {
	s.buffer = b
	err = s.raw.Control(s.receiving)
	s.buffer = nil
	switch errno := s.io.errno; {
	case err != nil || errno != 0 && errno != unix.EAGAIN:
		s.io.errno = 0
		return p, false, both(err, errno)
	case errno != 0:
		return p, false, nil
	}
	addr, port, scope := s.io.sender()
	if scope != 0 {
		addr = addr.WithZone(s.zoneOf(scope))
	}
	p = Packet{From: netip.AddrPortFrom(addr, port), At: stampOf(s.io.control()), Payload: b[:s.io.inSize]}
	return p, true, nil
}

// zoneOf names a device as package net does, but in the namespace of the socket.
func (s *stampedConn) zoneOf(scope uint32) string {
	if s.scope == scope {
		return s.zone
	}
	s.scope, s.zone = scope, strconv.FormatUint(uint64(scope), 10)
	_ = s.raw.Control(func(fd uintptr) { // without a name the number stays
		var request unix.Ifreq
		request.SetUint32(scope)
		if unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, &request) == nil {
			s.zone = request.Name()
		}
	})
	return s.zone
}

// stampOf returns the time stamp of a packet, the zero time if it has none.
func stampOf(control []byte) time.Time {
	for len(control) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS {
			return kernelTime(data)
		}
		control = rest
	}
	return time.Time{}
}

var _ ArrivalConn = (*stampedConn)(nil)
