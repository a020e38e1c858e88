package failover

import (
	"context"
	"errors"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// usableTries and usablePause bound the wait for an address to 20 ms.
	usableTries = 400
	usablePause = 50 * time.Microsecond
)

// awaitUsable waits until the kernel delivers what comes for the last IPv6
// address of those that were added. It answers the request for one before a
// worker of its own has made the local route (addrconf_dad_work of
// net/ipv6/addrconf.c), also without a look for duplicates; what a neighbour
// sends who was told of the address in between is lost. There is one worker,
// which takes them in order.
func awaitUsable(ctx context.Context, h *netlink.Handle, added []VirtualAddress) {
	for i := len(added) - 1; i >= 0; i-- {
		a := added[i].Prefix.Addr()
		if !a.Is6() {
			continue
		}
		for range usableTries {
			routes, err := h.RouteGet(a.AsSlice())
			if ctx.Err() != nil || len(routes) > 0 && routes[0].Table == unix.RT_TABLE_LOCAL {
				return
			}
			// There may be no route at all before it.
			if err != nil && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
				return
			}
			// Not a timer of the runtime, which might take a millisecond.
			pause := unix.NsecToTimespec(int64(usablePause))
			_ = unix.Nanosleep(&pause, nil) // a signal ends it early
		}
		return
	}
}
