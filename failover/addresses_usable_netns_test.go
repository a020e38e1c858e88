//go:build linux && netns

package failover_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// An IPv6 address that was acquired takes packets: the kernel's own answer to
// the request comes before that.
func TestNetnsAcquiredMeansUsable(t *testing.T) {
	const vip = "2001:db8::100"
	ns, o := newDevice(t, "1", vip+"/64")
	for range 50 {
		if err := o.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		routes, err := ns.Handle().RouteGet(netip.MustParseAddr(vip).AsSlice())
		if err != nil || len(routes) == 0 || routes[0].Table != unix.RT_TABLE_LOCAL {
			t.Fatalf("routes %v, error %v; want a local one", routes, err)
		}
		if err := o.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
