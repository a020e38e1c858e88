package userspace

import (
	"errors"
	"syscall"
)

// Windows reports sockets' errors by numbers of its own, which package
// syscall does not map to the portable names. No other system uses them.
const (
	wsaAccess       = syscall.Errno(10013)
	wsaManyFiles    = syscall.Errno(10024)
	wsaAddrInUse    = syscall.Errno(10048)
	wsaAddrNotAvail = syscall.Errno(10049)
	wsaNetUnreach   = syscall.Errno(10051)
	wsaConnReset    = syscall.Errno(10054)
	wsaNoBuffers    = syscall.Errno(10055)
	wsaConnRefused  = syscall.Errno(10061)
	wsaHostUnreach  = syscall.Errno(10065)
)

func isAny(err error, errnos ...syscall.Errno) bool {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return false
	}
	for _, want := range errnos {
		if e == want {
			return true
		}
	}
	return false
}

// isRefusal tells the errors that a peer or an ICMP message makes from those
// of our own.
func isRefusal(err error) bool {
	return isAny(err, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		wsaConnRefused, wsaConnReset, wsaHostUnreach, wsaNetUnreach)
}

// shortage returns what this machine lacks to connect anywhere, with the
// cure, or "" when an error is not of our own making. Linux answers EAGAIN
// instead of EADDRNOTAVAIL for a UDP socket (net/ipv4/af_inet.c).
func shortage(err error) string {
	switch {
	case isAny(err, syscall.EMFILE, wsaManyFiles):
		return "this process is out of descriptors: raise its limit (RLIMIT_NOFILE) or lower MaxConnections and MaxSessions"
	case isAny(err, syscall.ENFILE):
		return "this machine is out of descriptors: raise fs.file-max"
	case isAny(err, syscall.ENOSPC): // epoll_ctl(2)
		return "this user watches too many descriptors: raise fs.epoll.max_user_watches"
	case isAny(err, syscall.ENOBUFS, syscall.ENOMEM, wsaNoBuffers):
		return "this machine is out of memory for sockets"
	case isAny(err, syscall.EADDRNOTAVAIL, syscall.EAGAIN, wsaAddrNotAvail):
		return "no local port or address is left: widen net.ipv4.ip_local_port_range, and check that the machine has an address of the destination's family"
	}
	return ""
}
