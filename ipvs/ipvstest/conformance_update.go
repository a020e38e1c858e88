package ipvstest

import (
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

func testUpdateService(t *testing.T, api API) {
	ctx := t.Context()
	for _, key := range []ipvs.ServiceKey{ipvs.UDPService(vip4), ipvs.UDPService(vip6), ipvs.MarkService(5)} {
		s := ipvs.Service{Key: key, Scheduler: "sh", Flags: ipvs.OnePacket | ipvs.SHPort | 0x400, Persistence: time.Minute, PersistencePrefix: 24, Engine: "sip"}
		ok(t, api.AddService(ctx, s))
		ok(t, api.AddDestination(ctx, key, ipvs.Destination{Key: real6, Forward: ipvs.Tunnel, Weight: 1}))
		for _, c := range []struct {
			name string
			u    ipvs.ServiceUpdate
			want func()
		}{
			{"nothing", ipvs.ServiceUpdate{}, func() {}},
			{"the scheduler", ipvs.ServiceUpdate{Scheduler: new("rr")}, func() { s.Scheduler = "rr" }},
			{"one flag on", ipvs.ServiceUpdate{SetFlags: ipvs.SHFallback}, func() { s.Flags |= ipvs.SHFallback }},
			{"one flag off", ipvs.ServiceUpdate{ClearFlags: ipvs.OnePacket}, func() { s.Flags &^= ipvs.OnePacket }},
			{"one on, one off", ipvs.ServiceUpdate{SetFlags: ipvs.OnePacket, ClearFlags: ipvs.SHPort}, func() { s.Flags = s.Flags&^ipvs.SHPort | ipvs.OnePacket }},
			{"the prefix", ipvs.ServiceUpdate{PersistencePrefix: new(16)}, func() { s.PersistencePrefix = 16 }},
			{"the time", ipvs.ServiceUpdate{Persistence: new(7 * time.Second)}, func() { s.Persistence = 7 * time.Second }},
			{"no engine", ipvs.ServiceUpdate{Engine: new("")}, func() { s.Engine = "" }},
			{"no persistence", ipvs.ServiceUpdate{Persistence: new(time.Duration(0))}, func() { s.Persistence, s.PersistencePrefix = 0, 0 }},
			{"persistence again", ipvs.ServiceUpdate{Persistence: new(time.Second), Engine: new("sip")}, func() { s.Persistence, s.Engine = time.Second, "sip" }},
		} {
			c.want()
			if err := api.UpdateService(ctx, key, c.u); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			got, err := api.Service(ctx, key)
			ok(t, err)
			same(t, c.name, s, got.Service)
		}
		if len(destinations(t, api, key)) != 1 {
			t.Error("the destination is gone")
		}
		expect(t, api.UpdateService(ctx, key, ipvs.ServiceUpdate{Scheduler: new("nosuch")}), ipvs.OpSetService, ipvs.ErrSchedulerNotFound, syscall.ENOENT)
		for _, bad := range []ipvs.ServiceUpdate{
			{SetFlags: ipvs.OnePacket, ClearFlags: ipvs.OnePacket},
			{SetFlags: 1},
			{ClearFlags: 2},
			{Persistence: new(-time.Second)},
			{PersistencePrefix: new(129)},
			{Engine: new("sixteen-letters-")},
		} {
			expect(t, api.UpdateService(ctx, key, bad), ipvs.OpSetService, ipvs.ErrInvalid, syscall.EINVAL)
		}
		got, err := api.Service(ctx, key)
		ok(t, err)
		same(t, "after what was refused", s, got.Service)
	}
	expect(t, api.UpdateService(ctx, ipvs.MarkService(99), ipvs.ServiceUpdate{}), ipvs.OpSetService, ipvs.ErrServiceNotFound, fs.ErrNotExist, syscall.ESRCH)
	expect(t, api.UpdateService(ctx, ipvs.ServiceKey{}, ipvs.ServiceUpdate{}), ipvs.OpSetService, ipvs.ErrInvalid)
}

func testUpdateDestination(t *testing.T, api API) {
	ctx := t.Context()
	for _, key := range []ipvs.ServiceKey{ipvs.TCPService(vip4), ipvs.MarkService6(5)} {
		ok(t, api.AddService(ctx, basic(key)))
		at := real4
		if !key.Is6() {
			at = real6 // the family has to go along
		}
		gue := ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 1}
		d := ipvs.Destination{Key: at, Forward: ipvs.Tunnel, Weight: 5, UpperThreshold: 10, LowerThreshold: 5, Tunnel: gue}
		ok(t, api.AddDestination(ctx, key, d))
		for _, c := range []struct {
			name string
			u    ipvs.DestinationUpdate
			want func()
		}{
			{"nothing", ipvs.DestinationUpdate{}, func() {}},
			{"the weight", ipvs.DestinationUpdate{Weight: new(0)}, func() { d.Weight = 0 }},
			{"the weight to its limit", ipvs.DestinationUpdate{Weight: new(ipvs.MaxWeight)}, func() { d.Weight = ipvs.MaxWeight }},
			{"a threshold", ipvs.DestinationUpdate{UpperThreshold: new(uint32(20))}, func() { d.UpperThreshold = 20 }},
			{"the other threshold", ipvs.DestinationUpdate{LowerThreshold: new(uint32(0))}, func() { d.LowerThreshold = 0 }},
			{"the tunnel", ipvs.DestinationUpdate{Tunnel: &ipvs.TunnelOptions{Type: ipvs.GRE}}, func() { d.Tunnel = ipvs.TunnelOptions{Type: ipvs.GRE} }},
			{"everything", ipvs.DestinationUpdate{Forward: new(ipvs.Tunnel), Weight: new(1), UpperThreshold: new(uint32(0)), LowerThreshold: new(uint32(0)), Tunnel: &gue}, func() {
				d = ipvs.Destination{Key: at, Forward: ipvs.Tunnel, Weight: 1, Tunnel: gue}
			}},
		} {
			c.want()
			if err := api.UpdateDestination(ctx, key, at, c.u); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			same(t, c.name, []ipvs.Destination{d}, destinations(t, api, key))
		}
		expect(t, api.UpdateDestination(ctx, key, at, ipvs.DestinationUpdate{Weight: new(-1)}), ipvs.OpSetDestination, ipvs.ErrInvalid, syscall.ERANGE)
		expect(t, api.UpdateDestination(ctx, key, at, ipvs.DestinationUpdate{Forward: new(ipvs.Masquerade)}), ipvs.OpSetDestination, ipvs.ErrInvalid, syscall.EINVAL)
		same(t, "after what was refused", []ipvs.Destination{d}, destinations(t, api, key))
		ok(t, api.DelDestination(ctx, key, at))
		expect(t, api.UpdateDestination(ctx, key, at, ipvs.DestinationUpdate{Weight: new(1)}), ipvs.OpSetDestination, ipvs.ErrDestinationNotFound, fs.ErrNotExist, syscall.ENOENT)
	}
	expect(t, api.UpdateDestination(ctx, ipvs.MarkService(99), real4, ipvs.DestinationUpdate{Weight: new(1)}), ipvs.OpSetDestination, ipvs.ErrServiceNotFound, syscall.ESRCH)
	expect(t, api.UpdateDestination(ctx, ipvs.MarkService(99), ipvs.DestinationKey{}, ipvs.DestinationUpdate{}), ipvs.OpSetDestination, ipvs.ErrInvalid)
}
