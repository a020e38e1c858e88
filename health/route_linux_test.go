//go:build linux && netns

package health

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
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
	n := lab.New(t).Namespace("nowhere")
	n.RemoveAddr("lo", netip.MustParsePrefix("127.0.0.1/8"))
	n.Down("lo")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// A check dials on the thread that it is called on.
	err = n.Do(func() error {
		for _, addr := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "127.0.0.1:80"} {
			for _, c := range []Checker{NewTCP(nil), text, web} {
				r := c.Check(ctx, Target{Addr: netip.MustParseAddrPort(addr)})
				if r.Verdict != NoResult || !strings.HasPrefix(r.Reason, "connect: ") {
					t.Errorf("%s %s: %v, %q", c.Identity(), addr, r.Verdict, r.Reason)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
