package failover

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// A witness that takes all of its time answers as late as it is given up, and
// the reason is for people all the same.
func TestWitnessThatDoesNotAnswerInTime(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	w := &ward{keeper: newKeeper(ours)}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if ok, why := w.witness(ctx); ok || why != "no answer in time" {
		t.Errorf("%v, %q", ok, why)
	}
}
