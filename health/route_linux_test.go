//go:build linux && netns

package health

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A namespace without any route: we cannot ask, whatever the check.
func TestNetnsNoRouteIsNoResult(t *testing.T) {
	text, err := NewSendExpect(&SendExpectConfig{Transport: OverUDP, Send: "x"})
	if err != nil {
		t.Fatal(err)
	}
	web, err := NewHTTP(nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine, and so does its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, addr := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "127.0.0.1:80"} {
			for _, c := range []Checker{NewTCP(nil), text, web} {
				r := c.Check(ctx, Target{Addr: netip.MustParseAddrPort(addr)})
				if r.Verdict != NoResult || !strings.HasPrefix(r.Reason, "connect: ") {
					t.Errorf("%s %s: %v, %q", c.Identity(), addr, r.Verdict, r.Reason)
				}
			}
		}
	}()
	<-done
}
