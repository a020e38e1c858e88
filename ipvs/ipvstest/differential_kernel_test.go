//go:build linux && kernel

package ipvstest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// TestKernelAndFakeAgree plays the same commands on the fake and on the
// kernel: each has to answer, and each table to look, like the other.
func TestKernelAndFakeAgree(t *testing.T) {
	seed := testSeed(t)
	// A slow guest plays fewer sequences, but some in each namespace.
	const sequences, length, least = 20, 50, 2
	namespaces := 4
	if lab.Emulated() {
		namespaces = 2
	}
	const patience = 5 * time.Second // for a namespace
	played := 0
	for i := range namespaces {
		t.Run(fmt.Sprintf("namespace %d", i), func(t *testing.T) {
			c := dialWithJumbo(t)
			schedulers := kernelSchedulers(t, c)
			again := func(steps []step) *divergence {
				reset(t, c)
				return compare(t.Context(), steps, newWithJumbo(), c)
			}
			begin := time.Now()
			for j := range sequences {
				if j >= least && time.Since(begin) > patience {
					break
				}
				n := uint64(i*sequences + j)
				steps := newGenerator(seed, n, schedulers).steps(length)
				if d := again(steps); d != nil {
					steps, d = shrink(steps, d, again)
					t.Fatalf("sequence %d of seed %d: the fake (first) and the kernel (second): %s", n, seed, report(steps, d))
				}
				played++
			}
		})
	}
	t.Logf("%d sequences of %d commands", played, length)
}

// dialWithJumbo is dialNew with a device of a larger MTU besides.
func dialWithJumbo(t *testing.T) *ipvs.Client {
	t.Helper()
	ns := newNamespace(t)
	ns.Dummy(jumbo)
	link, err := ns.Handle().LinkByName(jumbo)
	ok(t, err)
	ok(t, ns.Handle().LinkSetMTU(link, jumboMTU))
	ns.Addr(jumbo, netip.MustParsePrefix("10.98.0.1/24"), netip.MustParsePrefix("fd98::1/64"))
	return dialIn(t, ns)
}

// reset makes a kernel look like a new one.
func reset(t *testing.T, c *ipvs.Client) {
	t.Helper()
	ctx := t.Context()
	list, err := c.SyncDaemons(ctx)
	ok(t, err)
	for _, d := range list {
		ok(t, c.StopSync(ctx, d.Role))
	}
	ok(t, c.DeleteEverything(ctx))
	ok(t, c.SetTimeouts(ctx, ipvs.Timeouts{TCP: 900 * time.Second, TCPFin: 120 * time.Second, UDP: 300 * time.Second}))
}
