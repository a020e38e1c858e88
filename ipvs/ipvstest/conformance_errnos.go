package ipvstest

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// testErrnos holds each call to each errno that a caller can cause with it.
// What no call can cause (EAFNOSUPPORT, EOPNOTSUPP, EPERM, EBUSY, EMSGSIZE,
// ENOBUFS) is shown on the kernel below the API, and on the fake by
// [Kernel.FailNext].
func testErrnos(t *testing.T, api API) {
	ctx := t.Context()
	there, absent := ipvs.TCPService(vip4), ipvs.UDPService(vip4)
	ok(t, api.AddService(ctx, basic(there)))
	ok(t, api.AddDestination(ctx, there, ipvs.Destination{Key: real4, Weight: 1}))
	ok(t, api.StartSync(ctx, ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0"}))
	free := netip.AddrPortFrom(real4.Addr(), 9)
	add := func(d ipvs.Destination) func() error {
		return func() error { return api.AddDestination(ctx, there, d) }
	}
	set := func(d ipvs.Destination) func() error {
		return func() error { return api.SetDestination(ctx, there, d) }
	}
	start := func(d ipvs.SyncDaemon) func() error { return func() error { return api.StartSync(ctx, d) } }
	update := func(of ipvs.ServiceKey, d ipvs.DestinationKey, u ipvs.DestinationUpdate) func() error {
		return func() error { return api.UpdateDestination(ctx, of, d, u) }
	}
	whole := ipvs.DestinationUpdate{
		Forward: new(ipvs.Masquerade), Weight: new(1), UpperThreshold: new(uint32(0)), LowerThreshold: new(uint32(0)),
		Tunnel: new(ipvs.TunnelOptions{}),
	}
	unknown := ipvs.Service{Key: absent, Scheduler: "nosuch"}
	engine := ipvs.Service{Key: there, Engine: "nosuch"}
	for _, c := range []struct {
		do    func() error
		op    ipvs.Op
		errno syscall.Errno
		is    error
		kind  error
	}{
		{func() error { return api.AddService(ctx, basic(there)) }, ipvs.OpAddService, syscall.EEXIST, ipvs.ErrServiceExists, fs.ErrExist},
		{add(ipvs.Destination{Key: real4}), ipvs.OpAddDestination, syscall.EEXIST, ipvs.ErrDestinationExists, fs.ErrExist},
		{start(ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0"}), ipvs.OpStartSync, syscall.EEXIST, ipvs.ErrSyncRunning, fs.ErrExist},

		{func() error { _, err := api.Service(ctx, absent); return err }, ipvs.OpGetService, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.SetService(ctx, basic(absent)) }, ipvs.OpSetService, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.UpdateService(ctx, absent, ipvs.ServiceUpdate{}) }, ipvs.OpSetService, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.DelService(ctx, absent) }, ipvs.OpDelService, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.Zero(ctx, absent) }, ipvs.OpZero, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.AddDestination(ctx, absent, ipvs.Destination{Key: real4}) }, ipvs.OpAddDestination, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.SetDestination(ctx, absent, ipvs.Destination{Key: real4}) }, ipvs.OpSetDestination, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.DelDestination(ctx, absent, real4) }, ipvs.OpDelDestination, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{update(absent, real4, ipvs.DestinationUpdate{}), ipvs.OpSetDestination, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{update(absent, real4, whole), ipvs.OpSetDestination, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { _, err := collect(api.Destinations(ctx, absent)); return err }, ipvs.OpListDestinations, syscall.ESRCH, ipvs.ErrServiceNotFound, fs.ErrNotExist},
		{func() error { return api.StopSync(ctx, ipvs.SyncMaster) }, ipvs.OpStopSync, syscall.ESRCH, ipvs.ErrSyncNotRunning, fs.ErrNotExist},

		{set(ipvs.Destination{Key: free}), ipvs.OpSetDestination, syscall.ENOENT, ipvs.ErrDestinationNotFound, fs.ErrNotExist},
		{func() error { return api.DelDestination(ctx, there, free) }, ipvs.OpDelDestination, syscall.ENOENT, ipvs.ErrDestinationNotFound, fs.ErrNotExist},
		{update(there, free, ipvs.DestinationUpdate{}), ipvs.OpSetDestination, syscall.ENOENT, ipvs.ErrDestinationNotFound, fs.ErrNotExist},
		{update(there, free, whole), ipvs.OpSetDestination, syscall.ENOENT, ipvs.ErrDestinationNotFound, fs.ErrNotExist},
		{func() error { return api.AddService(ctx, unknown) }, ipvs.OpAddService, syscall.ENOENT, ipvs.ErrSchedulerNotFound, fs.ErrNotExist},
		{func() error { return api.SetService(ctx, engine) }, ipvs.OpSetService, syscall.ENOENT, ipvs.ErrSchedulerNotFound, fs.ErrNotExist},
		{func() error { return api.UpdateService(ctx, there, ipvs.ServiceUpdate{Scheduler: new("nosuch")}) }, ipvs.OpSetService, syscall.ENOENT, ipvs.ErrSchedulerNotFound, fs.ErrNotExist},

		// These reach the kernel; what Validate refuses has tests of its own.
		{add(ipvs.Destination{Key: netip.MustParseAddrPort("224.0.0.1:80")}), ipvs.OpAddDestination, syscall.EINVAL, ipvs.ErrInvalid, fs.ErrInvalid},
		{add(ipvs.Destination{Key: netip.MustParseAddrPort("127.255.255.255:80")}), ipvs.OpAddDestination, syscall.EINVAL, ipvs.ErrInvalid, fs.ErrInvalid},
		{add(ipvs.Destination{Key: real6}), ipvs.OpAddDestination, syscall.EINVAL, ipvs.ErrInvalid, fs.ErrInvalid},
		{add(ipvs.Destination{Key: real6, Forward: ipvs.Tunnel}), ipvs.OpAddDestination, syscall.EINVAL, ipvs.ErrInvalid, fs.ErrInvalid}, // a daemon runs
		{func() error { return api.SetTimeouts(ctx, ipvs.Timeouts{TCPFin: (1<<31 - 1) * time.Second}) }, ipvs.OpSetTimeouts, syscall.EINVAL, ipvs.ErrInvalid, fs.ErrInvalid},

		{add(ipvs.Destination{Key: free, Weight: -1}), ipvs.OpAddDestination, syscall.ERANGE, ipvs.ErrInvalid, fs.ErrInvalid},
		{set(ipvs.Destination{Key: real4, LowerThreshold: 1}), ipvs.OpSetDestination, syscall.ERANGE, ipvs.ErrInvalid, fs.ErrInvalid},
		{update(there, real4, ipvs.DestinationUpdate{LowerThreshold: new(uint32(1))}), ipvs.OpSetDestination, syscall.ERANGE, ipvs.ErrInvalid, fs.ErrInvalid},

		{start(ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "nosuch0"}), ipvs.OpStartSync, syscall.ENODEV, ipvs.ErrNoInterface, fs.ErrNotExist},
		{start(ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "nosuch0"}), ipvs.OpStartSync, syscall.ENODEV, ipvs.ErrNoInterface, fs.ErrNotExist}, // before EEXIST
	} {
		expect(t, c.do(), c.op, c.is, c.kind, c.errno)
	}
	ok(t, api.StopSync(ctx, ipvs.SyncBackup))
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "the table", ipvs.Table{{Service: basic(there), Destinations: []ipvs.Destination{{Key: real4, Weight: 1}}}}, snap.Table())
}

// testCancelledAndInvalid: what a call can tell without the kernel it tells
// first.
func testCancelledAndInvalid(t *testing.T, api API) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		err error
		op  ipvs.Op
	}{
		{api.AddService(ended, ipvs.Service{}), ipvs.OpAddService},
		{api.AddDestination(ended, ipvs.ServiceKey{}, ipvs.Destination{}), ipvs.OpAddDestination},
		{api.UpdateService(ended, ipvs.MarkService(1), ipvs.ServiceUpdate{SetFlags: 1}), ipvs.OpSetService},
		{api.UpdateDestination(ended, ipvs.MarkService(1), netip.AddrPort{}, ipvs.DestinationUpdate{}), ipvs.OpSetDestination},
		{api.Zero(ended, ipvs.ServiceKey{}), ipvs.OpZero},
		{api.SetTimeouts(ended, ipvs.Timeouts{TCP: -1}), ipvs.OpSetTimeouts},
		{api.StartSync(ended, ipvs.SyncDaemon{}), ipvs.OpStartSync},
		{api.StopSync(ended, 9), ipvs.OpStopSync},
	} {
		expect(t, c.err, c.op, ipvs.ErrInvalid)
		if errors.Is(c.err, context.Canceled) {
			t.Errorf("%v: said that it was cancelled first", c.op)
		}
	}
}
