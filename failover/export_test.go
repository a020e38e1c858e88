package failover

import (
	"context"
	"net/netip"
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
func (r *Router) LastWord(ctx context.Context) { r.lastWord(ctx, true) }

// Noticing is a transport whose system tells of a change when a test does.
type Noticing struct {
	Transport
	AdvertTransport
	Tries   atomic.Int64 // to listen
	changed atomic.Pointer[func()]
}

// Listen is that of the Transport.
func (n *Noticing) Listen(ctx context.Context, local netip.AddrPort) (PacketConn, error) {
	n.Tries.Add(1)
	return n.Transport.Listen(ctx, local)
}

// Change tells that something has changed.
func (n *Noticing) Change() { (*n.changed.Load())() }

func (n *Noticing) notice(ctx context.Context, changed func()) error {
	n.changed.Store(&changed)
	<-ctx.Done()
	return nil
}

var _ noticing = (*Noticing)(nil)
