package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// synBuffer is the receive buffer of a half-open check: its filter lets a
// handful of packets through.
const synBuffer = 16 << 10

// openSYN opens the sockets of a half-open check.
func openSYN(a *attempt, d *Dial) (*synSocket, error) {
	var s *synSocket
	_, err := within(d.Namespace, func() (_ net.Conn, err error) {
		s, err = openSYNHere(a, d)
		return nil, err
	})
	if isForbidden(err) {
		err = &socketError{"send a SYN by hand", fmt.Errorf("%w; give this program CAP_NET_RAW, or use the tcp check", err)}
	}
	return s, err
}

func openSYNHere(a *attempt, d *Dial) (*synSocket, error) {
	to := netip.AddrPortFrom(a.target.Addr.Addr().Unmap(), a.target.Addr.Port())
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	f, fd, err := d.packetSocket(to.Addr(), family, unix.SOCK_RAW, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	defer f.Close() // net.FileConn makes a socket of its own of it
	own, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	// A local port that no connection has, and that none gets meanwhile. The
	// socket that holds it does not listen, so the kernel resets what comes.
	hold, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	release := func() { _ = unix.Close(hold) }
	from, err := holdPort(hold, own)
	if err == nil {
		err = hearPort(fd, from)
	}
	if err != nil {
		release()
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, synBuffer)
	c, err := net.FileConn(f)
	if err != nil {
		release()
		return nil, err
	}
	readErrors(c)
	return &synSocket{
		Conn: c, from: from, to: netip.AddrPortFrom(to.Addr().WithZone(""), to.Port()),
		quoted: func() (syscall.Errno, []byte, bool) { return quotedError(c) },
		close:  func() { c.Close(); release() },
	}, nil
}

// holdPort binds a socket to a free port of an address, and returns both.
func holdPort(fd int, own unix.Sockaddr) (netip.AddrPort, error) {
	switch sa := own.(type) {
	case *unix.SockaddrInet4:
		sa.Port = 0
	case *unix.SockaddrInet6:
		sa.Port = 0 // that of a raw socket is its protocol
	}
	if err := unix.Bind(fd, own); err != nil {
		return netip.AddrPort{}, err
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := own.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}

// hearPort lets a raw socket hear segments to one port alone: all else that
// the target sends to this machine would be copied for us, too.
func hearPort(fd int, own netip.AddrPort) error {
	port := uint32(own.Port())
	filter := []unix.SockFilter{
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH},                 // X = length of the IP header
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},            // A = destination port
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: port, Jf: 1}, // ours?
		{Code: unix.BPF_RET | unix.BPF_K, K: 256},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	if own.Addr().Is6() { // which comes without an IP header
		filter = filter[1:]
		filter[0] = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 2}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// quotedError takes the next error from the queue of a socket (IP_RECVERR,
// ip(7)), with the packet it is about from its transport header on.
func quotedError(c net.Conn) (errno syscall.Errno, segment []byte, ok bool) {
	s, isSocket := c.(syscall.Conn)
	if !isSocket {
		return 0, nil, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, nil, false
	}
	buf, oob := make([]byte, 128), make([]byte, 512)
	var n, oobn int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		n, oobn, _, _, failed = unix.Recvmsg(int(fd), buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	}); errors.Join(err, failed) != nil {
		return 0, nil, false
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, false
	}
	const extendedError = 16 // struct sock_extended_err; its errno comes first
	for _, m := range messages {
		isError := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if isError && len(m.Data) >= extendedError {
			return syscall.Errno(binary.NativeEndian.Uint32(m.Data)), buf[:n], true
		}
	}
	return 0, nil, false
}
