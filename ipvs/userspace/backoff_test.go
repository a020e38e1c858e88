package userspace

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A listener that cannot accept waits longer each time, up to a second, logs
// once for each row of failures, and wakes when it is closed.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		done := make(chan struct{})
		s := &service{}
		var w backoff
		for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			start := time.Now()
			w.sleep(done, log, s, syscall.EMFILE)
			if got := time.Since(start); got != want*time.Millisecond {
				t.Errorf("waited %v, want %v", got, want*time.Millisecond)
			}
		}
		w.reset()
		start := time.Now()
		w.sleep(done, log, s, syscall.EMFILE)
		if got := time.Since(start); got != minBackoff {
			t.Errorf("after a success: waited %v, want %v", got, minBackoff)
		}
		if n := strings.Count(text.String(), "\n"); n != 2 {
			t.Errorf("%d lines for two rows of failures:\n%s", n, text.String())
		}
		close(done)
		w.delay = maxBackoff
		start = time.Now()
		w.sleep(done, log, s, syscall.EMFILE)
		if got := time.Since(start); got != 0 {
			t.Errorf("closed: waited %v", got)
		}
	})
}
