package health

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// readErrors makes a connected UDP socket report every ICMP error. Without it
// the kernel tells of an unreachable port only, and keeps "host unreachable"
// and "prohibited" to itself (IP_RECVERR, ip(7); IPV6_RECVERR, ipv6(7)). That
// is only a help, so an error does not matter.
func readErrors(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// One of the two is for the other family.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
}
