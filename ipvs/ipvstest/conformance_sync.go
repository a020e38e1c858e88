package ipvstest

import (
	"io/fs"
	"net/netip"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

func syncDaemons(t *testing.T, api API) []ipvs.SyncDaemon {
	t.Helper()
	list, err := api.SyncDaemons(t.Context())
	ok(t, err)
	return list
}

func testSync(t *testing.T, api API) {
	ctx := t.Context()
	same(t, "none", nil, syncDaemons(t, api))
	group6 := netip.MustParseAddr("ff05::8")
	group4 := netip.MustParseAddr("224.0.0.81")
	for _, c := range []struct {
		name      string
		set, want ipvs.SyncDaemon
	}{
		{
			"a master with the defaults",
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0"},
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", MaxLength: 1472, Group: group4, Port: 8848, TTL: 1},
		},
		{
			"a backup with the defaults",
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0", SyncID: 7},
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0", SyncID: 7, MaxLength: 1472, Group: group4, Port: 8848, TTL: 1},
		},
		{
			"a master with everything set",
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", SyncID: 255, MaxLength: 1, Group: netip.MustParseAddr("239.1.2.3"), Port: 9999, TTL: 200},
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", SyncID: 255, MaxLength: 1, Group: netip.MustParseAddr("239.1.2.3"), Port: 9999, TTL: 200},
		},
		{
			"a backup with the least length, over IPv6",
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0", MaxLength: 1, Group: group6},
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0", MaxLength: 1024, Group: group6, Port: 8848, TTL: 1},
		},
		{
			"a master on a device of a larger MTU",
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo"},
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo", MaxLength: 1472, Group: group4, Port: 8848, TTL: 1},
		},
		{
			"a backup on a device of a larger MTU",
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "lo"},
			ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "lo", MaxLength: 65507, Group: group4, Port: 8848, TTL: 1},
		},
		{
			"a master over IPv6",
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", Group: group6},
			ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", MaxLength: 1452, Group: group6, Port: 8848, TTL: 1},
		},
	} {
		if err := api.StartSync(ctx, c.set); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, []ipvs.SyncDaemon{c.want}, syncDaemons(t, api))
		expect(t, api.StartSync(ctx, c.set), ipvs.OpStartSync, ipvs.ErrSyncRunning, fs.ErrExist, syscall.EEXIST)
		// The device is looked for first.
		absent := c.set
		absent.Interface = "nosuch0"
		expect(t, api.StartSync(ctx, absent), ipvs.OpStartSync, ipvs.ErrNoInterface)
		ok(t, api.StopSync(ctx, c.set.Role))
	}

	// One of each role can run.
	ok(t, api.StartSync(ctx, ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "sync0"}))
	ok(t, api.StartSync(ctx, ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0", SyncID: 3}))
	var roles []ipvs.SyncRole
	for _, d := range syncDaemons(t, api) {
		roles = append(roles, d.Role)
	}
	same(t, "roles", []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup}, roles)
	ok(t, api.StopSync(ctx, ipvs.SyncBackup))
	ok(t, api.StopSync(ctx, ipvs.SyncMaster))
	same(t, "none left", nil, syncDaemons(t, api))
}

func testSyncErrors(t *testing.T, api API) {
	ctx := t.Context()
	master := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0"}
	expect(t, api.StopSync(ctx, ipvs.SyncMaster), ipvs.OpStopSync, ipvs.ErrSyncNotRunning, fs.ErrNotExist, syscall.ESRCH)
	loop6 := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo", Group: netip.MustParseAddr("ff05::8")}
	expect(t, api.StartSync(ctx, loop6), ipvs.OpStartSync, syscall.ENETUNREACH)
	loop6.Role = ipvs.SyncBackup
	ok(t, api.StartSync(ctx, loop6))
	ok(t, api.StopSync(ctx, loop6.Role))
	absent := master
	absent.Interface = "nosuch0"
	expect(t, api.StartSync(ctx, absent), ipvs.OpStartSync, ipvs.ErrNoInterface, fs.ErrNotExist, syscall.ENODEV)
	for _, bad := range []ipvs.SyncDaemon{
		{},
		{Role: ipvs.SyncMaster},
		{Interface: "sync0"},
		{Role: 3, Interface: "sync0"},
		{Role: ipvs.SyncMaster, Interface: "sixteen-letters-"},
		{Role: ipvs.SyncMaster, Interface: "sync0", SyncID: 256},
		{Role: ipvs.SyncMaster, Interface: "sync0", Group: netip.MustParseAddr("10.0.0.1")},
		{Role: ipvs.SyncMaster, Interface: "sync0", Group: netip.MustParseAddr("fd00::1")},
	} {
		expect(t, api.StartSync(ctx, bad), ipvs.OpStartSync, ipvs.ErrInvalid, fs.ErrInvalid, syscall.EINVAL)
	}
	expect(t, api.StopSync(ctx, 0), ipvs.OpStopSync, ipvs.ErrInvalid)
	same(t, "none", nil, syncDaemons(t, api))

	// A daemon and a destination of the other family exclude each other.
	key := ipvs.TCPService(vip4)
	other := ipvs.Destination{Key: real6, Forward: ipvs.Tunnel, Weight: 1}
	ok(t, api.AddService(ctx, basic(key)))
	ok(t, api.AddDestination(ctx, key, other))
	expect(t, api.StartSync(ctx, master), ipvs.OpStartSync, ipvs.ErrInvalid, syscall.EINVAL)
	ok(t, api.DelDestination(ctx, key, other.Key))
	ok(t, api.StartSync(ctx, master))
	expect(t, api.AddDestination(ctx, key, other), ipvs.OpAddDestination, ipvs.ErrInvalid, syscall.EINVAL)
	ok(t, api.StopSync(ctx, ipvs.SyncMaster))
	ok(t, api.AddDestination(ctx, key, other))
}
