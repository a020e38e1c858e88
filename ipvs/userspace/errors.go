package userspace

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
)

// The meanings of refused changes.
var (
	errServiceExists       = errors.New("service exists")
	errServiceNotFound     = errors.New("service not found")
	errDestinationExists   = errors.New("destination exists")
	errDestinationNotFound = errors.New("destination not found")
)

// ErrClosed is returned by the methods of a closed [Balancer].
var ErrClosed = fmt.Errorf("balancer is closed: %w", net.ErrClosed)

// UnsupportedError is a part of the table that sockets cannot carry. It is
// [errors.ErrUnsupported].
type UnsupportedError struct {
	// Feature is what was asked for, as "firewall-mark service".
	Feature string
	// Reason says why not, and what to do instead.
	Reason string
}

// Error returns the feature and the reason.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s is not supported in user space: %s", e.Feature, e.Reason)
}

// Unwrap returns [errors.ErrUnsupported].
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }

// opError says which change failed.
type opError struct {
	change ipvs.Change
	err    error
}

func (e *opError) Error() string {
	op, at := "change", ""
	switch e.change.Op {
	case ipvs.OpAddService:
		op = "add service"
	case ipvs.OpSetService:
		op = "set service"
	case ipvs.OpDelService:
		op = "delete service"
	case ipvs.OpAddDestination:
		op = "add destination"
	case ipvs.OpSetDestination:
		op = "set destination"
	case ipvs.OpDelDestination:
		op = "delete destination"
	}
	if e.change.Op >= ipvs.OpAddDestination {
		at = e.change.Destination.Key.String() + " of "
	}
	return fmt.Sprintf("%s %s%v: %v", op, at, e.change.Service.Key, e.err)
}

func (e *opError) Unwrap() error { return e.err }

// opErr names the change in an error.
func opErr(c ipvs.Change, err error) error { return &opError{change: c, err: err} }

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
