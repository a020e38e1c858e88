package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// whose says on which side an error number arises.
type whose uint8

const (
	theirs whose = iota // the target or the way to it
	ours                // this machine
	route               // ours if the routing table says so, else theirs
)

// errnos is the one place where error numbers of sockets become verdicts.
// The meanings are those of connect(2), socket(2), tcp(7) and ip(7).
var errnos = []struct {
	errno syscall.Errno
	whose whose
	text  string
}{
	{syscall.EMFILE, ours, "this process has no file descriptor left; raise its limit (RLIMIT_NOFILE) or lower MaxConcurrent"},
	{syscall.ENFILE, ours, "this system has no file descriptor left; raise fs.file-max"},
	{syscall.ENOBUFS, ours, "this system has no socket buffers left"},
	{syscall.ENOMEM, ours, "this system has no memory left for sockets"},
	{syscall.EADDRNOTAVAIL, ours, "no local port or address left towards the target; widen net.ipv4.ip_local_port_range"},
	{syscall.EADDRINUSE, ours, "the local port is taken by another socket here"},
	{syscall.EPERM, ours, "forbidden on this machine (own firewall, or a missing capability)"},
	{syscall.EAFNOSUPPORT, ours, "this system does not speak the target's address family"},
	{syscall.ENETDOWN, ours, "the interface towards the target is down on this machine"},
	{syscall.EPROTONOSUPPORT, ours, "this system does not have the protocol"},
	{syscall.EMSGSIZE, ours, "the question is too long for the way to the target; the system knows now what goes through"},
	{syscall.EINVAL, ours, "the target's address cannot be used from here"},
	{syscall.ENETUNREACH, route, "network unreachable"},
	{syscall.EHOSTUNREACH, route, "host unreachable"},
	{syscall.EACCES, route, "prohibited"},
	{syscall.ECONNREFUSED, theirs, "refused; nothing listens there"},
	{syscall.ENOPROTOOPT, theirs, "the host says that it does not have the protocol"},
	{syscall.EHOSTDOWN, theirs, "a router says that there is no such host"},
	{syscall.ECONNRESET, theirs, "reset by the server"},
	{syscall.ECONNABORTED, theirs, "connection aborted"},
	{syscall.EPIPE, theirs, "closed by the server while we were sending"},
	{syscall.ETIMEDOUT, theirs, "no answer"},
	// Windows reports the numbers of Winsock, which no other system uses.
	{syscall.Errno(10013), route, "prohibited"},
	{syscall.Errno(10024), ours, "this process has no socket left"},
	{syscall.Errno(10049), ours, "no local address towards the target"},
	{syscall.Errno(10050), ours, "the network is down on this machine"},
	{syscall.Errno(10051), route, "network unreachable"},
	{syscall.Errno(10053), theirs, "connection aborted"},
	{syscall.Errno(10054), theirs, "reset by the server"},
	{syscall.Errno(10055), ours, "this system has no socket buffers left"},
	{syscall.Errno(10060), theirs, "no answer"},
	{syscall.Errno(10061), theirs, "refused; nothing listens there"},
	{syscall.Errno(10065), route, "host unreachable"},
}

// socketError is what hindered us from making the socket that was asked for.
// It says nothing about the target.
type socketError struct {
	what string
	err  error
}

func (e *socketError) Error() string { return "cannot " + e.what + ": " + e.err.Error() }
func (e *socketError) Unwrap() error { return e.err }

// classify turns an error into a verdict and the second half of a reason.
// after is how long the check had been running, noRoute tells whether our own
// routing table has no way to the target.
func classify(ctx context.Context, noRoute func() bool, err error, after time.Duration) (Verdict, string) {
	// What we ended ourselves comes first: a cancelled socket gives all
	// kinds of errors.
	switch ctxErr := ctx.Err(); {
	case errors.Is(ctxErr, context.Canceled):
		return NoResult, "cancelled by us"
	case ctxErr != nil:
		return Fail, tooLong(after)
	}
	var socket *socketError
	if errors.As(err, &socket) {
		return NoResult, socket.Error()
	}
	var roots x509.SystemRootsError
	if errors.As(err, &roots) {
		return NoResult, "this machine has no certificates to trust: install some, or name the roots of the check"
	}
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" && errors.Is(call.Err, syscall.EADDRNOTAVAIL) {
		return NoResult, "the source is no address of this machine; add it here, or name another source"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		for _, row := range errnos {
			if row.errno != errno {
				continue
			}
			switch {
			case row.whose == ours:
				return NoResult, row.text
			case row.whose == route && noRoute():
				return NoResult, row.text + " from this machine; its own routing table says so"
			case row.whose == route:
				return Fail, row.text + "; a router says so, or the host does not answer ARP"
			}
			return Fail, row.text
		}
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return NoResult, "cancelled by us"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Fail, tooLong(after)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Fail, "closed by the server before the answer was complete"
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return Fail, fmt.Sprintf("the server answers %s, which is no TLS; does this port begin in plain text?", clip(record.RecordHeader[:]))
	}
	return Fail, err.Error()
}

func tooLong(after time.Duration) string {
	return fmt.Sprintf("no answer within %v", after.Round(time.Millisecond))
}

// noRoute tells "our routing table has no way there" from "a router on the
// way said unreachable": connecting a datagram socket looks the route up and
// sends nothing. It does so from where the check asks, and as it asks.
func (a *attempt) noRoute() bool {
	d := a.dial
	if d == nil {
		d = &Dial{}
	}
	c, err := a.open("udp", d)
	if err == nil {
		c.Close()
		return false
	}
	return true
}
