//go:build !linux

package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// bfdSockets are the two sockets of a session; there are none here.
type bfdSockets struct{ in, out *net.UDPConn }

func openBFD(context.Context, netip.Addr, *Dial) (*bfdSockets, error) {
	return nil, &socketError{"open a BFD session", errors.New("it is to be had on Linux only")}
}

func (s *bfdSockets) read([]byte) (n, ttl int, err error) { return 0, 0, net.ErrClosed }

func (s *bfdSockets) close() {}
