package convert

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/lvscf"
)

// TestAddressThatIsNoneIsLost gives each form the addresses that an lvs.cf
// takes for none. What has one is left out and said to be, and the rest is
// carried.
func TestAddressThatIsNoneIsLost(t *testing.T) {
	ldirectord := func(src string) (*lvscf.Config, Losses, error) {
		return FromLdirectord("x", []byte(src), ImportOptions{Device: "eth0"})
	}
	keepalived := func(src string) (*lvscf.Config, Losses, error) {
		return FromKeepalived("x", []byte(src), KeepalivedOptions{})
	}
	rules := func(src string) (*lvscf.Config, Losses, error) {
		return FromIPVSAdm(t.Context(), "x", []byte(src), RuleOptions{ImportOptions: ImportOptions{Device: "eth0"}})
	}
	const none, none6 = "the address 0.0.0.0 is none", "the address :: is none"
	for _, c := range []struct {
		name string
		read func(string) (*lvscf.Config, Losses, error)
		src  string
		want string
		// virtuals and servers are what is left.
		virtuals, servers int
	}{
		{"rules, service", rules, "-A -t 0.0.0.0:1\n-a -t 0.0.0.0:1 -r 10.0.0.1 -m\n-A -t 192.0.2.1:80\n", none, 1, 0},
		{"rules, IPv6 service", rules, "-A -t [::]:1\n-A -t 192.0.2.1:80\n", none6, 1, 0},
		{"ldirectord, service", ldirectord, "virtual = 0.0.0.0:80\n\treal = 10.0.0.1:80 gate\nvirtual = 192.0.2.1:80\n\treal = 10.0.0.1:80 gate\n", none, 1, 1},
		{"ldirectord, IPv6 service", ldirectord, "virtual6 = [::]:80\nvirtual = 192.0.2.1:80\n\treal = 10.0.0.1:80 gate\n", none6, 1, 1},
		{"ldirectord, real", ldirectord, "virtual = 192.0.2.1:80\n\treal = 0.0.0.0:80 gate\n\treal = 10.0.0.1:80 gate\n", none, 1, 1},
		{"ldirectord, fallback", ldirectord, "virtual = 192.0.2.1:80\n\treal = 10.0.0.1:80 gate\n\tfallback = 0.0.0.0\n", none, 1, 1},
		{"ldirectord, page elsewhere", ldirectord, "virtual = 192.0.2.1:80\n\treal = 10.0.0.1:80 gate \"http://0.0.0.0/x\", \"y\"\n", none, 1, 1},
		{"keepalived, service", keepalived, "virtual_server 0.0.0.0 80 {\n real_server 10.0.0.1 80 {\n }\n}\nvirtual_server 192.0.2.1 80 {\n real_server 10.0.0.1 80 {\n }\n}\n", none, 1, 1},
		{"keepalived, IPv6 service", keepalived, "virtual_server :: 80 {\n real_server 2001:db8::1 80 {\n }\n}\n", none6, 0, 0},
		{"keepalived, group", keepalived, "virtual_server_group g {\n 0.0.0.0-2 80\n}\nvirtual_server group g {\n real_server 10.0.0.1 80 {\n }\n}\n", none, 2, 2},
		{"keepalived, servers", keepalived, "virtual_server 192.0.2.1 80 {\n sorry_server 0.0.0.0 80\n real_server 0.0.0.0 80 {\n }\n real_server 10.0.0.1 80 {\n }\n}\n", none, 1, 1},
		{"keepalived, vrrp", keepalived, "vrrp_instance v {\n virtual_router_id 5\n virtual_ipaddress {\n 0.0.0.0\n }\n unicast_peer {\n 0.0.0.0\n }\n}\n", none, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, losses, err := c.read(c.src)
			if err != nil {
				t.Fatal(err)
			}
			checkLosses(t, losses)
			if text := losses.String(); !strings.Contains(text, c.want) {
				t.Errorf("no loss says that %s:\n%s", c.want, text)
			}
			servers := 0
			for _, v := range cfg.Virtuals {
				servers += len(v.Servers)
			}
			if len(cfg.Virtuals) != c.virtuals || servers != c.servers {
				t.Errorf("%d virtual services with %d servers, want %d with %d", len(cfg.Virtuals), servers, c.virtuals, c.servers)
			}
			writtenAndRead(t, cfg)
		})
	}
}
