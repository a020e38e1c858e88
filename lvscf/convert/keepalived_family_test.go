package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keepalived -t says of the second family: address family must match VRRP
// instance, ignoring.
func TestAnInstanceAdvertisesOneFamily(t *testing.T) {
	for name, tt := range map[string]struct {
		list    string
		version uint8
		carried []string
		lost    string
	}{
		"IPv4 first": {"10.1.0.1/24\n2001:db8::1/64\n10.1.0.2/24", 2, []string{"10.1.0.1/24", "10.1.0.2/24"}, "2001:db8::1/64"},
		"IPv6 first": {"2001:db8::1/64\n10.1.0.1/24", 3, []string{"2001:db8::1/64"}, "10.1.0.1/24"},
		"excluded":   {"10.1.0.1/24\n}\nvirtual_ipaddress_excluded {\n2001:db8::1/64", 2, []string{"10.1.0.1/24", "2001:db8::1/64"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := "vrrp_instance B {\ninterface eth1\nvirtual_router_id 52\npriority 100\nvirtual_ipaddress {\n" + tt.list + "\n}\n}\n"
			cfg, losses, err := FromKeepalived("a.conf", []byte(src), KeepalivedOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var carried []string
			for _, a := range cfg.VRRPs[0].Addresses {
				carried = append(carried, a.Prefix.String())
			}
			for _, a := range cfg.FloatingAddresses {
				carried = append(carried, a.Prefix.String())
			}
			if diff := cmp.Diff(tt.carried, carried); diff != "" || cfg.VRRPs[0].Version != tt.version {
				t.Errorf("version %d, want %d; addresses (-want +got):\n%s", cfg.VRRPs[0].Version, tt.version, diff)
			}
			if got := losses.String(); tt.lost == "" && got != "" || !strings.Contains(got, tt.lost) || tt.lost != "" && !strings.Contains(got, "one family") {
				t.Errorf("losses:\n%s", got)
			}
		})
	}
}
