package healthtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// A check meets every server that goes wrong, and fails in time for each.
func ExampleMisbehaviors() {
	test := func(t *testing.T, c health.Checker) {
		s := healthtest.NewServer(t, healthtest.Hang())
		for name, behavior := range healthtest.Misbehaviors() {
			s.Set(behavior)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			r := c.Check(ctx, health.Target{Addr: s.Addr()})
			cancel()
			if r.Verdict != health.Fail || !strings.Contains(r.Reason, ": ") {
				t.Errorf("a server that %s: %v, %s", name, r.Verdict, r.Reason)
			}
		}
	}
	_ = test // call it from a test
}
