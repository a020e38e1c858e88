//go:build linux && kernel

package ipvstest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// TestKernelApplyOfADifferenceReachesAnyGoal is the property on the kernel.
// The cases take turns in a few namespaces, so that keys also come back while
// the kernel still remembers them as deleted.
func TestKernelApplyOfADifferenceReachesAnyGoal(t *testing.T) {
	seed := testSeed(t)
	const cases = 52
	namespaces := 10
	if lab.Emulated() {
		namespaces = 4
	}
	for i := range namespaces {
		t.Run(fmt.Sprintf("namespace %d", i), func(t *testing.T) {
			c := dialNew(t)
			schedulers := kernelSchedulers(t, c)
			for j := range cases {
				n := uint64(i*cases + j)
				if !reachesGoal(t, newGenerator(seed, n, schedulers), c) {
					t.Fatalf("case %d of seed %d", n, seed)
				}
				ok(t, c.DeleteEverything(t.Context()))
			}
		})
	}
}

// kernelSchedulers tells which schedulers the kernel has.
func kernelSchedulers(t *testing.T, c *ipvs.Client) []string {
	t.Helper()
	var have []string
	for _, name := range allSchedulers {
		key := ipvs.MarkService(12345)
		err := c.AddService(t.Context(), ipvs.Service{Key: key, Scheduler: name})
		if errors.Is(err, ipvs.ErrSchedulerNotFound) {
			continue
		}
		ok(t, err)
		ok(t, c.DelService(t.Context(), key))
		have = append(have, name)
	}
	return have
}
