//go:build linux && kernel

package ipvstest

import (
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

func TestKernelConformance(t *testing.T) {
	Conformance(t, func(t *testing.T) API { return dialNew(t) })
}

// dialNew returns a client in a network namespace of its own, whose loopback
// is up.
func dialNew(t testing.TB) *ipvs.Client {
	t.Helper()
	c, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: lab.New(t).Namespace("ipvs").Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
