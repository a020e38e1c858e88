//go:build linux && (netns || peers || simtime)

package failover_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// box is a host of a lab. It is the transport of a node: UDP from inside.
type box struct{ *lab.Namespace }

// Listen opens a UDP socket in the namespace.
func (b box) Listen(ctx context.Context, local netip.AddrPort) (c failover.PacketConn, err error) {
	err = b.Do(func() error { c, err = failover.UDP{}.Listen(ctx, local); return err })
	return c, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
