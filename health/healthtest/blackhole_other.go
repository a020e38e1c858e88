//go:build !linux

package healthtest

import (
	"net/netip"
	"testing"
)

// BlackHole skips the test: only Linux has a server that answers no SYN.
func BlackHole(tb testing.TB) netip.AddrPort {
	tb.Skip("healthtest: a black hole is to be had on Linux only")
	return netip.AddrPort{}
}
