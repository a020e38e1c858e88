package dsr

import (
	"fmt"
	"net/netip"
)

// way is how packets go to a server and how its answers come back, as far as
// this machine's own tables tell. It is comparable.
type way struct {
	// source is what to bind to; the zero value leaves it to the kernel.
	source netip.Addr
	// device is where the server is, and so where its answers are expected.
	device string
	// local: the virtual address is one of this machine's own.
	local bool
	// virtualDevice has the virtual address, or leads to it.
	virtualDevice string
	// acceptLocal and reversePath are what the kernel does with packets that
	// come in by device: accept_local and rp_filter (ip-sysctl).
	acceptLocal bool
	reversePath int
}

// trap says why an answer from the virtual address would be dropped here, and
// what to do; empty if it would not.
//
// The rules are those of fib_validate_source (net/ipv4/fib_frontend.c): a
// packet from an address of our own needs accept_local, and under the strict
// rp_filter the interface of the route back to its source. IPv6 has neither.
func (w way) trap(virtual netip.Addr) string {
	if !virtual.Unmap().Is4() || w.device == "" {
		return ""
	}
	switch {
	case w.local && !w.acceptLocal:
		cure := fmt.Sprintf("set net.ipv4.conf.%s.accept_local=1", w.device)
		if w.reversePath == 1 {
			cure += " and rp_filter=2"
		}
		return fmt.Sprintf("%v is this machine's own, so its kernel drops answers that come from it: %s, or ask from a network namespace without the address", virtual, cure)
	case w.reversePath == 1 && w.virtualDevice != w.device:
		return fmt.Sprintf("answers from %v arrive by %s while its route is by %s, so the kernel drops them: set net.ipv4.conf.%s.rp_filter=2", virtual, w.device, w.virtualDevice, w.device)
	}
	return ""
}
