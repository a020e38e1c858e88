package demo

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// Who leaves while the tour waits for a director is told so, and not that the
// director is slow.
func TestAwaitTellsAnInterrupt(t *testing.T) {
	d := newDirector(t.TempDir(), "primary", nil)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := d.await(ctx, time.Minute, "the primary serves", func(*control.Status) bool { return false })
	if !errors.Is(err, errInterrupted) {
		t.Errorf("await: %v, want %v", err, errInterrupted)
	}
}
