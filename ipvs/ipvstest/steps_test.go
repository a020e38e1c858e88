package ipvstest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// step is one call with its arguments, which can be repeated.
type step struct {
	text      string
	cancelled bool // the context has ended before
	do        func(context.Context, API) (any, error)
	// fewer makes the same step of one that holds a list, but without n of
	// it from i on; false at its end.
	fewer func(i, n int) (step, bool)
}

func (s step) String() string {
	if s.cancelled {
		return s.text + " (cancelled)"
	}
	return s.text
}

// outcome is what came out of a step, in a form to compare.
type outcome struct {
	Value any
	Error any
}

func (s step) play(ctx context.Context, api API) outcome {
	if s.cancelled {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	v, err := s.do(ctx, api)
	return outcome{v, flatten(err)}
}

// plain is a step that returns nothing but an error.
func plain(do func(context.Context, API) error, format string, args ...any) step {
	return step{
		text: fmt.Sprintf(format, args...),
		do:   func(ctx context.Context, api API) (any, error) { return nil, do(ctx, api) },
	}
}

// steps makes n calls: most of them about few keys, so that they meet, and
// some with values that nobody takes.
func (g *generator) steps(n int) []step {
	list := make([]step, n)
	for i := range list {
		list[i] = g.step()
		list[i].cancelled = g.in(2)
	}
	return list
}

func (g *generator) step() step {
	key := g.someKey()
	switch g.IntN(32) {
	case 0, 1, 2, 3, 4:
		s := g.someService(key)
		return plain(func(ctx context.Context, api API) error { return api.AddService(ctx, s) }, "add service %+v", s)
	case 5, 6:
		s := g.someService(key)
		return plain(func(ctx context.Context, api API) error { return api.SetService(ctx, s) }, "set service %+v", s)
	case 7:
		return plain(func(ctx context.Context, api API) error { return api.DelService(ctx, key) }, "delete service %v", key)
	case 8, 9, 10:
		u := g.serviceUpdate(key)
		return plain(func(ctx context.Context, api API) error { return api.UpdateService(ctx, key, u) }, "update service %v: %s", key, serviceUpdateText(u))
	case 11, 12, 13, 14, 15:
		d := g.someDestination(key)
		return plain(func(ctx context.Context, api API) error { return api.AddDestination(ctx, key, d) }, "add destination of %v: %+v", key, d)
	case 16, 17:
		d := g.someDestination(key)
		return plain(func(ctx context.Context, api API) error { return api.SetDestination(ctx, key, d) }, "set destination of %v: %+v", key, d)
	case 18:
		d := g.someDestination(key).Key
		return plain(func(ctx context.Context, api API) error { return api.DelDestination(ctx, key, d) }, "delete destination %v of %v", d, key)
	case 19, 20, 21:
		d, u := g.someDestination(key).Key, g.destinationUpdate(key)
		return plain(func(ctx context.Context, api API) error { return api.UpdateDestination(ctx, key, d, u) }, "update destination %v of %v: %s", d, key, destinationUpdateText(u))
	case 22, 23:
		return applyStep("apply", API.Apply, g.changes())
	case 24:
		return applyStep("apply until failure", API.ApplyUntilFailure, g.changes())
	case 25:
		return g.read(key)
	case 26, 27:
		d := g.syncDaemon()
		return plain(func(ctx context.Context, api API) error { return api.StartSync(ctx, d) }, "start sync %+v", d)
	case 28:
		r := one(g, ipvs.SyncMaster, ipvs.SyncBackup, ipvs.SyncMaster, ipvs.SyncBackup, 0, 3)
		return plain(func(ctx context.Context, api API) error { return api.StopSync(ctx, r) }, "stop sync %v", r)
	case 29:
		t := ipvs.Timeouts{TCP: g.timeout(), TCPFin: g.timeout(), UDP: g.timeout()}
		return plain(func(ctx context.Context, api API) error { return api.SetTimeouts(ctx, t) }, "set timeouts %+v", t)
	case 30:
		return plain(func(ctx context.Context, api API) error { return api.Zero(ctx, key) }, "zero %v", key)
	}
	if g.in(30) {
		return plain(func(ctx context.Context, api API) error { return api.DeleteEverything(ctx) }, "delete everything")
	}
	return plain(func(ctx context.Context, api API) error { return api.ZeroAll(ctx) }, "zero all")
}

func applyStep(name string, apply func(API, context.Context, []ipvs.Change) error, changes []ipvs.Change) step {
	s := plain(func(ctx context.Context, api API) error { return apply(api, ctx, changes) }, "%s %v", name, changes)
	s.fewer = func(i, n int) (step, bool) {
		if i >= len(changes) {
			return step{}, false
		}
		rest := slices.Delete(slices.Clone(changes), i, min(i+n, len(changes)))
		return applyStep(name, apply, rest), true
	}
	return s
}

func (g *generator) read(key ipvs.ServiceKey) step {
	switch g.IntN(4) {
	case 0:
		return step{text: fmt.Sprintf("service %v", key), do: func(ctx context.Context, api API) (any, error) {
			s, err := api.Service(ctx, key)
			return s.Service, err
		}}
	case 1:
		return step{text: "services", do: func(ctx context.Context, api API) (any, error) {
			states, err := collect(api.Services(ctx))
			var list []ipvs.Service
			for _, s := range states {
				list = append(list, s.Service)
			}
			slices.SortFunc(list, func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) })
			return list, err
		}}
	case 2:
		return step{text: fmt.Sprintf("destinations of %v", key), do: func(ctx context.Context, api API) (any, error) {
			states, err := collect(api.Destinations(ctx, key))
			var list []ipvs.Destination
			for _, d := range states {
				list = append(list, d.Destination)
			}
			return list, err
		}}
	}
	return step{text: "info", do: func(ctx context.Context, api API) (any, error) { return api.Info(ctx) }}
}

// observation is all that can be seen of a kernel's configuration.
type observation struct {
	Table    ipvs.Table
	Timeouts ipvs.Timeouts
	Sync     []ipvs.SyncDaemon
}

func observe(ctx context.Context, api API) (o observation, err error) {
	snap, err := api.Snapshot(ctx)
	if err != nil {
		return o, err
	}
	o.Table = snap.Table()
	if o.Timeouts, err = api.Timeouts(ctx); err != nil {
		return o, err
	}
	o.Sync, err = api.SyncDaemons(ctx)
	return o, err
}

// fewKeys are those of most steps: each family, each kind.
var fewKeys = []ipvs.ServiceKey{
	ipvs.TCPService(netip.AddrPortFrom(vips4[0], 80)),
	ipvs.UDPService(netip.AddrPortFrom(vips4[0], 80)),
	ipvs.TCPService(netip.AddrPortFrom(vips6[0], 80)),
	ipvs.MarkService(1),
	ipvs.MarkService6(1),
}

func (g *generator) someKey() ipvs.ServiceKey {
	if g.in(85) {
		return one(g, fewKeys...)
	}
	if g.in(60) {
		return g.key()
	}
	return one(g,
		ipvs.ServiceKey{},
		ipvs.ServiceKey{Protocol: ipvs.TCP},
		ipvs.ServiceKey{Addr: vip4},
		ipvs.ServiceKey{Mark6: true},
		ipvs.ServiceKey{Mark: 1, Addr: vip4, Protocol: ipvs.TCP},
		ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:80")},
		ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: netip.MustParseAddrPort("[fe80::1%lo]:80")},
		ipvs.ServiceKey{Protocol: 1, Addr: vip4},
		ipvs.ServiceKey{Protocol: 255, Addr: vip6},
		ipvs.TCPService(netip.MustParseAddrPort("0.0.0.0:80")),
		ipvs.TCPService(netip.MustParseAddrPort("224.0.0.1:80")),
		ipvs.UDPService(netip.MustParseAddrPort("255.255.255.255:1")),
		ipvs.TCPService(netip.MustParseAddrPort("[::]:80")),
		ipvs.TCPService(netip.MustParseAddrPort("[ff02::1]:80")),
	)
}

func (g *generator) someService(key ipvs.ServiceKey) ipvs.Service {
	s := g.service(key)
	for g.in(12) {
		switch g.IntN(6) {
		case 0:
			s.Scheduler = one(g, "nosuch", "sixteen-letters-", "fifteen-letters", "w\x00lc", "WLC", " rr")
		case 1:
			s.Engine = one(g, "nosuch", "sixteen-letters-", "s\x00ip", "SIP")
		case 2:
			s.Flags |= one[ipvs.ServiceFlags](g, 1, 2, 3)
		case 3:
			s.Persistence = one(g, -1, -time.Second, ipvs.MaxPersistence+1, 1<<62)
		case 4:
			s.PersistencePrefix = one(g, -1, 33, 128, 129, 1<<40)
		case 5:
			s.Persistence, s.PersistencePrefix = 0, 0
		}
	}
	return s
}

func (g *generator) someDestination(of ipvs.ServiceKey) ipvs.Destination {
	d := g.destination(of, true)
	if g.in(60) { // one of few
		d.Key = netip.AddrPortFrom(d.Key.Addr(), 80)
	}
	for g.in(15) {
		switch g.IntN(8) {
		case 0:
			d.Key = one(g,
				netip.AddrPort{},
				netip.MustParseAddrPort("0.0.0.0:80"), netip.MustParseAddrPort("224.0.0.1:80"), netip.MustParseAddrPort("239.255.255.255:80"),
				netip.MustParseAddrPort("255.255.255.255:80"), netip.MustParseAddrPort("0.1.2.3:80"), netip.MustParseAddrPort("127.0.0.1:80"),
				netip.MustParseAddrPort("240.0.0.1:80"), netip.MustParseAddrPort("169.254.0.1:80"),
				// But not 10.99.0.255: the fake has no networks, so no broadcast addresses of theirs.
				netip.MustParseAddrPort("10.99.0.1:80"), netip.MustParseAddrPort("10.99.0.0:80"), netip.MustParseAddrPort("127.255.255.255:80"),
				netip.MustParseAddrPort("[::]:80"), netip.MustParseAddrPort("[::1]:80"), netip.MustParseAddrPort("[ff02::1]:80"),
				netip.MustParseAddrPort("[fe80::1234]:80"), netip.MustParseAddrPort("[fec0::1]:80"), netip.MustParseAddrPort("[fd99::1]:80"),
				netip.MustParseAddrPort("[fd99::]:80"), netip.MustParseAddrPort("[64:ff9b::1]:80"), netip.MustParseAddrPort("[::10.0.0.1]:80"),
				netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"), netip.MustParseAddrPort("[fe80::1%lo]:80"),
			)
		case 1:
			d.Forward = one[ipvs.ForwardMethod](g, 6, 7, 8, 255)
		case 2:
			d.Weight = one(g, -1, -1<<31, ipvs.MaxWeight+1, 1<<40)
		case 3:
			d.UpperThreshold = one[uint32](g, ipvs.MaxThreshold+1, 1<<32-1)
		case 4:
			d.LowerThreshold = one(g, d.UpperThreshold+1, 1, 1<<32-1)
		case 5:
			d.Forward, d.Tunnel = ipvs.Tunnel, ipvs.TunnelOptions{Type: ipvs.GUE}
		case 6:
			d.Tunnel = ipvs.TunnelOptions{Type: ipvs.TunnelType(g.Uint32()), Port: uint16(g.Uint32()), Flags: uint16(g.Uint32())}
		case 7: // the other family, whatever the method
			d.Key = g.destinationKey(!of.Is6())
		}
	}
	return d
}

func (g *generator) serviceUpdate(key ipvs.ServiceKey) (u ipvs.ServiceUpdate) {
	s := g.someService(key)
	if g.in(30) {
		u.Scheduler = &s.Scheduler
	}
	if g.in(30) {
		u.Persistence = &s.Persistence
	}
	if g.in(30) {
		u.PersistencePrefix = &s.PersistencePrefix
	}
	if g.in(30) {
		u.Engine = &s.Engine
	}
	if g.in(50) {
		u.SetFlags = one(g, ipvs.OnePacket, ipvs.Sched1, ipvs.Sched2|ipvs.Sched3, 0x80000000, 1, 2)
	}
	if g.in(50) {
		u.ClearFlags = one(g, ipvs.OnePacket, ipvs.Sched1|ipvs.Sched2, 0xffffff00, 0xfffffffc, 1, 2)
	}
	return u
}

func (g *generator) destinationUpdate(of ipvs.ServiceKey) (u ipvs.DestinationUpdate) {
	d := g.someDestination(of)
	all := g.in(20)
	if all || g.in(30) {
		u.Forward = &d.Forward
	}
	if all || g.in(40) {
		u.Weight = &d.Weight
	}
	if all || g.in(30) {
		u.UpperThreshold = &d.UpperThreshold
	}
	if all || g.in(30) {
		u.LowerThreshold = &d.LowerThreshold
	}
	if all || g.in(30) {
		u.Tunnel = &d.Tunnel
	}
	return u
}

// changes makes a list that would not fit one send, now and then.
func (g *generator) changes() []ipvs.Change {
	n := g.IntN(12)
	if g.in(5) {
		n = 300
	}
	list := make([]ipvs.Change, n)
	for i := range list {
		c := &list[i]
		c.Op = one(g, ipvs.OpAddService, ipvs.OpSetService, ipvs.OpAddDestination, ipvs.OpAddDestination, ipvs.OpSetDestination, ipvs.OpDelDestination)
		if g.in(10) {
			c.Op = one(g, ipvs.OpDelService, 0, ipvs.OpZeroAll, 255)
		}
		c.Service = g.someService(g.someKey())
		c.Destination = g.someDestination(c.Service.Key)
		if c.Op == ipvs.OpAddService || c.Op == ipvs.OpSetService || c.Op == ipvs.OpDelService {
			c.Destination = ipvs.Destination{}
		}
	}
	return list
}

// timeout makes one on which the kernels agree: between 2^31 ticks of
// one-thousandth and of one-hundredth of a second it depends on their tick
// rate whether they take it.
func (g *generator) timeout() time.Duration {
	return one(g, 0, 0, 1, time.Second, 1500*time.Millisecond, 900*time.Second, (1<<31-1)/1000*time.Second,
		((1<<31-1)/100+1)*time.Second, (1<<32-1)*time.Second, 1<<32*time.Second, -1)
}

func (g *generator) syncDaemon() ipvs.SyncDaemon {
	d := ipvs.SyncDaemon{Role: one(g, ipvs.SyncMaster, ipvs.SyncBackup), Interface: "sync0"}
	if g.in(50) {
		d.SyncID = one[uint32](g, 1, 7, 255)
	}
	if g.in(50) {
		d.MaxLength = one[uint16](g, 1, 500, 1023, 1024, 1472, 9000, 65487, 65488, 65507, 65508, 65535)
	}
	if g.in(50) {
		d.Group = one(g, netip.MustParseAddr("224.0.0.81"), netip.MustParseAddr("239.1.2.3"), netip.MustParseAddr("ff05::8"), netip.MustParseAddr("ff02::1:8"))
	}
	if g.in(50) {
		d.Port = one[uint16](g, 1, 8848, 9999, 65535)
	}
	if g.in(50) {
		d.TTL = one[uint8](g, 1, 2, 255)
	}
	for g.in(20) {
		switch g.IntN(5) {
		case 0:
			d.Role = one[ipvs.SyncRole](g, 0, 3, 255)
		case 1:
			d.Interface = one(g, "", "nosuch0", "sixteen-letters-", "lo", jumbo, jumbo, "sy\x00nc0")
		case 2:
			d.SyncID = one[uint32](g, 256, 1<<32-1)
		case 3:
			d.Group = one(g, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("::ffff:224.0.0.1"), netip.MustParseAddr("ff02::1%lo"))
		case 4:
			d.Group = netip.MustParseAddr("ff05::9")
		}
	}
	return d
}

func serviceUpdateText(u ipvs.ServiceUpdate) string {
	var b strings.Builder
	field(&b, "scheduler", u.Scheduler)
	field(&b, "persistence", u.Persistence)
	field(&b, "prefix", u.PersistencePrefix)
	field(&b, "engine", u.Engine)
	fmt.Fprintf(&b, "flags on %#x off %#x", uint32(u.SetFlags), uint32(u.ClearFlags))
	return b.String()
}

func destinationUpdateText(u ipvs.DestinationUpdate) string {
	var b strings.Builder
	field(&b, "forward", u.Forward)
	field(&b, "weight", u.Weight)
	field(&b, "upper", u.UpperThreshold)
	field(&b, "lower", u.LowerThreshold)
	field(&b, "tunnel", u.Tunnel)
	return b.String()
}

func field[T any](b *strings.Builder, name string, v *T) {
	if v != nil {
		fmt.Fprintf(b, "%s %+v ", name, *v)
	}
}
