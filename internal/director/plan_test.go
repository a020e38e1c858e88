package director

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func dest(a string, weight int) ipvs.Destination {
	return ipvs.Destination{Key: addr(a), Weight: weight}
}

// webSetup is one service with servers a (weight 2) and b (weight 1).
func webSetup(change func(*VirtualService)) *Setup {
	v := VirtualService{
		Name:    "web",
		Service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.1:80")), Scheduler: "wlc"},
		Servers: []RealServer{
			{Name: "a", Destination: dest("10.0.0.1:80", 2)},
			{Name: "b", Destination: dest("10.0.0.2:80", 1)},
		},
	}
	if change != nil {
		change(&v)
	}
	return &Setup{Services: []VirtualService{v}}
}

// in finds the services of a table.
func in(t ipvs.Table) func(ipvs.ServiceKey) (ipvs.Entry, bool) {
	return func(k ipvs.ServiceKey) (ipvs.Entry, bool) {
		for _, e := range t {
			if e.Service.Key == k {
				return e, true
			}
		}
		return ipvs.Entry{}, false
	}
}

// planOf is the plan of servers of which only states are known.
func planOf(s *Setup, states func(service, server string) health.State, found func(ipvs.ServiceKey) (ipvs.Entry, bool)) ipvs.Table {
	known := func(v *VirtualService, r *RealServer) facts { return facts{state: states(v.Name, r.Name)} }
	t, _ := plan(s, stances{"": stanceServe}, known, nil, found, time.Time{})
	return t
}

// unchecked are sorry servers without checks.
func unchecked(ds ...ipvs.Destination) (out []RealServer) {
	for _, d := range ds {
		out = append(out, RealServer{Name: "sorry " + d.Key.String(), Destination: d})
	}
	return out
}

func TestPlan(t *testing.T) {
	sorry := dest("10.0.0.9:80", 1)
	withSorry := func(v *VirtualService) { v.Sorry = unchecked(sorry) }
	quiesce := func(v *VirtualService) { v.Quiesce = true }
	foreign := ipvs.Entry{Service: ipvs.Service{Key: ipvs.MarkService(7)}, Destinations: []ipvs.Destination{dest("10.9.9.9:0", 1)}}
	web := func(ds ...ipvs.Destination) ipvs.Table {
		return ipvs.Table{{Service: webSetup(nil).Services[0].Service, Destinations: ds}}
	}
	tests := []struct {
		name   string
		change func(*VirtualService)
		states map[string]health.State
		have   ipvs.Table
		want   ipvs.Table
	}{
		{
			name:   "up servers are in with their weights",
			states: map[string]health.State{"web/a": health.Up, "web/b": health.Up},
			want:   web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)),
		},
		{
			name:   "a down server is out",
			states: map[string]health.State{"web/a": health.Up, "web/b": health.Down},
			have:   web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)),
			want:   web(dest("10.0.0.1:80", 2)),
		},
		{
			name: "a quiesced server stays with weight 0", change: quiesce,
			states: map[string]health.State{"web/a": health.Up, "web/b": health.Down},
			want:   web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 0)),
		},
		{
			name:   "a server without a verdict stays out of an empty table",
			states: map[string]health.State{"web/a": health.Up},
			want:   web(dest("10.0.0.1:80", 2)),
		},
		{
			name: "a server without a verdict stays in a table that has it",
			have: web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)),
			want: web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)),
		},
		{
			name: "a server without a verdict stays quiesced", change: quiesce,
			have: web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 0)),
			want: web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 0)),
		},
		{
			name: "a new weight reaches a server without a verdict",
			have: web(dest("10.0.0.1:80", 5)),
			want: web(dest("10.0.0.1:80", 2)),
		},
		{
			name: "the sorry server stands in when all are down", change: withSorry,
			states: map[string]health.State{"web/a": health.Down, "web/b": health.Down},
			want:   web(sorry),
		},
		{
			name: "the sorry server leaves when one is up", change: withSorry,
			states: map[string]health.State{"web/a": health.Down, "web/b": health.Up},
			have:   web(sorry),
			want:   web(dest("10.0.0.2:80", 1)),
		},
		{
			name:   "the sorry server stands in beside quiesced ones",
			change: func(v *VirtualService) { quiesce(v); withSorry(v) },
			states: map[string]health.State{"web/a": health.Down, "web/b": health.Down},
			want:   web(dest("10.0.0.1:80", 0), dest("10.0.0.2:80", 0), sorry),
		},
		{
			name: "the sorry server waits while a running table has not been asked about", change: withSorry,
			states: map[string]health.State{"web/b": health.Down},
			have:   web(dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)),
			want:   web(dest("10.0.0.1:80", 2)),
		},
		{
			name:   "servers of weight 0 alone call for the sorry server",
			change: func(v *VirtualService) { withSorry(v); v.Servers[0].Destination.Weight = 0; v.Servers = v.Servers[:1] },
			states: map[string]health.State{"web/a": health.Up},
			want:   web(dest("10.0.0.1:80", 0), sorry),
		},
		{
			name:   "another program's service is no part of what is wanted",
			states: map[string]health.State{"web/a": health.Up},
			have:   ipvs.Table{foreign},
			want:   web(dest("10.0.0.1:80", 2)),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			states := func(service, server string) health.State { return tt.states[WatchID(service, server)] }
			got := planOf(webSetup(tt.change), states, in(tt.have))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			// What is wanted once is wanted again: a doubled fact is nothing.
			again := planOf(webSetup(tt.change), states, in(got))
			if diff := cmp.Diff(got, again, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan is not stable (-first +second):\n%s", diff)
			}
		})
	}
}
