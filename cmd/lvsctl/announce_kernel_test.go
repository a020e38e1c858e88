//go:build linux && kernel

package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/internal/lab"
)

// TestKernelAnnounceMovesNeighbours: a neighbour that has just learned that an
// address is at one router believes the other one as soon as it announces.
func TestKernelAnnounceMovesNeighbours(t *testing.T) {
	c := lab.NewCluster(t)
	first, second := c.Directors[0], c.Directors[1]
	vip := c.VIPs.Public
	learned := func() string {
		t.Helper()
		list, err := c.Router.Handle().NeighList(0, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if n.IP.String() == vip.String() {
				return n.HardwareAddr.String()
			}
		}
		return ""
	}
	announce := func(at *lab.Namespace, args ...string) (code int, said string) {
		t.Helper()
		var out bytes.Buffer
		if err := at.Do(func() error {
			code = run(t.Context(), append([]string{"lvsctl", "announce"}, args...), &out, &out)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return code, out.String()
	}
	first.Addr(lab.PublicLink, netip.PrefixFrom(vip, 32))
	startWeb(t, first.Namespace, "first", "0.0.0.0:8080")
	keepAsking(t, clientIn(c.Client), vip.String()+":8080")
	if got, want := learned(), first.MAC(lab.PublicLink); got != want {
		t.Fatalf("the router before them believes %q, not the first router %s", got, want)
	}

	first.RemoveAddr(lab.PublicLink, netip.PrefixFrom(vip, 32))
	second.Addr(lab.PublicLink, netip.PrefixFrom(vip, 32))
	if code, said := announce(first.Namespace, vip.String()); code != exitFailed {
		t.Errorf("the router that has lost it announces: code %d, %s", code, said)
	}
	if code, said := announce(second.Namespace, vip.String()); code != exitDone || said != "" {
		t.Fatalf("code %d, %s", code, said)
	}
	want, deadline := second.MAC(lab.PublicLink), time.Now().Add(5*time.Second)
	for learned() != want {
		if time.Now().After(deadline) {
			t.Fatalf("the router before them believes %s, not the second router %s", learned(), want)
		}
		time.Sleep(time.Millisecond)
	}
	// What is not here can be announced on purpose, and moves them as well.
	if code, said := announce(first.Namespace, "--absent", "--device", lab.PublicLink, vip.String()); code != exitDone {
		t.Fatalf("code %d, %s", code, said)
	}
	for learned() != first.MAC(lab.PublicLink) {
		if time.Now().After(deadline) {
			t.Fatalf("the router before them believes %s, not the first router", learned())
		}
		time.Sleep(time.Millisecond)
	}
}
