//go:build !linux

package health

import "errors"

// openSYN has no way to send a segment by hand here.
func openSYN(*attempt, *Dial) (*synSocket, error) {
	return nil, &socketError{"send a SYN by hand", errors.New("that is to be had on Linux only; use the tcp check")}
}
