package ipvs_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

var equate = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b ipvs.ServiceKey) bool { return a == b }),
}

func texts(changes []ipvs.Change) []string {
	list := []string{}
	for _, c := range changes {
		list = append(list, c.String())
	}
	return list
}

func TestDiff(t *testing.T) {
	a := ipvs.Service{Key: ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))}
	b := ipvs.Service{Key: ipvs.MarkService(2), Scheduler: "rr"}
	dest := func(n, weight int) ipvs.Destination {
		return ipvs.Destination{Key: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", n)), Weight: weight}
	}
	entry := func(s ipvs.Service, ds ...ipvs.Destination) ipvs.Entry {
		return ipvs.Entry{Service: s, Destinations: ds}
	}
	slow := a
	slow.Persistence, slow.PersistencePrefix = 1500*time.Millisecond, 32
	exact := a
	exact.Scheduler, exact.Persistence = "wlc", 2*time.Second
	mapped := ipvs.Destination{Key: netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"), Weight: 1}
	all := func(ipvs.ServiceKey) bool { return true }
	tests := []struct {
		name       string
		have, want ipvs.Table
		owned      func(ipvs.ServiceKey) bool
		changes    []string
	}{
		{"two empty tables", nil, nil, all, []string{}},
		{"everything is new, and ends in the order of want", nil, ipvs.Table{entry(a, dest(1, 1), dest(2, 1)), entry(b)}, nil, []string{
			"add service tcp/192.0.2.1:80: scheduler wlc",
			"add destination 10.0.0.2:80 of tcp/192.0.2.1:80: masquerade, weight 1",
			"add destination 10.0.0.1:80 of tcp/192.0.2.1:80: masquerade, weight 1",
			"add service fwmark/2: scheduler rr",
		}},
		{"order is no change", ipvs.Table{entry(a, dest(1, 1), dest(2, 1)), entry(b)}, ipvs.Table{entry(b), entry(a, dest(2, 1), dest(1, 1))}, all, []string{}},
		{"another form of the same", ipvs.Table{entry(exact, dest(1, 1))}, ipvs.Table{entry(slow, mapped)}, all, []string{}},
		{"adds, edits, deletes", ipvs.Table{entry(b), entry(a, dest(1, 1), dest(2, 1), dest(3, 1))}, ipvs.Table{entry(exact, dest(4, 1), dest(2, 0), dest(3, 1))}, all, []string{
			"set service tcp/192.0.2.1:80: persistence 0s -> 2s",
			"add destination 10.0.0.4:80 of tcp/192.0.2.1:80: masquerade, weight 1",
			"set destination 10.0.0.2:80 of tcp/192.0.2.1:80: weight 1 -> 0",
			"delete destination 10.0.0.1:80 of tcp/192.0.2.1:80",
			"delete service fwmark/2",
		}},
		{"others' services stay", ipvs.Table{entry(b, dest(1, 1))}, nil, nil, []string{}},
		{"others' services stay by name", ipvs.Table{entry(b), entry(a)}, nil, func(k ipvs.ServiceKey) bool { return k == a.Key }, []string{"delete service tcp/192.0.2.1:80"}},
		{"the last of equal keys counts", ipvs.Table{entry(a, dest(1, 1))}, ipvs.Table{entry(b), entry(a, dest(1, 7), dest(2, 1), dest(1, 3)), entry(b, dest(1, 1))}, nil, []string{
			"add destination 10.0.0.2:80 of tcp/192.0.2.1:80: masquerade, weight 1",
			"set destination 10.0.0.1:80 of tcp/192.0.2.1:80: weight 1 -> 3",
			"add service fwmark/2: scheduler rr",
			"add destination 10.0.0.1:80 of fwmark/2: masquerade, weight 1",
		}},
		{"a mapped address in a kernel is another one", ipvs.Table{entry(a, mapped)}, ipvs.Table{entry(a, dest(1, 1))}, nil, []string{
			"add destination 10.0.0.1:80 of tcp/192.0.2.1:80: masquerade, weight 1",
			"delete destination [::ffff:10.0.0.1]:80 of tcp/192.0.2.1:80",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := texts(ipvs.Diff(test.have, test.want, test.owned))
			if d := cmp.Diff(test.changes, got); d != "" {
				t.Errorf("changes (-want +got)\n%s", d)
			}
		})
	}
}

// randomTable draws few keys from a small space, so that tables overlap.
func randomTable(r *rand.Rand) ipvs.Table {
	var keys []ipvs.ServiceKey
	for i := range 4 {
		keys = append(keys,
			ipvs.TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(80+i))),
			ipvs.UDPService(netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), uint16(80+i))),
			ipvs.MarkService(uint32(1+i)), ipvs.MarkService6(uint32(1+i)))
	}
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	pick := func(names ...string) string { return names[r.IntN(len(names))] }
	var table ipvs.Table
	for _, key := range keys[:r.IntN(len(keys)+1)] {
		s := ipvs.Service{
			Key: key, Scheduler: pick("", "wlc", "rr"), Flags: ipvs.ServiceFlags(r.IntN(8)) << 2,
			Persistence:       time.Duration(r.IntN(3)) * 700 * time.Millisecond,
			PersistencePrefix: []int{0, 8, 32}[r.IntN(3)], Engine: pick("", "", "sip"),
		}
		var ds []ipvs.Destination
		for _, n := range r.Perm(8)[:r.IntN(9)] {
			ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + n)})
			method := ipvs.ForwardMethod(r.IntN(5))
			if key.Is6() {
				ip = netip.AddrFrom16([16]byte{0xfd, 15: byte(1 + n)})
			}
			d := ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Forward: method, Weight: r.IntN(3), UpperThreshold: uint32(r.IntN(2) * 10)}
			d.Tunnel.Type, d.Tunnel.Port = ipvs.TunnelType(r.IntN(3)), uint16(1+r.IntN(2))
			ds = append(ds, d)
		}
		table = append(table, ipvs.Entry{Service: s, Destinations: ds})
	}
	return table
}

// canonical is a table as it must read back, without regard to order.
func canonical(t ipvs.Table) ipvs.Table {
	c := ipvs.Table{}
	for _, e := range t {
		n := ipvs.Entry{Service: e.Service.Normalized(), Destinations: []ipvs.Destination{}}
		for _, d := range e.Destinations {
			n.Destinations = append(n.Destinations, d.Normalized())
		}
		slices.SortFunc(n.Destinations, func(a, b ipvs.Destination) int { return a.Key.Compare(b.Key) })
		c = append(c, n)
	}
	slices.SortFunc(c, func(a, b ipvs.Entry) int { return a.Service.Key.Compare(b.Service.Key) })
	return c
}

func TestDiffThenApplyReachesTheGoal(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	ctx := t.Context()
	owned := func(k ipvs.ServiceKey) bool { return !k.IsMark() }
	for round := range 300 {
		start, goal := randomTable(r), randomTable(r)
		failed := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d, round %d: %s", seed, round, fmt.Sprintf(format, args...))
		}
		k := ipvstest.New()
		if err := k.Apply(ctx, ipvs.Diff(nil, start, nil)); err != nil {
			failed("start: %v", err)
		}
		snap, _ := k.Snapshot(ctx)
		if again := ipvs.Diff(snap.Table(), start, owned); len(again) != 0 {
			failed("a table differs from itself: %v", again[0])
		}
		changes := ipvs.Diff(snap.Table(), goal, owned)
		k.ResetLog()
		if err := k.Apply(ctx, changes); err != nil {
			failed("apply: %v", err)
		}
		// Others' services stay; all else is the goal.
		want := slices.Clone(goal)
		for _, e := range start {
			wanted := slices.ContainsFunc(goal, func(g ipvs.Entry) bool { return g.Service.Key == e.Service.Key })
			if !wanted && !owned(e.Service.Key) {
				want = append(want, e)
			}
		}
		snap, _ = k.Snapshot(ctx)
		if d := cmp.Diff(canonical(want), canonical(snap.Table()), equate); d != "" {
			failed("table (-want +got)\n%s", d)
		}
		if n := len(k.Log()); n != len(changes) {
			failed("%d commands for %d changes", n, len(changes))
		}
		// Least: no object is touched twice.
		seen := map[string]bool{}
		for _, c := range changes {
			id := c.Service.Key.String() + " " + c.Destination.Key.String()
			if seen[id] {
				failed("%s is changed twice", id)
			}
			seen[id] = true
		}
		if again := ipvs.Diff(snap.Table(), goal, owned); len(again) != 0 {
			failed("it differs again: %v", again[0])
		}
	}
}

func bigTable(n, m int) ipvs.Table {
	t := make(ipvs.Table, n)
	for i := range t {
		t[i].Service = ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i+1))), Scheduler: "wlc"}
		for j := range m {
			ip := netip.AddrFrom4([4]byte{10, 0, byte(j >> 8), byte(j)})
			t[i].Destinations = append(t[i].Destinations, ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: 1})
		}
	}
	return t
}

func BenchmarkDiff(b *testing.B) {
	for _, size := range []struct{ services, destinations int }{{100, 100}, {1000, 10}} {
		name := fmt.Sprintf("%dx%d", size.services, size.destinations)
		want := bigTable(size.services, size.destinations)
		changed := bigTable(size.services, size.destinations)
		for i := range changed {
			changed[i].Destinations[i%size.destinations].Weight = 0
		}
		for _, c := range []struct {
			name string
			have ipvs.Table
		}{{"equal", want}, {"one weight a service", changed}, {"from empty", nil}} {
			b.Run(name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ipvs.Diff(c.have, want, nil)
				}
			})
		}
	}
}

// What is deleted can be read from the change, and so be brought back.
func TestDiffTellsWhatIsDeleted(t *testing.T) {
	key := ipvs.MarkService(7)
	service := ipvs.Service{Key: key, Scheduler: "sh", Flags: ipvs.SHPort}
	server := ipvs.Destination{Key: netip.MustParseAddrPort("10.0.0.1:80"), Forward: ipvs.DirectRoute, Weight: 3}
	have := ipvs.Table{{Service: service, Destinations: []ipvs.Destination{server}}}
	want := []ipvs.Change{{Op: ipvs.OpDelDestination, Service: ipvs.Service{Key: key}, Destination: server}}
	if diff := cmp.Diff(want, ipvs.Diff(have, ipvs.Table{{Service: service}}, nil), equate); diff != "" {
		t.Errorf("a server (-want +got):\n%s", diff)
	}
	want = []ipvs.Change{{Op: ipvs.OpDelService, Service: service}}
	if diff := cmp.Diff(want, ipvs.Diff(have, nil, func(ipvs.ServiceKey) bool { return true }), equate); diff != "" {
		t.Errorf("a service (-want +got):\n%s", diff)
	}
}
