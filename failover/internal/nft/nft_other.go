//go:build !linux

package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
)

// Set returns errors.ErrUnsupported.
func (t *Table) Set([]netip.Addr) error {
	return fmt.Errorf("failover: drop what comes for the virtual addresses on %s: %w; accept it", runtime.GOOS, errors.ErrUnsupported)
}

// Close does nothing.
func (t *Table) Close() {}
