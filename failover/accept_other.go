//go:build !linux

package failover

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
)

func (f *acceptFilter) set([]netip.Addr) error {
	return fmt.Errorf("failover: drop what comes for the virtual addresses on %s: %w; accept it", runtime.GOOS, errors.ErrUnsupported)
}

func (f *acceptFilter) close() {}
