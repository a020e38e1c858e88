package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

var cmpAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestApplyRefusesWhatTheKernelRefuses(t *testing.T) {
	b := newBalancer(t, nil)
	d1, d2 := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	s := tcpService(t, b, "rr", dest(d1, 1))
	other := ipvs.Service{Key: ipvs.TCPService(netip.MustParseAddrPort("127.0.0.9:9"))}
	tests := []struct {
		name   string
		change ipvs.Change
		want   error
	}{
		{"add of an existing service", addService(s), ipvs.ErrServiceExists},
		{"set of an absent service", change(ipvs.OpSetService, other, ipvs.Destination{}), ipvs.ErrServiceNotFound},
		{"delete of an absent service", change(ipvs.OpDelService, other, ipvs.Destination{}), ipvs.ErrServiceNotFound},
		{"add to an absent service", change(ipvs.OpAddDestination, other, dest(d1, 1)), ipvs.ErrServiceNotFound},
		{"add of an existing destination", change(ipvs.OpAddDestination, s, dest(d1, 1)), ipvs.ErrDestinationExists},
		{"set of an absent destination", change(ipvs.OpSetDestination, s, dest(d2, 1)), ipvs.ErrDestinationNotFound},
		{"delete of an absent destination", change(ipvs.OpDelDestination, s, dest(d2, 1)), ipvs.ErrDestinationNotFound},
		{"unknown scheduler", change(ipvs.OpSetService, ipvs.Service{Key: s.Key, Scheduler: "x"}, ipvs.Destination{}), sched.ErrUnknownScheduler},
		{"unknown operation", ipvs.Change{Op: 99, Service: s}, ipvs.ErrInvalid},
		{"weight below 0", change(ipvs.OpSetDestination, s, dest(d1, -1)), ipvs.ErrInvalid},
		{"threshold that newer kernels refuse", change(ipvs.OpAddDestination, s, ipvs.Destination{Key: d2, UpperThreshold: 1 << 31}), ipvs.ErrInvalid},
		{"unknown forwarding method", change(ipvs.OpAddDestination, s, ipvs.Destination{Key: d2, Forward: 9}), ipvs.ErrInvalid},
		{"mapped address", change(ipvs.OpAddDestination, s, dest(netip.MustParseAddrPort("[::ffff:127.0.0.1]:2"), 1)), ipvs.ErrInvalid},
		{"the service itself", change(ipvs.OpAddDestination, s, dest(s.Key.Addr, 1)), ipvs.ErrInvalid},
		{"the service itself by port 0", change(ipvs.OpAddDestination, s, dest(netip.AddrPortFrom(s.Key.Addr.Addr(), 0), 1)), ipvs.ErrInvalid},
		{"address of no host", change(ipvs.OpAddDestination, s, dest(netip.MustParseAddrPort("0.0.0.0:1"), 1)), ipvs.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := entry(t, b, s.Key)
			err := b.Apply(t.Context(), []ipvs.Change{tt.change})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.change.Service.Key.String()) {
				t.Errorf("%q does not name the service", err)
			}
			if diff := cmp.Diff(before, entry(t, b, s.Key), cmpAddr); diff != "" {
				t.Errorf("the table changed (-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range []ipvs.Destination{
		dest(d2, -1),
		{Key: d2, LowerThreshold: 1},
		dest(netip.AddrPort{}, 1),
		dest(netip.MustParseAddrPort("224.0.0.1:1"), 1), dest(netip.MustParseAddrPort("0.0.0.0:1"), 1),
		dest(s.Key.Addr, 1), dest(netip.AddrPortFrom(s.Key.Addr.Addr(), 0), 1),
	} {
		if err := b.Apply(t.Context(), []ipvs.Change{change(ipvs.OpAddDestination, s, bad)}); err == nil {
			t.Errorf("add of %+v succeeded", bad)
		}
	}
}

func TestApplyGoesOnBehindAnError(t *testing.T) {
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr")
	d := netip.MustParseAddrPort("127.0.0.1:1")
	err := b.Apply(t.Context(), []ipvs.Change{
		change(ipvs.OpDelDestination, s, dest(d, 1)),
		change(ipvs.OpAddDestination, s, dest(d, 7)),
		addService(s),
	})
	if !errors.Is(err, ipvs.ErrDestinationNotFound) || !errors.Is(err, ipvs.ErrServiceExists) {
		t.Errorf("both errors are wanted: %v", err)
	}
	if got := state(t, b, s, d).Weight; got != 7 {
		t.Errorf("weight %d, want 7", got)
	}
}

func TestApplyStopsWhenItsContextEnds(t *testing.T) {
	b := newBalancer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := ipvs.Service{Key: ipvs.TCPService(freePort(t, "tcp"))}
	err := b.Apply(ctx, []ipvs.Change{addService(s)})
	wantCause(t, err, ipvs.OpApply, context.Canceled)
	if e, ok := errors.AsType[*ipvs.ApplyError](err); !ok || e.Unsent != 1 {
		t.Errorf("got %v, want one change not sent", err)
	}
	if snap, err := b.Snapshot(t.Context()); err != nil || len(snap) != 0 {
		t.Errorf("snapshot %v, %v", snap, err)
	}
	_, err = b.Snapshot(ctx)
	wantCause(t, err, ipvs.OpListServices, context.Canceled)
}

// wantCause wants an error as the kernel's client has it: with the command.
func wantCause(t *testing.T, err error, op ipvs.Op, cause error) {
	t.Helper()
	e, ok := errors.AsType[*ipvs.OpError](err)
	if !ok || e.Op != op || !errors.Is(e, cause) || !errors.Is(err, cause) {
		t.Errorf("got %v, want %v to fail of: %v", err, op, cause)
	}
}

func TestUnsupportedParts(t *testing.T) {
	b := newBalancer(t, nil)
	addr := freePort(t, "tcp")
	for name, s := range map[string]ipvs.Service{
		"firewall mark":  {Key: ipvs.MarkService(7)},
		"firewall mark6": {Key: ipvs.MarkService6(7)},
		"sctp":           {Key: ipvs.SCTPService(addr)},
		"port 0":         {Key: ipvs.TCPService(netip.AddrPortFrom(addr.Addr(), 0))},
		"engine":         {Key: ipvs.UDPService(addr), Engine: "sip"},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.Apply(t.Context(), []ipvs.Change{addService(s)})
			var u *UnsupportedError
			if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &u) {
				t.Fatalf("got %v", err)
			}
			cure := map[string]string{"firewall mark": "Listen", "firewall mark6": "Listen", "port 0": "Listen", "sctp": "kernel", "engine": "leave it out"}[name]
			if !strings.Contains(err.Error(), cure) {
				t.Errorf("%q does not say what to do", err)
			}
		})
	}
	for name, s := range map[string]ipvs.Service{
		"no key":               {},
		"negative persistence": {Key: ipvs.TCPService(addr), Persistence: -time.Second},
		"prefix of 33":         {Key: ipvs.TCPService(addr), PersistencePrefix: 33},
	} {
		if err := b.Apply(t.Context(), []ipvs.Change{addService(s)}); err == nil {
			t.Errorf("%s: add succeeded", name)
		}
	}
}

func TestListenErrorsSayTheCure(t *testing.T) {
	b := newBalancer(t, nil)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tests := []struct {
		name string
		key  ipvs.ServiceKey
		want error
		cure string
	}{
		{"tcp port taken", ipvs.TCPService(taken.Addr().(*net.TCPAddr).AddrPort()), syscall.EADDRINUSE, "another program"},
		{"udp port taken", ipvs.UDPService(udp.LocalAddr().(*net.UDPAddr).AddrPort()), syscall.EADDRINUSE, "another program"},
		// A documentation address is on no machine.
		{"address not here", ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:8080")), syscall.EADDRNOTAVAIL, "add it to an interface"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := b.Apply(t.Context(), []ipvs.Change{addService(ipvs.Service{Key: tt.key})})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.cure) || !strings.Contains(err.Error(), tt.key.String()) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.cure)
			}
		})
	}
	if err := listenErr(syscall.EACCES); !strings.Contains(err.Error(), "CAP_NET_BIND_SERVICE") || !errors.Is(err, syscall.EACCES) {
		t.Errorf("no permission: %v", err)
	}
	if snap, err := b.Snapshot(t.Context()); err != nil || len(snap) != 0 {
		t.Errorf("a failed service is in the table: %v, %v", snap, err)
	}
}

func TestDeletedServiceFreesItsAddressAtOnce(t *testing.T) {
	b := newBalancer(t, nil)
	for _, s := range []ipvs.Service{tcpService(t, b, "rr"), udpService(t, b, "rr")} {
		for range 20 {
			apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}), addService(s))
		}
	}
}

func TestSnapshotGivesBackTheConfiguration(t *testing.T) {
	b := newBalancer(t, nil)
	addr := freePort(t, "tcp")
	s := ipvs.Service{Key: ipvs.TCPService(addr), Scheduler: "wrr", Persistence: 60 * time.Second, PersistencePrefix: 24, Flags: ipvs.Sched1}
	d1 := ipvs.Destination{Key: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 3, Forward: ipvs.DirectRoute, UpperThreshold: 9, LowerThreshold: 4}
	d2 := ipvs.Destination{Key: netip.MustParseAddrPort("10.0.0.2:0"), Weight: 0}
	startService(t, b, s, d1, d2)
	u := startService(t, b, ipvs.Service{Key: ipvs.UDPService(freePort(t, "udp"))})
	u.Scheduler = "wlc" // What an empty one stands for.
	snap, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := ipvs.Table{{Service: s, Destinations: []ipvs.Destination{d2, d1}}, {Service: u, Destinations: []ipvs.Destination{}}}
	if diff := cmp.Diff(want, snap.Table(), cmpAddr); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	d1.Weight, s.Scheduler, s.Persistence, s.PersistencePrefix = 5, "lc", 0, 0
	apply(t, b, change(ipvs.OpSetDestination, s, d1), change(ipvs.OpSetService, s, ipvs.Destination{}), change(ipvs.OpDelDestination, s, d2))
	e := entry(t, b, s.Key)
	want = ipvs.Table{{Service: s, Destinations: []ipvs.Destination{d1}}}
	if diff := cmp.Diff(want, ipvs.Snapshot{e}.Table(), cmpAddr); diff != "" {
		t.Errorf("table after edits (-want +got):\n%s", diff)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{{ConnectTimeout: -1}, {IdleTimeout: -1}, {FinTimeout: -1}, {UDPTimeout: -1}, {MaxConnections: -1}, {MaxSessions: -1}, {MaxTemplates: -1}, {Rules: 9}} {
		if _, err := New(&c); err == nil {
			t.Errorf("New(%+v) succeeded", c)
		}
	}
}

func TestClosedBalancer(t *testing.T) {
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	err := b.Apply(t.Context(), []ipvs.Change{addService(s)})
	wantCause(t, err, ipvs.OpApply, ErrClosed)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("apply: %v, want a %v", err, net.ErrClosed)
	}
	_, err = b.Snapshot(t.Context())
	wantCause(t, err, ipvs.OpListServices, ErrClosed)
}

// The kernel's estimator: each two seconds a quarter of the way to the
// sample. 400 connections in two seconds are 200 a second, of which the first
// estimate shows a quarter.
func TestRatesAreTheKernelsEstimate(t *testing.T) {
	var s stats
	s.connections.Add(400)
	s.moved(4000, true)
	s.estimate()
	got := s.snapshot()
	want := ipvs.Stats{Connections: 400, InPackets: 1, InBytes: 4000, CPS: 50, InBPS: 500}
	// One packet: 2^9/4 = 128, and (128+0x1FF)>>10 is 0.
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first estimate (-want +got):\n%s", diff)
	}
	for range 60 {
		s.connections.Add(400)
		s.estimate()
	}
	if got := s.snapshot(); got.CPS != 200 || got.InBPS != 0 {
		t.Errorf("after two minutes: %d connections and %d bytes a second, want 200 and 0", got.CPS, got.InBPS)
	}
}
