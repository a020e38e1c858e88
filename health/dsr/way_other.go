//go:build !linux

package dsr

import "errors"

// lookUp has nothing to ask: there is no IPVS but on Linux.
func lookUp(string, *Path) (way, error) { return way{}, errors.ErrUnsupported }
