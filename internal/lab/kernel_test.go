//go:build linux && kernel

package lab

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKernelClusterCarries(t *testing.T) { clusterCarries(t) }

func TestKernelDialFromPicks(t *testing.T) { dialFromPicks(t) }

// TestKernelClusterBalances proves the cluster with the kernel's own load
// balancing, set up by the usual tool: NAT from port 80 to port 8080.
func TestKernelClusterBalances(t *testing.T) {
	c := NewCluster(t)
	d := &c.Directors[0]
	c.GiveVIPs(d)
	for _, tt := range []struct {
		name   string
		vip    netip.Addr
		server func(Node) netip.Addr
	}{
		{"IPv4", c.VIPs.Public, func(n Node) netip.Addr { return n.Private }},
		{"IPv6", c.VIPs.Public6, func(n Node) netip.Addr { return n.Private6 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vip := netip.AddrPortFrom(tt.vip, 80)
			d.Run("ipvsadm", "-A", "-t", vip.String(), "-s", "rr")
			want := map[string]int{}
			for _, s := range c.Servers {
				at := netip.AddrPortFrom(tt.server(s), 8080)
				serve(t, s.Namespace, at, s.Name())
				d.Run("ipvsadm", "-a", "-t", vip.String(), "-r", at.String(), "-m")
				want[s.Name()] = 3
			}
			got := map[string]int{}
			for range 9 {
				text, err := get(t, c.Client, vip)
				if err != nil {
					t.Fatal(err)
				}
				got[text]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers by server (-want +got):\n%s", diff)
			}
		})
	}
}
