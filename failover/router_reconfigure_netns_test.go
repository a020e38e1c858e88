//go:build linux && netns

package failover_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/lvskit/lvskit/failover"
)

// Reloads of a router that serves change the addresses that differ and no
// others, and a rival that waits for a gap of the adverts finds none.
func TestNetnsReloadsTouchOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
	vip := func(i int) string { return fmt.Sprintf("192.0.2.%d/32", 100+i) }
	r1, _, _ := rawRouter(t, b1, 200, nil, vip(0), vip(1))
	within(t, patience, "the first serves", func() bool { return r1.Status().Serving })
	r2, rec, _ := rawRouter(t, b2, 100, nil, vip(0), vip(1))
	within(t, patience, "the second waits", func() bool { return r2.Status().Role == failover.RoleBackup })

	ns, err := netns.GetFromPath(b1.Path())
	must(t, err)
	defer ns.Close()
	updates, done := make(chan netlink.AddrUpdate, 1000), make(chan struct{})
	must(t, netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{Namespace: &ns}))
	var mu sync.Mutex
	var seen []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for u := range updates {
			what := "-"
			if u.NewAddr {
				what = "+"
			}
			mu.Lock()
			seen = append(seen, what+u.LinkAddress.IP.String())
			mu.Unlock()
		}
	}()
	defer func() { close(done); <-ended }()
	set := func(list ...int) {
		t.Helper()
		var addrs []netip.Addr
		var own []failover.VirtualAddress
		for _, i := range list {
			p := netip.MustParsePrefix(vip(i))
			addrs, own = append(addrs, p.Addr()), append(own, failover.VirtualAddress{Prefix: p, Device: eth0})
		}
		for _, r := range []*failover.Router{r1, r2} {
			must(t, r.SetAddresses(t.Context(), addrs, own))
		}
	}
	rec.Events()
	for range 50 {
		set(1, 0)
		set(0, 1)
	}
	time.Sleep(50 * time.Millisecond)
	set(1, 2)
	want := []string{"+192.0.2.102", "-192.0.2.100"}
	within(t, patience, "the kernel tells", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= len(want)
	})
	mu.Lock()
	slices.Sort(seen)
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("changes of addresses (-want +got):\n%s", diff)
	}
	mu.Unlock()
	for _, e := range rec.Events() {
		// It may find its role late, and a machine that stood still may move it.
		if e.Kind == failover.EventRole && e.From != failover.RoleInit && r1.Status().Stalls+r2.Status().Stalls == 0 {
			t.Errorf("the rival: %v", e)
		}
	}
	within(t, patience, "the role is where it was", func() bool {
		st := r1.Status()
		return st.Role == failover.RoleActive && !st.Rival
	})
}
