package ipvstest

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// Conformance checks that what open returns behaves like the kernel as far as
// the API shows it. Open is called once a subtest and returns an empty table
// with the kernel's default settings, which the test may change at will; it
// cleans up by itself. The caller's kernel must have the schedulers rr, wrr,
// wlc and sh, the persistence engine sip and IPv6, and a network device sync0
// with an MTU of 1500 and addresses of both families.
func Conformance(t *testing.T, open func(t *testing.T) API) {
	ConformanceWithout(t, nil, open)
}

// ConformanceWithout is [Conformance] for a data plane that is no kernel: the
// subtests named in without are left out, each for the reason given there. A
// name that no subtest has fails the test.
func ConformanceWithout(t *testing.T, without map[string]string, open func(t *testing.T) API) {
	left := maps.Clone(without)
	for _, c := range conformance() {
		if reason, ok := without[c.name]; ok {
			t.Logf("left out: %s: %s", c.name, reason)
			delete(left, c.name)
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
	for name := range left {
		t.Errorf("left out, but not in the suite: %s", name)
	}
}

type conformanceTest struct {
	name string
	test func(*testing.T, API)
}

func conformance() []conformanceTest {
	return []conformanceTest{
		{"services read back as they were set", testServices},
		{"a set replaces all of a service but its key", testSetService},
		{"services that are refused", testServiceErrors},
		{"an update changes a part of a service", testUpdateService},
		{"destinations read back as they were set", testDestinations},
		{"destinations that are refused", testDestinationErrors},
		{"an update changes a part of a destination", testUpdateDestination},
		{"odd addresses that are taken", testOddAddresses},
		{"the newest destination is listed first", testOrder},
		{"an empty service is not an absent one", testEmpty},
		{"deleting a service takes its destinations along", testDelete},
		{"timeouts", testTimeouts},
		{"info", testInfo},
		{"zeroing", testZero},
		{"sync daemons", testSync},
		{"sync daemons that are refused", testSyncErrors},
		{"a snapshot is ordered and complete", testSnapshot},
		{"a large table is listed whole", testLarge},
		{"an apply in several batches", testApply},
		{"an apply whose changes fail in places", testApplyFailures},
		{"an apply of which everything fails", testApplyAllFail},
		{"an apply that stops at the first failure", testApplyUntilFailure},
		{"an apply of the difference reaches the goal", testApplyDiff},
		{"each errno that a caller can cause", testErrnos},
		{"a cancelled context does nothing", testCancelled},
		{"an invalid value is said before a cancel", testCancelledAndInvalid},
		{"a call cut off at any point leaves the next one in order", testCutOff},
		{"commands inside a listing loop", testNested},
		{"concurrent calls", testConcurrent},
		{"a closed client", testClosed},
	}
}

var (
	vip4  = netip.MustParseAddrPort("192.0.2.1:80")
	vip6  = netip.MustParseAddrPort("[2001:db8::1]:80")
	real4 = netip.MustParseAddrPort("10.0.0.1:8080")
	real6 = netip.MustParseAddrPort("[fd00::1]:8080")
)

func basic(key ipvs.ServiceKey) ipvs.Service { return ipvs.Service{Key: key, Scheduler: "wlc"} }

// sampleServices is a service of each kind, and each setting at its limits.
func sampleServices() []ipvs.Service {
	return []ipvs.Service{
		basic(ipvs.TCPService(vip4)),
		basic(ipvs.TCPService(vip6)),
		{Key: ipvs.UDPService(vip4), Scheduler: "sh", Flags: ipvs.OnePacket | ipvs.SHFallback | ipvs.SHPort},
		{Key: ipvs.SCTPService(vip4), Scheduler: "rr", Persistence: 300 * time.Second},
		{Key: ipvs.UDPService(vip6), Scheduler: "wrr", Persistence: 7 * time.Second, PersistencePrefix: 64},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 443)), Scheduler: "rr", Persistence: time.Hour, PersistencePrefix: 24},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 444)), Scheduler: "rr", Persistence: time.Second, PersistencePrefix: 1},
		{Key: ipvs.UDPService(netip.AddrPortFrom(vip4.Addr(), 5060)), Scheduler: "rr", Flags: ipvs.OnePacket, Persistence: time.Minute, Engine: "sip"},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 0)), Scheduler: "wlc"},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 81)), Scheduler: "none"},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 82)), Scheduler: "wlc", Flags: 0xffffff00 | ipvs.Sched3},
		{Key: ipvs.MarkService(1), Scheduler: "wlc", Persistence: ipvs.MaxPersistence},
		{Key: ipvs.MarkService6(1), Scheduler: "wlc", Persistence: 5 * time.Second, PersistencePrefix: 127},
		{Key: ipvs.MarkService(1<<32 - 1), Scheduler: "rr"},
	}
}

func sampleDestinations() []ipvs.Destination {
	at := func(last byte, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), port)
	}
	return []ipvs.Destination{
		{Key: at(1, 80), Forward: ipvs.Masquerade, Weight: 1},
		{Key: at(1, 0), Forward: ipvs.Masquerade, Weight: 1},
		{Key: at(1, 65535), Forward: ipvs.DirectRoute, Weight: 0},
		{Key: at(2, 80), Forward: ipvs.DirectRoute, Weight: ipvs.MaxWeight},
		{Key: at(3, 80), Forward: ipvs.Local, Weight: 65536},
		{Key: at(4, 80), Forward: ipvs.Bypass, Weight: 1},
		{Key: at(5, 80), Forward: 7, Weight: 1},
		{Key: at(6, 80), Forward: ipvs.Tunnel, Weight: 1},
		{Key: at(7, 80), Forward: ipvs.Tunnel, Weight: 1, Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 1}},
		{Key: at(8, 80), Forward: ipvs.Tunnel, Weight: 1, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Flags: 1}},
		{Key: at(9, 80), Forward: ipvs.Tunnel, Weight: 1, Tunnel: ipvs.TunnelOptions{Type: 9, Port: 1, Flags: 258}},
		{Key: at(10, 80), Forward: ipvs.Masquerade, Weight: 3, UpperThreshold: 100, LowerThreshold: 50},
		{Key: at(11, 80), Forward: ipvs.Masquerade, Weight: 3, UpperThreshold: ipvs.MaxThreshold, LowerThreshold: ipvs.MaxThreshold},
		{Key: real6, Forward: ipvs.Tunnel, Weight: 2}, // the other family
	}
}

// expect fails the test unless err is an *OpError about op that is all of
// targets.
func expect(t *testing.T, err error, op ipvs.Op, targets ...error) {
	t.Helper()
	e, ok := errors.AsType[*ipvs.OpError](err)
	if !ok {
		t.Errorf("error is %T %v, want an *OpError of %v", err, err, op)
		return
	}
	if e.Op != op {
		t.Errorf("error %q is of %q, want %q", err, e.Op, op)
	}
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %q is not %q", err, target)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if d := cmp.Diff(want, got, equate); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

var equate = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b ipvs.ServiceKey) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// collect reads a listing whole.
func collect[T any](seq iter.Seq2[T, error]) (list []T, err error) {
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}

func destinations(t *testing.T, api API, of ipvs.ServiceKey) []ipvs.Destination {
	t.Helper()
	states, err := collect(api.Destinations(t.Context(), of))
	ok(t, err)
	var ds []ipvs.Destination
	for _, s := range states {
		ds = append(ds, s.Destination)
	}
	return ds
}

func testServices(t *testing.T, api API) {
	ctx := t.Context()
	want := sampleServices()
	for _, s := range want {
		ok(t, api.AddService(ctx, s))
		got, err := api.Service(ctx, s.Key)
		ok(t, err)
		same(t, s.Key.String(), ipvs.ServiceState{Service: s}, got)
	}
	states, err := collect(api.Services(ctx))
	ok(t, err)
	var got []ipvs.Service
	for _, s := range states {
		got = append(got, s.Service)
	}
	byKey := func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) }
	slices.SortFunc(want, byKey)
	slices.SortFunc(got, byKey)
	same(t, "all services", want, got)

	// What is not in normal form reads back in it.
	loose := ipvs.Service{Key: ipvs.MarkService(7), Persistence: 1500 * time.Millisecond, PersistencePrefix: 32}
	ok(t, api.AddService(ctx, loose))
	read, err := api.Service(ctx, loose.Key)
	ok(t, err)
	same(t, "defaults", ipvs.Service{Key: loose.Key, Scheduler: "wlc", Persistence: 2 * time.Second}, read.Service)
}

func testSetService(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.UDPService(vip4)
	rich := ipvs.Service{Key: key, Scheduler: "sh", Flags: ipvs.OnePacket | ipvs.SHPort, Persistence: time.Minute, PersistencePrefix: 8, Engine: "sip"}
	plain := ipvs.Service{Key: key, Scheduler: "rr"}
	ok(t, api.AddService(ctx, plain))
	ok(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real4, Weight: 1}))
	for _, s := range []ipvs.Service{rich, plain, rich} {
		ok(t, api.SetService(ctx, s))
		got, err := api.Service(ctx, key)
		ok(t, err)
		same(t, "service", s, got.Service)
	}
	same(t, "destinations", []ipvs.Destination{{Key: real4, Weight: 1}}, destinations(t, api, key))
}

func testServiceErrors(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	ok(t, api.AddService(ctx, basic(key)))
	absent := ipvs.UDPService(vip4)

	expect(t, api.AddService(ctx, basic(key)), ipvs.OpAddService, ipvs.ErrServiceExists, fs.ErrExist, syscall.EEXIST)
	expect(t, api.SetService(ctx, basic(absent)), ipvs.OpSetService, ipvs.ErrServiceNotFound, fs.ErrNotExist, syscall.ESRCH)
	expect(t, api.DelService(ctx, absent), ipvs.OpDelService, ipvs.ErrServiceNotFound, syscall.ESRCH)
	_, err := api.Service(ctx, absent)
	expect(t, err, ipvs.OpGetService, ipvs.ErrServiceNotFound, syscall.ESRCH)
	// An existing key is said before an unknown scheduler.
	unknown := basic(key)
	unknown.Scheduler = "nosuch"
	expect(t, api.AddService(ctx, unknown), ipvs.OpAddService, ipvs.ErrServiceExists, syscall.EEXIST)
	expect(t, api.SetService(ctx, unknown), ipvs.OpSetService, ipvs.ErrSchedulerNotFound, fs.ErrNotExist, syscall.ENOENT)
	unknown.Key = absent
	expect(t, api.AddService(ctx, unknown), ipvs.OpAddService, ipvs.ErrSchedulerNotFound, syscall.ENOENT)
	expect(t, api.SetService(ctx, unknown), ipvs.OpSetService, ipvs.ErrServiceNotFound, syscall.ESRCH)
	unknown.Scheduler, unknown.Engine = "rr", "nosuch"
	expect(t, api.AddService(ctx, unknown), ipvs.OpAddService, ipvs.ErrSchedulerNotFound, syscall.ENOENT)

	for _, bad := range []ipvs.Service{
		{},
		{Key: ipvs.ServiceKey{Protocol: ipvs.TCP}},
		{Key: ipvs.ServiceKey{Addr: vip4}},
		{Key: ipvs.ServiceKey{Mark6: true}},
		{Key: ipvs.ServiceKey{Mark: 1, Addr: vip4, Protocol: ipvs.TCP}},
		{Key: ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:80")}},
		{Key: absent, Scheduler: "sixteen-letters-"},
		{Key: absent, Scheduler: "w\x00lc"},
		{Key: absent, Engine: "sixteen-letters-"},
		{Key: absent, Flags: 1},
		{Key: absent, Persistence: -time.Second},
		{Key: absent, Persistence: ipvs.MaxPersistence + time.Second},
		{Key: absent, PersistencePrefix: -1},
		{Key: absent, PersistencePrefix: 33},
		{Key: ipvs.UDPService(vip6), PersistencePrefix: 129},
	} {
		expect(t, api.AddService(ctx, bad), ipvs.OpAddService, ipvs.ErrInvalid, fs.ErrInvalid, syscall.EINVAL)
	}
	expect(t, api.DelService(ctx, ipvs.ServiceKey{}), ipvs.OpDelService, ipvs.ErrInvalid)
	expect(t, api.Zero(ctx, ipvs.ServiceKey{}), ipvs.OpZero, ipvs.ErrInvalid)
	_, err = api.Service(ctx, ipvs.ServiceKey{})
	expect(t, err, ipvs.OpGetService, ipvs.ErrInvalid)
	_, err = collect(api.Destinations(ctx, ipvs.ServiceKey{}))
	expect(t, err, ipvs.OpListDestinations, ipvs.ErrInvalid)
	_, err = collect(api.Destinations(ctx, absent))
	expect(t, err, ipvs.OpListDestinations, ipvs.ErrServiceNotFound, syscall.ESRCH)

	states, err := collect(api.Services(ctx))
	ok(t, err)
	same(t, "services left", []ipvs.ServiceState{{Service: basic(key)}}, states)
}

func testEmpty(t *testing.T, api API) {
	ctx := context.WithoutCancel(t.Context())
	states, err := collect(api.Services(ctx))
	ok(t, err)
	same(t, "services of an empty table", nil, states)
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "snapshot of an empty table", ipvs.Snapshot{}, snap)
	key := ipvs.MarkService(3)
	ok(t, api.AddService(ctx, basic(key)))
	same(t, "destinations of an empty service", nil, destinations(t, api, key))
	snap, err = api.Snapshot(ctx)
	ok(t, err)
	same(t, "snapshot of an empty service", ipvs.Snapshot{{Service: ipvs.ServiceState{Service: basic(key)}, Destinations: []ipvs.DestinationState{}}}, snap)
	ok(t, api.DeleteEverything(ctx))
	_, err = collect(api.Destinations(ctx, key))
	expect(t, err, ipvs.OpListDestinations, ipvs.ErrServiceNotFound)
	ok(t, api.DeleteEverything(ctx))
	ok(t, api.ZeroAll(ctx))
}

func testDelete(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip6)
	ok(t, api.AddService(ctx, basic(key)))
	ok(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real6, Weight: 1}))
	ok(t, api.DelService(ctx, key))
	ok(t, api.AddService(ctx, basic(key)))
	same(t, "destinations", nil, destinations(t, api, key))
}
