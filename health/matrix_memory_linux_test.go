package health_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// mostMemory is how much a check may allocate altogether, whatever the server
// sends; what there is of it at a time is less. On a quiet machine the most is
// 0.6 MiB, but servers that have not ended yet are counted in.
const mostMemory = 4 << 20

// A server that sends without an end, and a program or a file of a gigabyte,
// costs no kind of check more than a little memory.
func TestMatrixKeepsLittle(t *testing.T) {
	worst := uint64(0)
	asked := 0
	measure := func(name string, c health.Checker, target health.Target, timeout time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := c.Check(ctx, target)
		runtime.ReadMemStats(&after)
		asked++
		used := after.TotalAlloc - before.TotalAlloc
		if used > mostMemory {
			t.Errorf("%s: %d KiB (%v, %s)", name, used>>10, r.Verdict, r.Reason)
		}
		worst = max(worst, used)
	}
	for _, c := range matrixCells(t) {
		if strings.Contains(c.name, "flood") || strings.Contains(c.name, "for ever") || strings.Contains(c.name, "bomb") ||
			strings.Contains(c.name, "without") || strings.Contains(c.name, "with a lot") || strings.Contains(c.name, "gigabyte") {
			measure(c.name, c.check, c.target, 100*time.Millisecond)
		}
	}
	gigabyte := script(t, "head -c 1000000000 /dev/zero")
	for _, kind := range []string{"external", "nagios"} {
		measure(kind+", a gigabyte", must(kindOf(kind, map[string]string{"command": gigabyte})), health.Target{Addr: realServer}, time.Minute)
	}
	if asked < 100 {
		t.Errorf("only %d servers that send much", asked)
	}
	t.Logf("at most %d KiB for one check of %d", worst>>10, asked)
}
