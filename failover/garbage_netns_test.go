//go:build linux && netns

package failover_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// What goes on all the time makes no garbage: a beat process does without
// collecting any.
func TestNetnsSteadyStateMakesNoGarbage(t *testing.T) {
	// Of some spans the best: in the others it may have announced or probed. In
	// each one 30 packets are sent and received; one allocation with each is 30.
	const span, most = 300 * time.Millisecond, 15
	check := func(t *testing.T) {
		t.Helper()
		var counts []uint64
		for began := time.Now(); time.Since(began) < patience; {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			time.Sleep(span)
			runtime.ReadMemStats(&after)
			n := after.Mallocs - before.Mallocs
			if counts = append(counts, n); n <= most {
				t.Logf("%d allocations in %v", n, span)
				return
			}
		}
		t.Errorf("allocations in spans of %v: %d", span, counts)
	}
	for _, tt := range []struct {
		name string
		vips []string
	}{{"routers over IPv4", []string{"192.0.2.100/32"}}, {"routers over IPv6", []string{"fe80::100/64"}}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t)
			r1, _, _ := rawRouter(t, w.host("d1", "192.0.2.1/24"), 200, nil, tt.vips...)
			r2, _, _ := rawRouter(t, w.host("d2", "192.0.2.2/24"), 100, nil, tt.vips...)
			within(t, patience, "a pair", func() bool { return r1.Status().Serving && r2.Status().Role == failover.RoleBackup })
			check(t)
		})
	}
	t.Run("nodes", func(t *testing.T) {
		at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("192.0.2.2:539")}
		w := newWire(t)
		var s [2]*side
		for i := range s {
			host := w.host([]string{"d1", "d2"}[i], at[i].Addr().String()+"/24")
			s[i] = &side{Recorder: nil}
			s[i].cfg = failover.Config{
				Primary: i == 0, Key: key, Interval: 10 * time.Millisecond,
				Channels:  []failover.Channel{{Name: "only", Local: at[i], Peer: at[1-i]}},
				Transport: failover.UDP{Namespace: host.Path()},
			}
			s[i].start(t)
			t.Cleanup(func() { s[i].stop(t) })
		}
		within(t, patience, "a pair", func() bool {
			return s[0].node.Status().Serving && s[1].node.Status().Role == failover.RoleBackup
		})
		check(t)
	})
}
