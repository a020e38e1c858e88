package failover

import (
	"context"
	"time"
)

// standby is an owner that can make itself ready for a take-over that may be
// near, so that it takes less time. Both are called by effects alone.
type standby interface {
	// prepare opens and looks up what taking over needs.
	prepare()
	// rest gives it back.
	rest()
}

// preparedFor is how long what was looked up is relied on.
const preparedFor = 5 * time.Second

// preparation is what the system's side of Addresses has ready for one
// acquisition and the first announcement after it.
type preparation interface {
	// ensure is that of addressKeeper; ok is false, and nothing is known, if
	// the preparation does not fit any more.
	ensure(ctx context.Context, addrs []VirtualAddress) (added []VirtualAddress, ok bool)
	// announce is that of Announcer; ok is false if nothing was told.
	announce(ctx context.Context, addrs []VirtualAddress) (ok bool, err error)
	// close gives it back, without waiting for it.
	close()
}

// preparer is an addressKeeper that can prepare. The preparation is nil if that
// is not possible, or would be of no use.
type preparer interface {
	prepare(addrs []VirtualAddress) preparation
}

// prepare makes the addresses ready to be acquired.
func (a *Addresses) prepare() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k, ok := a.keeper.(preparer); ok && !a.held {
		a.rested()
		a.ready = k.prepare(a.addrs)
	}
}

// rest gives back what prepare opened.
func (a *Addresses) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rested()
}

func (a *Addresses) rested() {
	if a.ready != nil {
		a.ready.close()
		a.ready = nil
	}
}

// ensure adds what is missing, by what is prepared if that fits. The caller
// holds mu.
func (a *Addresses) ensure(ctx context.Context) (added []VirtualAddress, err error) {
	if a.ready != nil {
		if added, ok := a.ready.ensure(ctx, a.addrs); ok {
			a.lacks = nil
			return added, nil
		}
	}
	added, a.lacks, err = a.keeper.ensure(ctx, a.addrs)
	return added, err
}

var _ standby = (*Addresses)(nil)
