package userspace

import (
	"errors"
	"syscall"
)

// Windows reports sockets' errors by numbers of its own, which package
// syscall does not map to the portable names. No other system uses them.
const (
	wsaAccess       = syscall.Errno(10013)
	wsaAddrInUse    = syscall.Errno(10048)
	wsaAddrNotAvail = syscall.Errno(10049)
	wsaNetUnreach   = syscall.Errno(10051)
	wsaConnReset    = syscall.Errno(10054)
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
