package failover

import (
	"context"
	"sync/atomic"
	"time"
)

// SetWall replaces the node's clock of day.
func (n *Node) SetWall(now func() time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clocks.now = now
}

// Ready is an owner that counts how often it is made ready for a take-over.
type Ready struct {
	AddressOwner
	Count atomic.Int64
}

func (r *Ready) prepare() { r.Count.Add(1) }
func (r *Ready) rest()    {}

var _ standby = (*Ready)(nil)

// LastWord does what the daemon does for a router whose beat process is gone.
func (r *Router) LastWord(ctx context.Context) { r.lastWord(ctx) }
