package userspace

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
)

// ErrClosed is why the methods of a closed [Balancer] fail, inside an
// [*ipvs.OpError].
var ErrClosed = fmt.Errorf("balancer is closed: %w", net.ErrClosed)

// UnsupportedError is a part of the table that sockets cannot carry, or not
// without a declaration in [Config.Services]. It is [errors.ErrUnsupported].
type UnsupportedError struct {
	// Feature is what was asked for, as "protocol sctp".
	Feature string
	// Reason says why not, and what to do instead.
	Reason string
	// errno is what a kernel answers that lacks the feature, 0 if none does.
	errno syscall.Errno
}

// Error returns the feature and the reason.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s is not supported in user space: %s", e.Feature, e.Reason)
}

// Unwrap returns [errors.ErrUnsupported], and what a kernel answers that lacks
// the feature.
func (e *UnsupportedError) Unwrap() []error {
	if e.errno != 0 {
		return []error{errors.ErrUnsupported, e.errno}
	}
	return []error{errors.ErrUnsupported}
}

// errnoError says in words what the kernel says by a number, so that both mean
// the same to an [ipvs.OpError].
type errnoError struct {
	error
	errno syscall.Errno
}

func (e *errnoError) Unwrap() []error { return []error{e.error, e.errno} }

func withErrno(errno syscall.Errno, err error) error { return &errnoError{err, errno} }

// opErr names the change in an error.
func opErr(c ipvs.Change, err error) *ipvs.OpError {
	e := &ipvs.OpError{Op: c.Op, Service: c.Service.Key, Err: err}
	if c.Op >= ipvs.OpAddDestination {
		e.Destination = c.Destination.Key
	}
	return e
}

// listenErr adds the cure to an error of a listening socket.
func listenErr(err error) error {
	hint := ""
	switch {
	case isAny(err, syscall.EADDRINUSE, wsaAddrInUse):
		hint = "another program has this address and port: stop it or choose another port"
	case isAny(err, syscall.EACCES, wsaAccess):
		hint = "ports below 1024 need CAP_NET_BIND_SERVICE (or net.ipv4.ip_unprivileged_port_start lowered)"
	case isAny(err, syscall.EADDRNOTAVAIL, wsaAddrNotAvail):
		hint = "the virtual address is not on this machine: add it to an interface first"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}
