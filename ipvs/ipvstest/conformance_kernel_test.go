//go:build linux && kernel

package ipvstest

import (
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

func TestKernelConformance(t *testing.T) {
	Conformance(t, func(t *testing.T) API { return dialNew(t) })
}

// dialNew returns a client in a network namespace of its own, whose loopback
// is up and which has the device that the conformance suite asks for.
func dialNew(t testing.TB) *ipvs.Client {
	t.Helper()
	return dialIn(t, newNamespace(t))
}

func newNamespace(t testing.TB) *lab.Namespace {
	t.Helper()
	ns := lab.New(t).Namespace("ipvs")
	ns.Dummy("sync0")
	ns.Addr("sync0", netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("fd99::1/64"))
	return ns
}

func dialIn(t testing.TB, ns *lab.Namespace) *ipvs.Client {
	t.Helper()
	c, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
