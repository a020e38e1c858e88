package ipvstest

import (
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

func testDestinations(t *testing.T, api API) {
	ctx := t.Context()
	for _, key := range []ipvs.ServiceKey{ipvs.TCPService(vip4), ipvs.MarkService(9)} {
		ok(t, api.AddService(ctx, basic(key)))
		for _, d := range sampleDestinations() {
			ok(t, api.AddDestination(ctx, key, d))
			same(t, "after the add", d, destinations(t, api, key)[0])
		}
		for _, d := range sampleDestinations() {
			ok(t, api.DelDestination(ctx, key, d.Key))
		}
		same(t, "after all deletions", nil, destinations(t, api, key))
	}
	for _, key := range []ipvs.ServiceKey{ipvs.TCPService(vip6), ipvs.MarkService6(9)} {
		ok(t, api.AddService(ctx, basic(key)))
		want := []ipvs.Destination{
			{Key: real4, Forward: ipvs.Tunnel, Weight: 1},
			{Key: real6, Forward: ipvs.Masquerade, Weight: 1},
		}
		ok(t, api.AddDestination(ctx, key, want[1]))
		ok(t, api.AddDestination(ctx, key, want[0]))
		same(t, "both families", want, destinations(t, api, key))
		ok(t, api.DelDestination(ctx, key, real4))
		same(t, "one family left", want[1:], destinations(t, api, key))
	}

	// A set replaces all; tunnel options go with the method.
	key := ipvs.TCPService(vip4)
	ok(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real4, Weight: 1}))
	for _, d := range sampleDestinations() {
		if d.Key.Addr().Is6() {
			continue
		}
		d.Key = real4
		ok(t, api.SetDestination(ctx, key, d))
		same(t, "after the set", []ipvs.Destination{d}, destinations(t, api, key))
	}
	gue := ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080}
	ok(t, api.SetDestination(ctx, key, ipvs.Destination{Key: real4, Forward: ipvs.Tunnel, Tunnel: gue}))
	ok(t, api.SetDestination(ctx, key, ipvs.Destination{Key: real4, Forward: ipvs.DirectRoute, Tunnel: gue}))
	same(t, "a method without tunnel", []ipvs.Destination{{Key: real4, Forward: ipvs.DirectRoute}}, destinations(t, api, key))
	// An upper threshold alone reads back alone: what a kernel uses for the
	// lower one must not look like a change.
	upper := ipvs.Destination{Key: real4, Weight: 1, UpperThreshold: 100}
	ok(t, api.SetDestination(ctx, key, upper))
	same(t, "upper threshold alone", []ipvs.Destination{upper}, destinations(t, api, key))
}

func testDestinationErrors(t *testing.T, api API) {
	ctx := t.Context()
	key, absent := ipvs.TCPService(vip4), ipvs.UDPService(vip4)
	key6 := ipvs.TCPService(vip6)
	ok(t, api.AddService(ctx, basic(key)))
	ok(t, api.AddService(ctx, basic(key6)))
	d := ipvs.Destination{Key: real4, Weight: 1}
	ok(t, api.AddDestination(ctx, key, d))

	expect(t, api.AddDestination(ctx, key, d), ipvs.OpAddDestination, ipvs.ErrDestinationExists, fs.ErrExist, syscall.EEXIST)
	expect(t, api.AddDestination(ctx, absent, d), ipvs.OpAddDestination, ipvs.ErrServiceNotFound, fs.ErrNotExist, syscall.ESRCH)
	expect(t, api.SetDestination(ctx, absent, d), ipvs.OpSetDestination, ipvs.ErrServiceNotFound, syscall.ESRCH)
	expect(t, api.DelDestination(ctx, absent, d.Key), ipvs.OpDelDestination, ipvs.ErrServiceNotFound, syscall.ESRCH)
	other := d
	other.Key = netip.AddrPortFrom(d.Key.Addr(), 1)
	expect(t, api.SetDestination(ctx, key, other), ipvs.OpSetDestination, ipvs.ErrDestinationNotFound, fs.ErrNotExist, syscall.ENOENT)
	expect(t, api.DelDestination(ctx, key, other.Key), ipvs.OpDelDestination, ipvs.ErrDestinationNotFound, syscall.ENOENT)
	expect(t, api.DelDestination(ctx, key, real6), ipvs.OpDelDestination, ipvs.ErrDestinationNotFound, syscall.ENOENT)

	for _, s := range []string{"0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80"} {
		bad := ipvs.Destination{Key: netip.MustParseAddrPort(s), Weight: 1}
		expect(t, api.AddDestination(ctx, key, bad), ipvs.OpAddDestination, ipvs.ErrInvalid, syscall.EINVAL)
	}
	for _, s := range []string{"[::]:80", "[ff02::1]:80", "[fe80::1234]:80"} {
		bad := ipvs.Destination{Key: netip.MustParseAddrPort(s), Weight: 1}
		expect(t, api.AddDestination(ctx, key6, bad), ipvs.OpAddDestination, ipvs.ErrInvalid, syscall.EINVAL)
	}
	for _, m := range []ipvs.ForwardMethod{ipvs.Masquerade, ipvs.Local, ipvs.DirectRoute, ipvs.Bypass} {
		expect(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real6, Forward: m}), ipvs.OpAddDestination, ipvs.ErrInvalid, syscall.EINVAL)
		expect(t, api.AddDestination(ctx, key6, ipvs.Destination{Key: real4, Forward: m}), ipvs.OpAddDestination, ipvs.ErrInvalid, syscall.EINVAL)
		expect(t, api.SetDestination(ctx, key, ipvs.Destination{Key: real6, Forward: m}), ipvs.OpSetDestination, ipvs.ErrInvalid, syscall.EINVAL)
	}
	for _, bad := range []struct {
		d     ipvs.Destination
		errno syscall.Errno
	}{
		{ipvs.Destination{}, syscall.EINVAL},
		{ipvs.Destination{Key: netip.MustParseAddrPort("[::ffff:10.0.0.1]:80")}, syscall.EINVAL},
		{ipvs.Destination{Key: netip.MustParseAddrPort("[fe80::1%lo]:80")}, syscall.EINVAL},
		{ipvs.Destination{Key: real4, Forward: 8}, syscall.EINVAL},
		{ipvs.Destination{Key: real4, Weight: -1}, syscall.ERANGE},
		{ipvs.Destination{Key: real4, UpperThreshold: ipvs.MaxThreshold + 1}, syscall.EINVAL},
		{ipvs.Destination{Key: real4, UpperThreshold: 1, LowerThreshold: 2}, syscall.ERANGE},
		{ipvs.Destination{Key: real4, LowerThreshold: 1}, syscall.ERANGE},
		{ipvs.Destination{Key: real4, Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE}}, syscall.EINVAL},
	} {
		expect(t, api.AddDestination(ctx, key, bad.d), ipvs.OpAddDestination, ipvs.ErrInvalid, fs.ErrInvalid, bad.errno)
		expect(t, api.SetDestination(ctx, key, bad.d), ipvs.OpSetDestination, ipvs.ErrInvalid, bad.errno)
	}
	expect(t, api.DelDestination(ctx, key, netip.AddrPort{}), ipvs.OpDelDestination, ipvs.ErrInvalid)
	expect(t, api.AddDestination(ctx, ipvs.ServiceKey{}, d), ipvs.OpAddDestination, ipvs.ErrInvalid)
	same(t, "destinations left", []ipvs.Destination{d}, destinations(t, api, key))
}

func testOddAddresses(t *testing.T, api API) {
	ctx := t.Context()
	for _, c := range []struct {
		vip   netip.AddrPort
		addrs []string
	}{
		{vip4, []string{"0.1.2.3:80", "127.0.0.1:80", "169.254.1.1:80", "240.0.0.1:80"}},
		{vip6, []string{"[::1]:80", "[fd00::1]:80", "[64:ff9b::1]:80"}},
	} {
		key := ipvs.TCPService(c.vip)
		ok(t, api.AddService(ctx, basic(key)))
		for _, s := range c.addrs {
			d := ipvs.Destination{Key: netip.MustParseAddrPort(s), Weight: 1}
			ok(t, api.AddDestination(ctx, key, d))
			same(t, s, d, destinations(t, api, key)[0])
		}
	}
}

func testOrder(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	ok(t, api.AddService(ctx, basic(key)))
	var want []ipvs.Destination
	for i := range 4 {
		d := ipvs.Destination{Key: netip.AddrPortFrom(real4.Addr(), uint16(i+1)), Weight: 1}
		ok(t, api.AddDestination(ctx, key, d))
		want = append([]ipvs.Destination{d}, want...)
	}
	same(t, "after adds", want, destinations(t, api, key))
	// An edit does not move it, a delete and an add do.
	want[2].Weight = 0
	ok(t, api.SetDestination(ctx, key, want[2]))
	same(t, "after an edit", want, destinations(t, api, key))
	ok(t, api.DelDestination(ctx, key, want[3].Key))
	ok(t, api.AddDestination(ctx, key, want[3]))
	same(t, "after a return", []ipvs.Destination{want[3], want[0], want[1], want[2]}, destinations(t, api, key))
}

func testTimeouts(t *testing.T, api API) {
	ctx := t.Context()
	check := func(tcp, fin, udp time.Duration) {
		t.Helper()
		got, err := api.Timeouts(ctx)
		ok(t, err)
		same(t, "timeouts", ipvs.Timeouts{TCP: tcp, TCPFin: fin, UDP: udp}, got)
	}
	check(900*time.Second, 120*time.Second, 300*time.Second)
	ok(t, api.SetTimeouts(ctx, ipvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: 1500 * time.Millisecond}))
	check(time.Hour, time.Minute, 2*time.Second)
	ok(t, api.SetTimeouts(ctx, ipvs.Timeouts{UDP: time.Second}))
	check(time.Hour, time.Minute, time.Second)
	ok(t, api.SetTimeouts(ctx, ipvs.Timeouts{}))
	check(time.Hour, time.Minute, time.Second)
	for _, d := range []time.Duration{-1, (1<<31 - 1) * time.Second, 1 << 32 * time.Second} {
		for _, bad := range []ipvs.Timeouts{{TCP: d}, {TCPFin: d}, {UDP: d}} {
			expect(t, api.SetTimeouts(ctx, bad), ipvs.OpSetTimeouts, ipvs.ErrInvalid, syscall.EINVAL)
		}
	}
	check(time.Hour, time.Minute, time.Second)
	ok(t, api.SetTimeouts(ctx, ipvs.Timeouts{TCP: 900 * time.Second, TCPFin: 120 * time.Second, UDP: 300 * time.Second}))
}

func testInfo(t *testing.T, api API) {
	got, err := api.Info(t.Context())
	ok(t, err)
	if got.Version < 0x010200 || got.Version > 0x01ffff {
		t.Errorf("version %v, want 1.2 or a later 1", got.Version)
	}
	if n := got.ConnTableSize; n < 1<<8 || n&(n-1) != 0 {
		t.Errorf("connection table of %d buckets, want a power of two from 256", n)
	}
}

func testZero(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	ok(t, api.AddService(ctx, basic(key)))
	ok(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real4, Weight: 5}))
	ok(t, api.Zero(ctx, key))
	ok(t, api.ZeroAll(ctx))
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "the table stays", ipvs.Snapshot{{
		Service:      ipvs.ServiceState{Service: basic(key)},
		Destinations: []ipvs.DestinationState{{Destination: ipvs.Destination{Key: real4, Weight: 5}}},
	}}, snap)
	expect(t, api.Zero(ctx, ipvs.MarkService(1)), ipvs.OpZero, ipvs.ErrServiceNotFound, syscall.ESRCH)
}

// table returns n services of m destinations each.
func table(n, m int) ipvs.Table {
	tab := make(ipvs.Table, n)
	for i := range tab {
		vip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 60000)})
		tab[i].Service = basic(ipvs.TCPService(netip.AddrPortFrom(vip, uint16(1+i%60000))))
		for j := range m {
			ip := netip.AddrFrom4([4]byte{10, byte(j >> 16), byte(j >> 8), byte(j)})
			tab[i].Destinations = append(tab[i].Destinations, ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: 1 + j%7})
		}
	}
	return tab
}

func testSnapshot(t *testing.T, api API) {
	ctx := t.Context()
	var want ipvs.Table
	for i, s := range sampleServices() {
		e := ipvs.Entry{Service: s, Destinations: []ipvs.Destination{}}
		ok(t, api.AddService(ctx, s))
		for j := range i % 3 {
			d := ipvs.Destination{Key: real4, Weight: j}
			if s.Key.Is6() {
				d.Key = real6
			}
			d.Key = netip.AddrPortFrom(d.Key.Addr(), uint16(1000-j))
			ok(t, api.AddDestination(ctx, s.Key, d))
			e.Destinations = append([]ipvs.Destination{d}, e.Destinations...)
		}
		want = append(want, e)
	}
	sortTable(want)
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "table", want, snap.Table())
}

func testLarge(t *testing.T, api API) {
	ctx := t.Context()
	// More services, and more destinations of one, than one answer holds.
	want := append(table(300, 1), ipvs.Entry{Service: basic(ipvs.MarkService(1))})
	last := &want[len(want)-1]
	for i := range 500 {
		ip := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		last.Destinations = append(last.Destinations, ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: i})
	}
	ok(t, api.Apply(ctx, ipvs.Diff(nil, want, nil)))
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	sortTable(want)
	same(t, "table", want, snap.Table())
	states, err := collect(api.Services(ctx))
	ok(t, err)
	if len(states) != len(want) {
		t.Errorf("%d services listed, want %d", len(states), len(want))
	}
	for i := range 500 { // and one at a time while others come and go
		if i%100 == 0 {
			ok(t, api.DelDestination(ctx, last.Service.Key, last.Destinations[i].Key))
		}
	}
	if got := len(destinations(t, api, ipvs.MarkService(1))); got != 495 {
		t.Errorf("%d destinations after deletions, want 495: %v", got, fmt.Sprint(snap[0].Service.Key))
	}
}
