package userspace

import (
	"context"
	"errors"
	"iter"
	"math"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// notCarried are the parts of the conformance suite that are not the
// balancer's, and why.
var notCarried = map[string]string{
	"services read back as they were set":         "it has services of SCTP and with a persistence engine, which sockets cannot carry: TestCarriedServicesReadBack has the others",
	"a set replaces all of a service but its key": "as above: it sets a persistence engine",
	"an update changes a part of a service":       "as above: it sets a persistence engine",
	"a snapshot is ordered and complete":          "as above: it has all those services",
	"destinations that are refused":               "a relay carries a service of one family to destinations of the other, which the kernel refuses without a tunnel: TestDestinationsThatAreRefused has the others",
	"an update changes a part of a destination":   "as above: it wants a destination of the other family refused",
	"info":                                     "there is no kernel to tell of",
	"sync daemons":                             "a relay's connections end with its process: there is nothing to copy",
	"sync daemons that are refused":            "as above",
	"each errno that a caller can cause":       "as above: it needs a sync daemon",
	"an invalid value is said before a cancel": "as above: it asks for a sync daemon too",
	"an apply that stops at the first failure": "the balancer has Apply alone, which is what a Plane needs",
}

// carried is a balancer as the suite wants it: single calls are changes.
type carried struct{ *Balancer }

var _ ipvstest.API = carried{}

// one makes a single change; its error is that of the change.
func (c carried) one(ctx context.Context, op ipvs.Op, s ipvs.Service, d ipvs.Destination) error {
	err := c.Apply(ctx, []ipvs.Change{{Op: op, Service: s, Destination: d}})
	e, ok := errors.AsType[*ipvs.ApplyError](err)
	if !ok {
		return err
	}
	if len(e.Failed) == 1 {
		return e.Failed[0]
	}
	cause, ok := errors.AsType[*ipvs.OpError](e.Cause)
	if !ok {
		return err
	}
	return &ipvs.OpError{Op: op, Service: s.Key, Destination: d.Key, Err: cause.Err}
}

func (c carried) AddService(ctx context.Context, s ipvs.Service) error {
	return c.one(ctx, ipvs.OpAddService, s, ipvs.Destination{})
}

func (c carried) SetService(ctx context.Context, s ipvs.Service) error {
	return c.one(ctx, ipvs.OpSetService, s, ipvs.Destination{})
}

func (c carried) DelService(ctx context.Context, k ipvs.ServiceKey) error {
	return c.one(ctx, ipvs.OpDelService, ipvs.Service{Key: k}, ipvs.Destination{})
}

func (c carried) AddDestination(ctx context.Context, k ipvs.ServiceKey, d ipvs.Destination) error {
	return c.one(ctx, ipvs.OpAddDestination, ipvs.Service{Key: k}, d)
}

func (c carried) SetDestination(ctx context.Context, k ipvs.ServiceKey, d ipvs.Destination) error {
	return c.one(ctx, ipvs.OpSetDestination, ipvs.Service{Key: k}, d)
}

func (c carried) DelDestination(ctx context.Context, k ipvs.ServiceKey, d ipvs.DestinationKey) error {
	return c.one(ctx, ipvs.OpDelDestination, ipvs.Service{Key: k}, ipvs.Destination{Key: d})
}

func (c carried) find(ctx context.Context, op ipvs.Op, k ipvs.ServiceKey) (ipvs.EntryState, error) {
	fail := func(err error) (ipvs.EntryState, error) {
		return ipvs.EntryState{}, &ipvs.OpError{Op: op, Service: k, Err: err}
	}
	if err := k.Validate(); err != nil {
		return fail(ipvs.ErrInvalid)
	}
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return fail(err)
	}
	for _, e := range snap {
		if e.Service.Key == k {
			return e, nil
		}
	}
	return fail(syscall.ESRCH)
}

func (c carried) Service(ctx context.Context, k ipvs.ServiceKey) (ipvs.ServiceState, error) {
	e, err := c.find(ctx, ipvs.OpGetService, k)
	return e.Service, err
}

func (c carried) Services(ctx context.Context) iter.Seq2[ipvs.ServiceState, error] {
	return func(yield func(ipvs.ServiceState, error) bool) {
		snap, err := c.Snapshot(ctx)
		if err != nil {
			yield(ipvs.ServiceState{}, err)
			return
		}
		for _, e := range snap {
			if !yield(e.Service, nil) {
				return
			}
		}
	}
}

func (c carried) Destinations(ctx context.Context, k ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error] {
	return func(yield func(ipvs.DestinationState, error) bool) {
		e, err := c.find(ctx, ipvs.OpListDestinations, k)
		if err != nil {
			yield(ipvs.DestinationState{}, err)
			return
		}
		for _, d := range e.Destinations {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (c carried) DeleteEverything(ctx context.Context) error {
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return &ipvs.OpError{Op: ipvs.OpDeleteEverything, Err: err}
	}
	return c.Apply(ctx, ipvs.Diff(snap.Table(), nil, func(ipvs.ServiceKey) bool { return true }))
}

// What the balancer lacks, and the suite's callers above do not ask for.

func (c carried) UpdateService(context.Context, ipvs.ServiceKey, ipvs.ServiceUpdate) error {
	return errors.ErrUnsupported
}

func (c carried) UpdateDestination(context.Context, ipvs.ServiceKey, ipvs.DestinationKey, ipvs.DestinationUpdate) error {
	return errors.ErrUnsupported
}

func (c carried) ApplyUntilFailure(context.Context, []ipvs.Change) error {
	return errors.ErrUnsupported
}

func (c carried) Info(ctx context.Context) (ipvs.Info, error) {
	return ipvs.Info{}, &ipvs.OpError{Op: ipvs.OpInfo, Err: errors.Join(errors.ErrUnsupported, ctx.Err())}
}

func (c carried) StartSync(context.Context, ipvs.SyncDaemon) error { return errors.ErrUnsupported }
func (c carried) StopSync(context.Context, ipvs.SyncRole) error    { return errors.ErrUnsupported }

func (c carried) SyncDaemons(context.Context) ([]ipvs.SyncDaemon, error) {
	return nil, errors.ErrUnsupported
}

// noSocket stands for the sockets of a service: the suite is about the table,
// and its addresses are on no machine.
type noSocket struct{}

func (noSocket) close()                                 {}
func (noSocket) forget(*destination)                    {}
func (noSocket) sweep(int64)                            {}
func (noSocket) connections(func(Connection) bool) bool { return true }

// onPaper returns a balancer that opens nothing, with a declaration for the
// services of the suite that need one.
func onPaper(t *testing.T) carried {
	cfg := Config{IdleTimeout: 900 * time.Second, Services: map[ipvs.ServiceKey]ServiceConfig{
		ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:0")): {Listen: []Listen{{First: 8000, Last: 8009}}},
	}}
	for _, mark := range []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 77, 99, math.MaxUint32} {
		for key, addr := range map[ipvs.ServiceKey]string{ipvs.MarkService(mark): "192.0.2.9", ipvs.MarkService6(mark): "2001:db8::9"} {
			cfg.Services[key] = ServiceConfig{Listen: []Listen{{Addr: netip.MustParseAddr(addr), First: 80, Protocol: ipvs.TCP}}}
		}
	}
	b := newBalancer(t, &cfg)
	none := func(context.Context, *service, netip.AddrPort) (frontend, error) { return noSocket{}, nil }
	b.listenTCP, b.listenUDP = none, none
	return carried{b}
}

func TestConformance(t *testing.T) {
	ipvstest.ConformanceWithout(t, notCarried, func(t *testing.T) ipvstest.API { return onPaper(t) })
}

func TestCarriedServicesReadBack(t *testing.T) {
	c := onPaper(t)
	vip4, vip6 := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[2001:db8::1]:80")
	for _, s := range []ipvs.Service{
		{Key: ipvs.TCPService(vip4), Scheduler: "wlc"},
		{Key: ipvs.TCPService(vip6), Scheduler: "rr"},
		{Key: ipvs.UDPService(vip4), Scheduler: "rr", Flags: ipvs.OnePacket | ipvs.SHFallback | ipvs.SHPort},
		{Key: ipvs.UDPService(vip6), Scheduler: "wrr", Persistence: 7 * time.Second, PersistencePrefix: 64},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 0)), Scheduler: "lc", Persistence: time.Hour, PersistencePrefix: 24},
		{Key: ipvs.TCPService(netip.AddrPortFrom(vip4.Addr(), 82)), Scheduler: "wlc", Flags: 0xffffff00 | ipvs.Sched3},
		{Key: ipvs.MarkService(1), Scheduler: "wlc", Persistence: ipvs.MaxPersistence},
		{Key: ipvs.MarkService6(1), Scheduler: "wlc", Persistence: 5 * time.Second, PersistencePrefix: 127},
		{Key: ipvs.MarkService(math.MaxUint32), Scheduler: "rr"},
	} {
		if err := c.AddService(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for _, want := range []ipvs.Service{s, {Key: s.Key, Scheduler: "rr"}, s} {
			if err := c.SetService(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Service(t.Context(), s.Key); err != nil || got.Service != want {
				t.Errorf("%v reads back as %+v, %v, want %+v", s.Key, got.Service, err, want)
			}
		}
	}
}

func TestDestinationsThatAreRefused(t *testing.T) {
	c := onPaper(t)
	key := ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))
	if err := c.AddService(t.Context(), ipvs.Service{Key: key}); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{
		"0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "[::]:80", "[ff02::1]:80", "[fe80::1234]:80",
		"192.0.2.1:80", "192.0.2.1:0", // the service itself
	} {
		err := c.AddDestination(t.Context(), key, ipvs.Destination{Key: netip.MustParseAddrPort(addr), Weight: 1})
		if !errors.Is(err, ipvs.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", addr, err, ipvs.ErrInvalid)
		}
	}
	for _, addr := range []string{"192.0.2.1:81", "[fd00::1]:80"} {
		if err := c.AddDestination(t.Context(), key, ipvs.Destination{Key: netip.MustParseAddrPort(addr), Weight: 1}); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
