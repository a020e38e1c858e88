package failovertest

import (
	"context"
	"sync"

	"github.com/lvskit/lvskit/failover"
)

// Recorder remembers what a node does: it is its OnEvent, its OnRole and its
// [failover.AddressOwner]. The zero value is ready.
type Recorder struct {
	mu     sync.Mutex
	events []failover.Event
	effect []string
	held   bool
	fail   error
	wait   <-chan struct{}
}

// OnEvent remembers e.
func (r *Recorder) OnEvent(e failover.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// OnRole remembers the call as "hook ROLE".
func (r *Recorder) OnRole(ctx context.Context, role failover.Role) error {
	return r.do(ctx, "hook "+role.String(), nil)
}

// Acquire remembers the call.
func (r *Recorder) Acquire(ctx context.Context) error {
	held := true
	return r.do(ctx, "acquire", &held)
}

// Release remembers the call.
func (r *Recorder) Release(ctx context.Context) error {
	held := false
	return r.do(ctx, "release", &held)
}

// Announce remembers the call.
func (r *Recorder) Announce(ctx context.Context) error { return r.do(ctx, "announce", nil) }

func (r *Recorder) do(ctx context.Context, what string, held *bool) error {
	r.mu.Lock()
	wait := r.wait
	r.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.effect = append(r.effect, what)
	if r.fail != nil {
		return r.fail
	}
	if held != nil {
		r.held = *held
	}
	return nil
}

// FailWith lets the calls fail with err from now on; nil ends it.
func (r *Recorder) FailWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// HoldUp lets the calls wait until the channel is closed or their context
// ends; nil ends it for later ones.
func (r *Recorder) HoldUp(until <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait = until
}

// Held reports whether the addresses are acquired.
func (r *Recorder) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// Effects returns the calls so far, in order, and forgets them.
func (r *Recorder) Effects() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.effect
	r.effect = nil
	return e
}

// Events returns the events so far and forgets them.
func (r *Recorder) Events() []failover.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.events
	r.events = nil
	return e
}

// Count returns how many of the events remembered are of one kind.
func (r *Recorder) Count(k failover.EventKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

var _ failover.AddressOwner = (*Recorder)(nil)
