package health_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// A process without file descriptors has no result of any check: nothing goes
// down, and all is as before when there are some again.
func TestNoDescriptors(t *testing.T) {
	const inside = "LVSKIT_TEST_NO_DESCRIPTORS"
	if os.Getenv(inside) != "" {
		withoutDescriptors(t)
		return
	}
	// In a process of its own: the limit is that of all tests otherwise.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNoDescriptors$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNoDescriptors") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func withoutDescriptors(t *testing.T) {
	var watches []health.Watch
	for _, c := range matrixCells(t) {
		if len(c.wants) != 1 || c.wants[0] != health.OK || c.timeout != short || strings.HasPrefix(c.name, "not ") ||
			strings.HasPrefix(c.name, "ruptime") { // which remembers, and opens nothing
			continue
		}
		watches = append(watches, health.Watch{
			ID: c.name, Target: c.target, Checker: c.check,
			Policy: health.Policy{Interval: 100 * time.Millisecond, Timeout: 20 * time.Second, Rise: 1, Fall: 1},
		})
	}
	if len(watches) < len(health.Kinds()) {
		t.Fatalf("only %d checks that are OK", len(watches))
	}
	m := health.NewMonitor(nil)
	if err := m.Set(watches); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	// until waits for watches to be up, and for more of their results than there
	// were; some may be left.
	until := func(what string, some int, count func(health.Counters) uint64) {
		t.Helper()
		before := map[string]uint64{}
		for _, s := range m.States() {
			before[s.ID] = count(s.Counters)
		}
		deadline := time.Now().Add(20 * time.Second)
		for left := some + 1; left > some; time.Sleep(20 * time.Millisecond) {
			left = 0
			for _, s := range m.States() {
				// The first may have been on its way.
				if s.State != health.Up || count(s.Counters) < before[s.ID]+2 {
					left++
					if time.Now().After(deadline) {
						t.Fatalf("%s: %s is %v, %+v, %+v", what, s.ID, s.State, s.Counters, s.Last)
					}
				}
			}
		}
	}
	oks := func(c health.Counters) uint64 { return c.OK }
	until("at first", 0, oks)

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 40 // of which all are taken
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	var fill []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	// A check that has just connected waits for its server, which is in this
	// process too and cannot accept.
	until("without descriptors", len(watches)/4, func(c health.Counters) uint64 { return c.NoResult })
	for _, f := range fill {
		f.Close()
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	until("afterwards", 0, oks)
	for _, s := range m.States() {
		if s.Counters.Changes != 1 || s.Counters.Fail != 0 {
			t.Errorf("%s: %+v, %q", s.ID, s.Counters, s.Reason)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
