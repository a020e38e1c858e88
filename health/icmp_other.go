//go:build !linux

package health

import (
	"errors"
	"net"
	"os"
)

// isForbidden tells whether we lack a privilege.
func isForbidden(err error) bool { return errors.Is(err, os.ErrPermission) }

// openEcho opens a raw socket.
func openEcho(a *attempt, d *Dial) (net.Conn, bool, error) { return openRaw(a, d) }
