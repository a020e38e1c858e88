package rtnl

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"testing"
)

func TestPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1/24": "192.0.2.1/24", "2001:db8::1/64": "2001:db8::1/64", "0.0.0.0/0": "0.0.0.0/0",
	} {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Prefix(&net.IPNet{IP: ip, Mask: network.Mask}); got != netip.MustParsePrefix(want) {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	if got := Prefix(nil); got.IsValid() {
		t.Errorf("nil: %v", got)
	}
}

func TestANamespaceThatIsNotThere(t *testing.T) {
	ran := false
	if err := Inside("/does/not/exist", func() error { ran = true; return nil }); !errors.Is(err, fs.ErrNotExist) || ran {
		t.Errorf("inside: %v, ran %v", err, ran)
	}
	if h, err := Open("/does/not/exist"); !errors.Is(err, fs.ErrNotExist) {
		h.Close()
		t.Errorf("open: %v", err)
	}
}
