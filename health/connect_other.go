//go:build !linux

package health

import (
	"errors"
	"net"
)

// connect opens and closes a TCP connection.
func (a *attempt) connect(d *Dial) error { return a.connectByNet(d) }

func (a *attempt) openWithin(*Dial) (net.Conn, error) {
	return nil, &socketError{"ask from a network namespace", errors.New("it is to be had on Linux only")}
}
