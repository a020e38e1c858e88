package director

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

// Addresses that are held on a device without a carrier are told of, with the
// directive that would let the other router take over.
func TestHeldWhereNobodyReachesThem(t *testing.T) {
	const up = net.FlagUp | net.FlagRunning
	at := func(held bool, device string, addresses ...string) (list []failover.AddressStatus) {
		for _, a := range addresses {
			list = append(list, failover.AddressStatus{VirtualAddress: failover.VirtualAddress{Prefix: netip.MustParsePrefix(a), Device: device}, Held: held})
		}
		return list
	}
	of := func(list []failover.AddressStatus) polled {
		return polled{node: failover.Status{Serving: true, Addresses: list}}
	}
	pair := Setup{Heartbeat: Heartbeat{Enabled: true}}
	watched := pair
	watched.Links[0] = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	const cure = "; monitor_links = 1 lets the other router take over"
	one := at(true, "eth0", "192.0.2.100/24")
	for _, tt := range []struct {
		name  string
		setup Setup
		p     polled
		eth0  net.Flags
		err   error
		want  []string
	}{
		{"all is well", pair, of(one), up, nil, nil},
		{"no carrier", pair, of(one), net.FlagUp, nil, []string{"eth0 has no carrier: nobody reaches 192.0.2.100/24" + cure}},
		{"down", pair, of(one), 0, nil, []string{"eth0 is down: nobody reaches 192.0.2.100/24" + cure}},
		{"links that are watched", watched, of(one), net.FlagUp, nil, []string{"eth0 has no carrier: nobody reaches 192.0.2.100/24"}},
		{"no partner", Setup{}, of(one), net.FlagUp, nil, []string{"eth0 has no carrier: nobody reaches 192.0.2.100/24"}},
		{"not held", pair, of(at(false, "eth0", "192.0.2.100/24")), net.FlagUp, nil, nil},
		{"not serving", pair, polled{node: failover.Status{Addresses: one}}, net.FlagUp, nil, nil},
		{"on another device", pair, of(at(true, "eth1", "192.0.2.100/24")), net.FlagUp, nil, nil},
		{"not known", pair, of(one), net.FlagUp, errors.New("no right to look"), nil},
		{"a router of VRRP", Setup{Routers: []RouterSetup{{}}}, polled{routers: []failover.RouterStatus{{}, {Serving: true, Addresses: one}}}, net.FlagUp, nil, []string{"eth0 has no carrier: nobody reaches 192.0.2.100/24"}},
		{
			"many addresses", pair, of(at(true, "eth0", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32", "192.0.2.6/32")), net.FlagUp, nil,
			[]string{"eth0 has no carrier: nobody reaches 192.0.2.1/32, 192.0.2.2/32, 192.0.2.3/32, 192.0.2.4/32 and 2 more" + cure},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dead := tt.p.deadLinks(func() ([]net.Interface, error) {
				if tt.err != nil {
					return nil, tt.err
				}
				return []net.Interface{{Name: "lo", Flags: up}, {Name: "eth0", Flags: tt.eth0}, {Name: "eth1", Flags: up}}, nil
			})
			if diff := cmp.Diff(tt.want, tt.setup.unreachable(dead)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
