package ipvstest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

func sortTable(t ipvs.Table) {
	slices.SortFunc(t, func(a, b ipvs.Entry) int { return a.Service.Key.Compare(b.Service.Key) })
}

func testApply(t *testing.T, api API) {
	ctx := t.Context()
	want := table(30, 40)
	changes := ipvs.Diff(nil, want, nil)
	if len(changes) != 30*41 {
		t.Fatalf("%d changes, want %d", len(changes), 30*41)
	}
	ok(t, api.Apply(ctx, changes))
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "table", want, snap.Table())

	// Every kind of change in one list.
	key := want[0].Service.Key
	ok(t, api.Apply(ctx, []ipvs.Change{
		{Op: ipvs.OpAddService, Service: basic(ipvs.MarkService(5))},
		{Op: ipvs.OpAddDestination, Service: basic(ipvs.MarkService(5)), Destination: ipvs.Destination{Key: real4, Weight: 1}},
		{Op: ipvs.OpSetDestination, Service: basic(ipvs.MarkService(5)), Destination: ipvs.Destination{Key: real4, Weight: 2}},
		{Op: ipvs.OpSetService, Service: ipvs.Service{Key: ipvs.MarkService(5), Scheduler: "rr"}},
		{Op: ipvs.OpDelDestination, Service: basic(key), Destination: want[0].Destinations[3]},
		{Op: ipvs.OpDelService, Service: basic(want[1].Service.Key)},
	}))
	want = slices.Delete(want, 1, 2)
	want[0].Destinations = slices.Delete(want[0].Destinations, 3, 4)
	want = append(want, ipvs.Entry{
		Service:      ipvs.Service{Key: ipvs.MarkService(5), Scheduler: "rr"},
		Destinations: []ipvs.Destination{{Key: real4, Weight: 2}},
	})
	snap, err = api.Snapshot(ctx)
	ok(t, err)
	same(t, "table after changes", want, snap.Table())
	ok(t, api.Apply(ctx, nil))
}

// applyError returns the *ApplyError that err must be.
func applyError(t *testing.T, err error) *ipvs.ApplyError {
	t.Helper()
	e, ok := errors.AsType[*ipvs.ApplyError](err)
	if !ok {
		t.Fatalf("error is %T %v, want an *ApplyError", err, err)
	}
	return e
}

func testApplyFailures(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	ok(t, api.AddService(ctx, basic(key)))
	const n = 700
	changes := make([]ipvs.Change, n)
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(real4.Addr(), uint16(i+1)) }
	for i := range changes {
		changes[i] = ipvs.Change{Op: ipvs.OpAddDestination, Service: basic(key), Destination: ipvs.Destination{Key: at(i), Weight: 1}}
	}
	// In the middle, at the borders of a batch, one after the other, last.
	type failure struct {
		op    ipvs.Op
		is    error
		errno syscall.Errno
	}
	failures := map[int]failure{}
	spoil := func(i int, c ipvs.Change, f failure) {
		f.op = c.Op
		changes[i], failures[i] = c, f
	}
	d := ipvs.Destination{Key: at(1), Weight: 1}
	spoil(3, ipvs.Change{Op: ipvs.OpAddDestination, Service: basic(key), Destination: d}, failure{is: ipvs.ErrDestinationExists, errno: syscall.EEXIST})
	spoil(4, ipvs.Change{Op: ipvs.OpDelService, Service: basic(ipvs.MarkService(77))}, failure{is: ipvs.ErrServiceNotFound, errno: syscall.ESRCH})
	spoil(5, ipvs.Change{Op: ipvs.OpAddService, Service: basic(key)}, failure{is: ipvs.ErrServiceExists, errno: syscall.EEXIST})
	spoil(255, ipvs.Change{Op: ipvs.OpSetDestination, Service: basic(key), Destination: ipvs.Destination{Key: at(5000)}}, failure{is: ipvs.ErrDestinationNotFound, errno: syscall.ENOENT})
	spoil(256, ipvs.Change{Op: ipvs.OpAddService, Service: ipvs.Service{Key: ipvs.MarkService(8), Scheduler: "nosuch"}}, failure{is: ipvs.ErrSchedulerNotFound, errno: syscall.ENOENT})
	// These do not get as far as a kernel.
	spoil(100, ipvs.Change{Op: ipvs.OpAddDestination, Service: basic(key), Destination: ipvs.Destination{Key: at(100), Weight: -1}}, failure{is: ipvs.ErrInvalid, errno: syscall.ERANGE})
	spoil(300, ipvs.Change{Op: ipvs.OpZeroAll}, failure{is: ipvs.ErrInvalid, errno: syscall.EINVAL})
	spoil(n-1, ipvs.Change{Op: ipvs.OpAddDestination, Service: basic(key), Destination: ipvs.Destination{Key: netip.MustParseAddrPort("224.0.0.1:1")}}, failure{is: ipvs.ErrInvalid, errno: syscall.EINVAL})

	e := applyError(t, api.Apply(ctx, changes))
	if e.Applied != n-len(failures) || e.Unknown != 0 || e.Unsent != 0 || e.Cause != nil {
		t.Errorf("applied %d, unknown %d, unsent %d, cause %v; want %d, 0, 0, none", e.Applied, e.Unknown, e.Unsent, e.Cause, n-len(failures))
	}
	if len(e.Failed) != len(failures) {
		t.Fatalf("%d failed, want %d: %v", len(e.Failed), len(failures), e)
	}
	next := 0
	for i, c := range changes {
		f, failed := failures[i]
		if !failed {
			continue
		}
		got := e.Failed[next]
		next++
		expect(t, got, f.op, f.is, f.errno)
		if got.Service != c.Service.Key {
			t.Errorf("failure %d names service %v, want %v", i, got.Service, c.Service.Key)
		}
		if got.Destination != c.Destination.Key {
			t.Errorf("failure %d names destination %v, want %v", i, got.Destination, c.Destination.Key)
		}
		if !errors.Is(e, f.is) {
			t.Errorf("the whole error is not %v", f.is)
		}
	}
	list := destinations(t, api, key)
	if len(list) != e.Applied {
		t.Errorf("%d destinations, want %d: the others must have been carried out", len(list), e.Applied)
	}
}

func testApplyAllFail(t *testing.T, api API) {
	// As many errors as a batch can have, several times over.
	const n = 600
	changes := make([]ipvs.Change, n)
	for i := range changes {
		changes[i] = ipvs.Change{Op: ipvs.OpDelService, Service: basic(ipvs.MarkService(uint32(i + 1)))}
	}
	e := applyError(t, api.Apply(t.Context(), changes))
	if e.Applied != 0 || len(e.Failed) != n || e.Cause != nil {
		t.Fatalf("applied %d, failed %d, cause %v; want 0, %d, none", e.Applied, len(e.Failed), e.Cause, n)
	}
	for i, f := range e.Failed {
		if f.Service != changes[i].Service.Key {
			t.Fatalf("failure %d names %v, want %v", i, f.Service, changes[i].Service.Key)
		}
	}
	// The client is in order afterwards.
	if snap, err := api.Snapshot(t.Context()); err != nil || len(snap) != 0 {
		t.Errorf("snapshot afterwards: %v, %v", snap, err)
	}
}

func testApplyDiff(t *testing.T, api API) {
	ctx := t.Context()
	goal := table(20, 5)
	goal[3].Service.Scheduler = "rr"
	goal[4].Destinations[2].Weight = 0
	goal[5].Destinations = goal[5].Destinations[:1]
	start := table(25, 5)
	start[1].Destinations = start[1].Destinations[2:]
	foreign := ipvs.Entry{Service: basic(ipvs.MarkService(99)), Destinations: []ipvs.Destination{{Key: real4, Weight: 1}}}
	start = append(start, foreign)
	owned := func(k ipvs.ServiceKey) bool { return !k.IsMark() }
	ok(t, api.Apply(ctx, ipvs.Diff(nil, start, nil)))

	snap, err := api.Snapshot(ctx)
	ok(t, err)
	ok(t, api.Apply(ctx, ipvs.Diff(snap.Table(), goal, owned)))
	snap, err = api.Snapshot(ctx)
	ok(t, err)
	if again := ipvs.Diff(snap.Table(), goal, owned); len(again) != 0 {
		t.Errorf("%d changes remain, the first: %v", len(again), again[0])
	}
	last := snap.Table()[len(snap)-1]
	same(t, "another program's service", foreign, last)
}

func testCancelled(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	ok(t, api.AddService(ctx, basic(key)))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	expect(t, api.AddService(ended, basic(ipvs.MarkService(1))), ipvs.OpAddService, context.Canceled)
	expect(t, api.DelService(ended, key), ipvs.OpDelService, context.Canceled)
	expect(t, api.AddDestination(ended, key, ipvs.Destination{Key: real4}), ipvs.OpAddDestination, context.Canceled)
	expect(t, api.DeleteEverything(ended), ipvs.OpDeleteEverything, context.Canceled)
	expect(t, api.SetTimeouts(ended, ipvs.Timeouts{TCP: 1e9}), ipvs.OpSetTimeouts, context.Canceled)
	_, err := api.Service(ended, key)
	expect(t, err, ipvs.OpGetService, context.Canceled)
	_, err = collect(api.Services(ended))
	expect(t, err, ipvs.OpListServices, context.Canceled)
	_, err = collect(api.Destinations(ended, key))
	expect(t, err, ipvs.OpListDestinations, context.Canceled)
	_, err = api.Snapshot(ended)
	expect(t, err, ipvs.OpListServices, context.Canceled)
	_, err = api.Info(ended)
	expect(t, err, ipvs.OpInfo, context.Canceled)
	e := applyError(t, api.Apply(ended, []ipvs.Change{{Op: ipvs.OpDelService, Service: basic(key)}}))
	if e.Applied != 0 || e.Unsent != 1 || e.Unknown != 0 || !errors.Is(e, context.Canceled) {
		t.Errorf("apply: applied %d, unsent %d, unknown %d, %v; want 0, 1, 0, cancelled", e.Applied, e.Unsent, e.Unknown, e)
	}
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	same(t, "table", ipvs.Table{{Service: basic(key), Destinations: []ipvs.Destination{}}}, snap.Table())
}

// countdown is a context that ends after its error was asked for n times.
type countdown struct {
	context.Context
	n atomic.Int64
}

func (c *countdown) Err() error {
	if c.n.Add(-1) < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

func testCutOff(t *testing.T, api API) {
	want := table(3, 300)
	cut := 0
	for n := int64(0); ; n++ {
		ctx := &countdown{Context: t.Context()}
		ctx.n.Store(n)
		err := api.Apply(ctx, ipvs.Diff(nil, want, nil))
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || errors.Is(err, ipvs.ErrStateUnknown) {
			t.Fatalf("apply: %v, want cancelled with a known outcome", err)
		}
		e := applyError(t, err)
		snap, err := api.Snapshot(t.Context())
		ok(t, err)
		left := len(ipvs.Diff(snap.Table(), want, nil))
		if total := 3 * 301; e.Applied+e.Unsent != total || left != e.Unsent {
			t.Fatalf("applied %d, unsent %d, of %d; %d are missing", e.Applied, e.Unsent, total, left)
		}
		ok(t, api.DeleteEverything(t.Context()))
		cut++
		if n > 20 {
			n *= 2 // a fake looks at the context for each change
		}
	}
	for n := int64(0); ; n++ {
		ctx := &countdown{Context: t.Context()}
		ctx.n.Store(n)
		_, err := api.Snapshot(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("snapshot: %v, want cancelled", err)
		}
		if _, err := api.Timeouts(t.Context()); err != nil {
			t.Fatalf("the call after a cut snapshot: %v", err)
		}
		snap, err2 := api.Snapshot(t.Context())
		ok(t, err2)
		if left := ipvs.Diff(snap.Table(), want, nil); len(left) != 0 {
			t.Fatalf("the snapshot after a cut one lacks %d: %v", len(left), left[0])
		}
		if err == nil {
			break
		}
		cut++
	}
	if cut < 2 {
		t.Errorf("only %d calls were cut off", cut)
	}
}

func testNested(t *testing.T, api API) {
	ctx := t.Context()
	ok(t, api.Apply(ctx, ipvs.Diff(nil, table(5, 3), nil)))
	total := 0
	for s, err := range api.Services(ctx) {
		ok(t, err)
		for d, err := range api.Destinations(ctx, s.Key) {
			ok(t, err)
			ok(t, api.DelDestination(ctx, s.Key, d.Key))
			total++
			if total%3 == 2 {
				break
			}
		}
	}
	if total != 14 { // 2, then a break after each third
		t.Errorf("%d destinations seen", total)
	}
}

func testConcurrent(t *testing.T, api API) {
	ctx := t.Context()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			key := ipvs.MarkService(uint32(worker + 1))
			for range 5 {
				if err := api.AddService(ctx, basic(key)); err != nil {
					t.Error(err)
				}
				if err := api.AddDestination(ctx, key, ipvs.Destination{Key: real4, Weight: worker}); err != nil {
					t.Error(err)
				}
				list, err := collect(api.Destinations(ctx, key))
				if err != nil || len(list) != 1 || list[0].Weight != worker {
					t.Errorf("worker %d: destinations %v, %v", worker, list, err)
				}
				if _, err := api.Snapshot(ctx); err != nil {
					t.Error(err)
				}
				if err := api.DelService(ctx, key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func testClosed(t *testing.T, api API) {
	ok(t, api.Close())
	ok(t, api.Close())
	ctx := t.Context()
	expect(t, api.AddService(ctx, basic(ipvs.MarkService(1))), ipvs.OpAddService, net.ErrClosed)
	_, err := api.Snapshot(ctx)
	expect(t, err, ipvs.OpListServices, net.ErrClosed)
	e := applyError(t, api.Apply(ctx, []ipvs.Change{{Op: ipvs.OpDelService, Service: basic(ipvs.MarkService(1))}}))
	if !errors.Is(e, net.ErrClosed) || e.Unsent != 1 {
		t.Errorf("apply: %v, unsent %d; want closed, 1", e, e.Unsent)
	}
}

func testApplyUntilFailure(t *testing.T, api API) {
	ctx := t.Context()
	key := ipvs.TCPService(vip4)
	changes := ipvs.Diff(nil, table(1, 5), nil)
	ok(t, api.ApplyUntilFailure(ctx, nil))
	ok(t, api.ApplyUntilFailure(ctx, changes))
	ok(t, api.DeleteEverything(ctx))
	for name, bad := range map[string]ipvs.Change{
		"a change that the kernel refuses": {Op: ipvs.OpDelService, Service: basic(ipvs.MarkService(77))},
		"a change that is not sent":        {Op: ipvs.OpZeroAll},
	} {
		list := append(append(append([]ipvs.Change{}, changes[:3]...), bad), changes[3:]...)
		e := applyError(t, api.ApplyUntilFailure(ctx, list))
		if e.Applied != 3 || len(e.Failed) != 1 || e.Unsent != 3 || e.Unknown != 0 || e.Cause != nil || e.Failed[0].Op != bad.Op {
			t.Errorf("%s: %+v; want 3 applied, 1 failed, 3 not sent", name, e)
		}
		snap, err := api.Snapshot(ctx)
		ok(t, err)
		if len(snap) != 1 || len(snap[0].Destinations) != 2 {
			t.Errorf("%s: the table is %+v, want one service with two destinations", name, snap)
		}
		ok(t, api.DeleteEverything(ctx))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	e := applyError(t, api.ApplyUntilFailure(ended, changes))
	if e.Unsent != len(changes) || !errors.Is(e, context.Canceled) {
		t.Errorf("cancelled: %+v", e)
	}
	_, err := api.Service(ctx, key)
	expect(t, err, ipvs.OpGetService, ipvs.ErrServiceNotFound)
}
