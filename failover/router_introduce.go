package failover

import (
	"context"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// introductions is how often a router that begins to listen tells where it
	// is, and introduceEvery the longest time between two of them.
	introductions  = 3
	introduceEvery = 200 * time.Millisecond
)

// introducer is an AdvertConn that can tell the neighbours where its source is.
// It returns soon.
type introducer interface {
	Introduce(ctx context.Context) error
}

// listens notes that the router has begun to listen. The caller holds mu.
func (r *Router) listens() {
	if _, why, _ := r.machine.State(); len(r.cfg.Peers) > 0 && (why == vrrp.ReasonStart || why == vrrp.ReasonFaultCleared) {
		select {
		case r.listening <- struct{}{}:
		default:
		}
	}
}

// introduce tells the neighbours of a router of unicast where it is, whenever
// it begins to listen. A peer that could not reach it before may ask for its
// hardware address once a second only, and keep back its adverts until then: for
// that time the router would take an active one for silent.
func (r *Router) introduce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.listening:
		}
		for range introductions {
			r.mu.Lock()
			conn, pause := r.conn, min(r.cfg.Interval, introduceEvery)
			r.mu.Unlock()
			if i, ok := conn.(introducer); ok {
				_ = i.Introduce(ctx) // it is a courtesy; adverts tell what is the matter
			}
			sleep(ctx, pause)
		}
	}
}
