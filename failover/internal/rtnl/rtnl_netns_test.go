//go:build linux && netns

package rtnl

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/internal/lab"
)

// A device of another namespace is found there with its addresses, and f alone
// sees it.
func TestNetnsInsideAndDevice(t *testing.T) {
	l := lab.New(t)
	n, other := l.Namespace("there"), l.Namespace("other")
	l.Veth(n, "rtnl7", other, "eth0")
	want := netip.MustParsePrefix("192.0.2.7/24")
	n.Addr("rtnl7", want)

	seen := func() error { _, err := net.InterfaceByName("rtnl7"); return err }
	if err := Inside(n.Path(), seen); err != nil {
		t.Errorf("inside: %v", err)
	}
	for range 20 { // on whatever thread
		if err := Inside("", seen); err == nil {
			t.Fatal("a thread stayed in the namespace")
		}
	}
	h, err := Open(n.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, list, err := Device(h, "rtnl7", "a test")
	if err != nil || !slices.ContainsFunc(list, func(a netlink.Addr) bool { return Prefix(a.IPNet) == want }) {
		t.Errorf("addresses %v, %v", list, err)
	}
	_, _, err = Device(h, "eth9", "a test")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `"eth9" for a test`) || !strings.HasSuffix(err.Error(), "present are lo, rtnl7") {
		t.Errorf("no device: %v", err)
	}
}
