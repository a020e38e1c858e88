package failover

import (
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
	return Packet{From: s.io.sender(), At: stampOf(s.io.control()), Payload: b[:s.io.inSize]}, true, nil
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
