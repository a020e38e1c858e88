//go:build linux && (netns || peers || simtime)

package failover_test

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
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

// lockedBuffer is written by a command while it is read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
