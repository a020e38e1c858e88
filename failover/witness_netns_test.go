//go:build linux && netns

package failover_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

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
		gateway.detach()
		if ok, why := asks("192.0.2.254", 50*time.Millisecond); ok || !strings.HasSuffix(why, "no answer") {
			t.Errorf("off the wire: %v, %q", ok, why)
		}
		w.sw.Attach(gateway.port, bridge)
	}
}
