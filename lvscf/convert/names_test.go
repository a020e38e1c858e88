package convert

import (
	"net/netip"
	"testing"
)

func TestAliasesFitIntoALabel(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		name, device string
		n            int
		addr         netip.Addr
		want         string
	}{
		{"an alias", "eth0", 3, four, "eth0:3"},
		{"of a host name that is not looked up yet", "eth0", 3, netip.Addr{}, "eth0:3"},
		{"IPv6 has none", "eth0", 3, six, "eth0"},
		{"the longest", "abcdefghijklm", 3, four, "abcdefghijklm:3"},
		{"one longer", "abcdefghijklm", 10, four, "abcdefghijklm"},
		{"a name after its hardware address", "enx001122334455", 1, four, "enx001122334455"},
		{"an alias of its own", "eth0:7", 1, four, "eth0:7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := aliasOf(c.device, c.n, c.addr); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
