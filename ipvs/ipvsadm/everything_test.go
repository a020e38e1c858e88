package ipvsadm

import (
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// everything is a table with every feature that the language has words for,
// in the order of its keys. Mixed families keep a sync daemon from starting
// beside it.
func everything() ipvs.Table {
	tcp := func(s string) ipvs.ServiceKey { return ipvs.TCPService(ap(s)) }
	udp := func(s string) ipvs.ServiceKey { return ipvs.UDPService(ap(s)) }
	nat := func(s string) ipvs.Destination { return ipvs.Destination{Key: ap(s), Weight: 1} }
	direct := func(s string, weight int) ipvs.Destination {
		return ipvs.Destination{Key: ap(s), Forward: ipvs.DirectRoute, Weight: weight}
	}
	tunnel := func(s string, o ipvs.TunnelOptions) ipvs.Destination {
		return ipvs.Destination{Key: ap(s), Forward: ipvs.Tunnel, Weight: 1, Tunnel: o}
	}
	return ipvs.Table{
		{Service: ipvs.Service{Key: tcp("9.0.0.1:80"), Scheduler: "wlc"}, Destinations: []ipvs.Destination{}},
		{
			Service:      ipvs.Service{Key: tcp("10.0.0.1:0"), Scheduler: "rr", Persistence: 20 * time.Second},
			Destinations: []ipvs.Destination{nat("10.0.1.2:0"), nat("10.0.1.2:81")},
		},
		{
			Service: ipvs.Service{Key: tcp("10.0.0.1:80"), Scheduler: "wlc"},
			Destinations: []ipvs.Destination{
				direct("127.0.0.1:80", 100),
				{Key: ap("10.0.1.2:8080"), Weight: ipvs.MaxWeight, UpperThreshold: ipvs.MaxThreshold, LowerThreshold: 1000000},
				direct("10.0.1.1:80", 0),
				{Key: ap("10.0.1.2:8081"), Weight: 65536, UpperThreshold: 9},
				tunnel("10.0.1.3:80", ipvs.TunnelOptions{}),
			},
		},
		{
			Service: ipvs.Service{Key: tcp("10.0.0.1:443"), Scheduler: "sh", Flags: ipvs.SHPort, Persistence: 360 * time.Second},
			Destinations: []ipvs.Destination{
				tunnel("10.0.1.2:443", ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080}),
				tunnel("10.0.1.4:443", ipvs.TunnelOptions{Type: ipvs.GUE, Port: 65535, Flags: checksum}),
				tunnel("10.0.1.3:443", ipvs.TunnelOptions{Type: ipvs.GUE, Port: 1, Flags: remoteChecksum}),
				tunnel("10.0.1.6:443", ipvs.TunnelOptions{Type: ipvs.GRE}),
				tunnel("10.0.1.5:443", ipvs.TunnelOptions{Type: ipvs.GRE, Flags: checksum}),
				tunnel("[2001:db8::5]:443", ipvs.TunnelOptions{}),
			},
		},
		{Service: ipvs.Service{Key: tcp("10.0.0.1:444"), Scheduler: "sh", Flags: ipvs.SHPort | ipvs.SHFallback | ipvs.Sched3, Persistence: 50 * time.Second, PersistencePrefix: 24}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: tcp("10.0.0.1:445"), Scheduler: "mh", Flags: ipvs.MHPort | ipvs.MHFallback}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: tcp("10.0.0.1:446"), Scheduler: "wrr", Flags: ipvs.Sched1 | ipvs.Sched2 | ipvs.Sched3}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: tcp("10.0.0.1:447"), Scheduler: "none"}, Destinations: []ipvs.Destination{}},
		{
			Service:      ipvs.Service{Key: tcp("192.168.255.255:65535"), Scheduler: "lblcr"},
			Destinations: []ipvs.Destination{nat("10.0.0.9:65535"), nat("192.168.100.100:65535")},
		},
		{
			Service: ipvs.Service{Key: tcp("[2001:db8::1]:80"), Scheduler: "wlc", Persistence: time.Minute, PersistencePrefix: 64},
			Destinations: []ipvs.Destination{
				direct("[2001:db8::a:b]:80", 5),
				tunnel("10.0.1.9:80", ipvs.TunnelOptions{Type: ipvs.GRE, Flags: checksum}),
				{Key: ap("[2001:db8:1111:2222:3333:4444:5555:6666]:8080"), Weight: 5, UpperThreshold: 20, LowerThreshold: 5},
				nat("[::7:8]:80"),
			},
		},
		{Service: ipvs.Service{Key: tcp("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"), Scheduler: "nq", Persistence: 31 * 24 * time.Hour}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: udp("9.0.0.1:80"), Scheduler: "sed"}, Destinations: []ipvs.Destination{}},
		{
			Service:      ipvs.Service{Key: udp("10.0.0.1:53"), Scheduler: "rr", Flags: ipvs.OnePacket},
			Destinations: []ipvs.Destination{direct("10.0.1.3:53", 1), direct("10.0.1.2:53", 1)},
		},
		{Service: ipvs.Service{Key: udp("10.0.0.1:5060"), Scheduler: "sh", Flags: ipvs.OnePacket | ipvs.SHPort, Persistence: time.Minute, PersistencePrefix: 8, Engine: "sip"}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: udp("10.0.0.1:5061"), Scheduler: "rr", Engine: "sip"}, Destinations: []ipvs.Destination{}},
		{
			Service:      ipvs.Service{Key: ipvs.SCTPService(ap("10.0.0.1:99")), Scheduler: "ovf"},
			Destinations: []ipvs.Destination{nat("10.0.1.2:99")},
		},
		{
			Service:      ipvs.Service{Key: ipvs.MarkService(7), Scheduler: "fo"},
			Destinations: []ipvs.Destination{direct("10.0.1.2:0", 1), nat("10.0.1.2:80")},
		},
		{Service: ipvs.Service{Key: ipvs.MarkService(10), Scheduler: "rr", Flags: ipvs.OnePacket, Persistence: time.Second, PersistencePrefix: 1}, Destinations: []ipvs.Destination{}},
		{Service: ipvs.Service{Key: ipvs.MarkService(1<<32 - 1), Scheduler: "dh"}, Destinations: []ipvs.Destination{}},
		{
			Service: ipvs.Service{Key: ipvs.MarkService6(7), Scheduler: "lc", Persistence: time.Minute, PersistencePrefix: 1},
			Destinations: []ipvs.Destination{
				direct("[2001:db8::5]:0", 1),
				tunnel("10.0.1.2:90", ipvs.TunnelOptions{}),
			},
		},
	}
}
