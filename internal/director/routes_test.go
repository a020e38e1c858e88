package director

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/lvscf"
)

// Routes of the global section go with the pair, or with the block on their
// device, or else with the first one.
func TestRoutesOfASetup(t *testing.T) {
	const global = "route = \"198.51.100.0/24 via 10.0.0.254 dev eth1 src 192.0.2.10 metric 5 table 100\"\nroute = \"default via 192.0.2.254\"\n"
	const service = "virtual web {\nactive = 1\naddress = 192.0.2.10 eth0:1\nvrrp = outside\ncheck = none\nserver a {\nactive = 1\naddress = 10.0.0.1\n}\n}\n"
	const blocks = "failover_mode = vrrp\nvrrp outside {\ninterface = eth0\nvrid = 1\nroute = \"203.0.113.0/24 dev eth0\"\n}\n" +
		"vrrp inside {\ninterface = eth1\nvrid = 2\naddress = 10.0.0.100/24 eth1\n}\n"
	texts := func(list []failover.VirtualRoute) (out []string) {
		for _, r := range list {
			out = append(out, r.String())
		}
		return out
	}
	const far, first = "198.51.100.0/24 via 10.0.0.254 dev eth1 src 192.0.2.10 metric 5 table 100", "0.0.0.0/0 via 192.0.2.254"
	pair := setupOf(t, global+strings.Replace(service, "vrrp = outside\n", "", 1))
	if diff := cmp.Diff([]string{far, first}, texts(pair.Routes)); diff != "" {
		t.Errorf("of a pair (-want +got):\n%s", diff)
	}
	s := setupOf(t, global+blocks+service)
	if diff := cmp.Diff([][]string{nil, {"203.0.113.0/24 dev eth0", first}, {far}}, [][]string{texts(s.Routes), texts(s.Routers[0].Routes), texts(s.Routers[1].Routes)}); diff != "" {
		t.Errorf("of the pair, of outside, of inside (-want +got):\n%s", diff)
	}
	if len(s.Notes)+len(pair.Notes) > 0 {
		t.Errorf("notes %q and %q", s.Notes, pair.Notes)
	}
	conf, _ := lvscf.Load("lvs.cf", []byte(blocks+service))
	conf.VRRPs[1].Routes = conf.VRRPs[0].Routes
	if _, err := FromLVSCF(conf); err == nil || !strings.Contains(err.Error(), "moves with vrrp outside already") {
		t.Errorf("a route in two blocks: %v", err)
	}
}
