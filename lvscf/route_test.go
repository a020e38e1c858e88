package lvscf

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRoute(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Route
		says       string
	}{
		{
			"a default route of the gateway's family", "default via fe80::1 dev eth0",
			Route{Prefix: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Device: "eth0"},
			"::/0 via fe80::1 dev eth0",
		},
		{"a default route of a device", "default dev tun0", Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Device: "tun0"}, "0.0.0.0/0 dev tun0"},
		{
			"a host, and words in any order", "198.51.100.7 table main  metric 5 src 192.0.2.10 dev eth0 via 192.0.2.254",
			Route{
				Prefix: netip.MustParsePrefix("198.51.100.7/32"), Gateway: netip.MustParseAddr("192.0.2.254"), Device: "eth0",
				Source: netip.MustParseAddr("192.0.2.10"), Metric: 5, Table: 254,
			},
			"198.51.100.7/32 via 192.0.2.254 dev eth0 src 192.0.2.10 metric 5 table 254",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Route
			if err := got.UnmarshalText([]byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != tt.says {
				t.Errorf("%q, want %q", got, tt.says)
			}
		})
	}
}

// FuzzRoute holds that what is read is written and read back alike.
func FuzzRoute(f *testing.F) {
	for _, text := range []string{
		"default via 192.0.2.254", "198.51.100.0/24 via 192.0.2.254 dev eth0 src 192.0.2.10 metric 5 table 100",
		"2001:db8:1::/48 via fe80::1 dev eth1", "198.51.100.7/24 dev eth0", "::ffff:192.0.2.0/120 dev eth0", "default",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, back Route
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("%q is read as %q, and that as %q, error %v", text, r, back, err)
		}
	})
}
