//go:build linux && netns

package failover_test

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
)

func TestNetnsPingWitness(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	node := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
	gateway := w.host("gw", "192.0.2.254/24", "2001:db8::254/64")
	asks := func(a string, limit time.Duration) (ok bool, why string) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		must(t, node.Do(func() error { ok, why = failover.PingWitness(netip.MustParseAddr(a))(ctx); return nil }))
		return ok, why
	}
	for _, groups := range []string{"1 0", "0 0"} { // raw sockets, and those of icmp(7)
		node.Sysctl("net.ipv4.ping_group_range", groups)
		for _, a := range []string{"192.0.2.254", "2001:db8::254"} {
			if ok, why := asks(a, patience); !ok {
				t.Errorf("groups %s, %s: %s", groups, a, why)
			}
		}
		if ok, why := asks("192.0.2.77", 50*time.Millisecond); ok || !strings.HasPrefix(why, "ping 192.0.2.77: ") {
			t.Errorf("nobody is there: %v, %q", ok, why)
		}
		for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
			if ok, why := asks(a, patience); ok || !strings.Contains(why, "this machine has the address") {
				t.Errorf("groups %s, its own %s: %v, %q", groups, a, ok, why)
			}
		}
		gateway.detach()
		if ok, why := asks("192.0.2.254", 50*time.Millisecond); ok || !strings.HasSuffix(why, "no answer") {
			t.Errorf("off the wire: %v, %q", ok, why)
		}
		w.sw.Attach(gateway.port, bridge)
	}
}

// Without the right to either kind of socket, as in a container, the witness says
// what would give it.
func TestNetnsPingWitnessWithoutPrivilege(t *testing.T) {
	w := newWire(t)
	node := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
	w.host("gw", "192.0.2.254/24", "2001:db8::254/64")
	node.Sysctl("net.ipv4.ping_group_range", "1 0")
	must(t, node.Do(func() error {
		return withoutRaw(func() {
			for _, a := range []string{"192.0.2.254", "2001:db8::254"} {
				ok, why := failover.PingWitness(netip.MustParseAddr(a))(t.Context())
				if ok || !strings.Contains(why, "give CAP_NET_RAW, or put the group into net.ipv4.ping_group_range") {
					t.Errorf("%s: %v, %q", a, ok, why)
				}
			}
		})
	}))
}

// withoutRaw runs f on a thread that lacks CAP_NET_RAW.
func withoutRaw(f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		return err
	}
	less := all
	less[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&header, &less[0]); err != nil {
		return err
	}
	f()
	return unix.Capset(&header, &all[0])
}
