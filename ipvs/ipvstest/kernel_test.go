package ipvstest

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/ipvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	Conformance(t, func(*testing.T) API { return New() })
}

func TestLogHoldsWritesAlone(t *testing.T) {
	ctx := t.Context()
	k := New()
	key := ipvs.MarkService(1)
	ok(t, k.AddService(ctx, basic(key)))
	if err := k.AddService(ctx, basic(key)); err == nil {
		t.Error("no error")
	}
	_, _ = k.Snapshot(ctx)
	_, _ = collect(k.Services(ctx))
	_, _ = collect(k.Destinations(ctx, key))
	_, _ = k.Info(ctx)
	_, _ = k.Timeouts(ctx)
	ok(t, k.SetTimeouts(ctx, ipvs.Timeouts{TCP: 1e9}))
	ok(t, k.Zero(ctx, key))
	ok(t, k.DeleteEverything(ctx))
	var got []string
	for _, c := range k.Log() {
		got = append(got, fmt.Sprint(c.Op, c.Err == nil))
	}
	same(t, "log", []string{"add service true", "add service false", "set timeouts true", "zero counters true", "delete everything true"}, got)
	k.ResetLog()
	if n := len(k.Log()); n != 0 {
		t.Errorf("%d commands after a reset", n)
	}
}

func TestFailNext(t *testing.T) {
	ctx := t.Context()
	k := New()
	changes := ipvs.Diff(nil, table(1, 4), nil)
	k.FailNext(nil, syscall.ENOMEM, nil)
	e := applyError(t, k.Apply(ctx, changes))
	if e.Applied != 4 || len(e.Failed) != 1 || !errors.Is(e, syscall.ENOMEM) {
		t.Errorf("%v; want four applied, one failed", e)
	}
	ok(t, k.DeleteEverything(ctx))
	k.FailNext(nil, nil, ipvs.ErrStateUnknown)
	e = applyError(t, k.Apply(ctx, changes))
	if e.Applied != 2 || e.Unknown != 3 || !errors.Is(e, ipvs.ErrStateUnknown) {
		t.Errorf("%v; want two applied, three unknown", e)
	}
	k.FailNext(syscall.EPERM)
	_, err := k.Snapshot(ctx)
	expect(t, err, ipvs.OpListServices, ipvs.ErrNotPermitted)
}

// TestEveryErrnoCanBeInjected are those that no call can cause on a fake: a
// caller sees them with the meaning that they have from a kernel.
func TestEveryErrnoCanBeInjected(t *testing.T) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	for _, c := range []struct {
		errno syscall.Errno
		is    []error
	}{
		{syscall.EPERM, []error{ipvs.ErrNotPermitted, fs.ErrPermission}},
		{syscall.EACCES, []error{ipvs.ErrNotPermitted, fs.ErrPermission}},
		{syscall.EAFNOSUPPORT, []error{ipvs.ErrNotSupported, errors.ErrUnsupported}},
		{syscall.EOPNOTSUPP, []error{ipvs.ErrNotSupported, errors.ErrUnsupported}},
		{syscall.EBUSY, nil},
		{syscall.EMSGSIZE, nil},
		{syscall.ENOBUFS, nil},
		{syscall.ENOPROTOOPT, nil},
		{syscall.ENOMEM, nil},
	} {
		k := New()
		for op, do := range map[ipvs.Op]func() error{
			ipvs.OpAddService:       func() error { return k.AddService(ctx, basic(key)) },
			ipvs.OpSetDestination:   func() error { return k.SetDestination(ctx, key, ipvs.Destination{Key: real4}) },
			ipvs.OpGetService:       func() error { _, err := k.Service(ctx, key); return err },
			ipvs.OpListServices:     func() error { _, err := k.Snapshot(ctx); return err },
			ipvs.OpListDestinations: func() error { _, err := collect(k.Destinations(ctx, key)); return err },
			ipvs.OpGetTimeouts:      func() error { _, err := k.Timeouts(ctx); return err },
			ipvs.OpInfo:             func() error { _, err := k.Info(ctx); return err },
			ipvs.OpStartSync: func() error {
				return k.StartSync(ctx, ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "sync0"})
			},
			ipvs.OpListSync: func() error { _, err := k.SyncDaemons(ctx); return err },
			ipvs.OpZeroAll:  func() error { return k.ZeroAll(ctx) },
		} {
			k.FailNext(c.errno)
			expect(t, do(), op, append(c.is, c.errno)...)
		}
		snap, err := k.Snapshot(ctx)
		if err != nil || len(snap) != 0 {
			t.Errorf("%v: %d services, %v: something was done", c.errno, len(snap), err)
		}
	}
}

func TestFaultsAreForValidCommands(t *testing.T) {
	ctx := t.Context()
	k := New()
	k.FailNext(syscall.ENOMEM)
	expect(t, k.AddService(ctx, ipvs.Service{}), ipvs.OpAddService, ipvs.ErrInvalid)
	expect(t, k.AddService(ctx, basic(ipvs.MarkService(1))), ipvs.OpAddService, syscall.ENOMEM)
	ok(t, k.AddService(ctx, basic(ipvs.MarkService(1))))
}

func TestHook(t *testing.T) {
	ctx := t.Context()
	k := New()
	var seen []ipvs.Op
	k.SetHook(func(c Command) error {
		seen = append(seen, c.Op)
		if c.Destination.Weight == 3 {
			return syscall.ENOMEM
		}
		return nil
	})
	e := applyError(t, k.Apply(ctx, ipvs.Diff(nil, table(1, 4), nil)))
	if e.Applied != 4 || len(e.Failed) != 1 || len(seen) != 5 {
		t.Errorf("%v after %v", e, seen)
	}
	k.SetHook(nil)
	_, err := k.Info(ctx)
	ok(t, err)
	same(t, "commands seen", 5, len(seen))
}

func TestCounters(t *testing.T) {
	ctx := t.Context()
	k := New()
	key := ipvs.TCPService(vip4)
	d := ipvs.Destination{Key: real4, Weight: 5}
	ok(t, k.AddService(ctx, basic(key)))
	ok(t, k.AddDestination(ctx, key, d))
	k.SetServiceStats(key, ipvs.Stats{Connections: 7})
	k.SetDestinationCounters(key, ipvs.DestinationState{Destination: ipvs.Destination{Key: real4}, Active: 2, Stats: ipvs.Stats{Connections: 7}})
	want := ipvs.Snapshot{{
		Service:      ipvs.ServiceState{Service: basic(key), Stats: ipvs.Stats{Connections: 7}},
		Destinations: []ipvs.DestinationState{{Destination: d, Active: 2, Stats: ipvs.Stats{Connections: 7}}},
	}}
	snap, err := k.Snapshot(ctx)
	ok(t, err)
	same(t, "counters", want, snap)
	d.Weight = 0
	ok(t, k.SetDestination(ctx, key, d)) // an edit keeps them
	ok(t, k.Zero(ctx, key))
	want[0].Service.Stats = ipvs.Stats{}
	want[0].Destinations[0].Destination, want[0].Destinations[0].Stats = d, ipvs.Stats{}
	snap, err = k.Snapshot(ctx)
	ok(t, err)
	same(t, "after an edit and zeroing", want, snap)
}
