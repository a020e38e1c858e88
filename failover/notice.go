package failover

import (
	"context"
	"time"
)

// noticing is a transport whose system tells at once of what changes: without
// it, devices and addresses are looked at now and then.
type noticing interface {
	// notice calls changed when a device or an address may have changed, and once
	// when it begins, until ctx ends.
	notice(ctx context.Context, changed func()) error
}

// noticeChanges calls changed as the transport tells, until ctx ends.
func noticeChanges(ctx context.Context, transport any, changed func()) {
	if t, ok := transport.(noticing); ok {
		_ = t.notice(ctx, changed) // whoever is told nothing goes on looking
	}
}

// retryGap is the least time between two tries to open a socket, however many
// things change.
const retryGap = 10 * time.Millisecond

// awaitRetry waits until a socket is worth another try: for the pause, or until
// something has changed. It reports false if ctx ended.
func awaitRetry(ctx context.Context, pause time.Duration, changed <-chan struct{}) bool {
	if sleep(ctx, retryGap); ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(pause - retryGap)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-changed:
	}
	return true
}

// nudge wakes who waits for c, or will.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
