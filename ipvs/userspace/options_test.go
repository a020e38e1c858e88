package userspace

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

func TestServiceConfigIsChecked(t *testing.T) {
	mark := ipvs.MarkService(1)
	lo := netip.MustParseAddr("127.0.0.1")
	for name, c := range map[string]struct {
		config ServiceConfig
		want   string
	}{
		"port 0":           {ServiceConfig{Listen: []Listen{{Addr: lo}}}, "ports from 1"},
		"backward":         {ServiceConfig{Listen: []Listen{{Addr: lo, First: 9, Last: 8}}}, "before the first"},
		"sctp":             {ServiceConfig{Listen: []Listen{{Addr: lo, First: 9, Protocol: ipvs.SCTP}}}, "tcp or udp"},
		"too many ports":   {ServiceConfig{Listen: []Listen{{Addr: lo, First: 1, Last: 1000}, {Addr: lo, First: 2000, Last: 2024}}}, "1025 addresses and ports"},
		"version 3":        {ServiceConfig{ProxyProtocol: 3}, "ProxyProtocol 3"},
		"negative bound":   {ServiceConfig{MaxConnections: -1}, "MaxConnections -1"},
		"any source":       {ServiceConfig{SourceAddr: netip.IPv4Unspecified()}, "SourceAddr 0.0.0.0"},
		"negative timeout": {ServiceConfig{LifeTimeout: -1}, "LifeTimeout"},
	} {
		t.Run(name, func(t *testing.T) {
			services := map[ipvs.ServiceKey]ServiceConfig{mark: c.config}
			for _, err := range []error{
				func() error { _, err := New(&Config{Services: services}); return err }(),
				newBalancer(t, nil).Configure(t.Context(), services),
			} {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), mark.String()) {
					t.Errorf("got %v, want one with %q and %v", err, c.want, mark)
				}
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	at := netip.MustParseAddrPort
	tcp := func(addr string) place { return place{ipvs.TCP, at(addr)} }
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name   string
		key    ipvs.ServiceKey
		listen []Listen
		want   []place
		err    string
	}{
		{"by itself", ipvs.TCPService(at("192.0.2.1:80")), nil, []place{tcp("192.0.2.1:80")}, ""},
		{"a range of its own address", ipvs.TCPService(at("192.0.2.1:0")), []Listen{{First: 80, Last: 82}, {First: 82}}, []place{tcp("192.0.2.1:80"), tcp("192.0.2.1:81"), tcp("192.0.2.1:82")}, ""},
		{"the last port", ipvs.TCPService(at("192.0.2.1:0")), []Listen{{First: 65535, Last: 65535}}, []place{tcp("192.0.2.1:65535")}, ""},
		{"a mark of two protocols", ipvs.MarkService(7), []Listen{{Addr: v4, First: 80, Protocol: ipvs.TCP}, {Addr: v4, First: 80, Protocol: ipvs.UDP}}, []place{tcp("192.0.2.1:80"), {ipvs.UDP, at("192.0.2.1:80")}}, ""},
		{"a mark of IPv6", ipvs.MarkService6(7), []Listen{{Addr: v6, First: 80, Protocol: ipvs.TCP}}, []place{tcp("[2001:db8::1]:80")}, ""},
		{"a mark alone", ipvs.MarkService(7), nil, nil, "declare"},
		{"port 0 alone", ipvs.TCPService(at("192.0.2.1:0")), nil, nil, "declare"},
		{"a mark without a protocol", ipvs.MarkService(7), []Listen{{Addr: v4, First: 80}}, nil, "name tcp or udp"},
		{"a mark without an address", ipvs.MarkService(7), []Listen{{First: 80, Protocol: ipvs.TCP}}, nil, "name one"},
		{"another protocol", ipvs.TCPService(at("192.0.2.1:0")), []Listen{{First: 80, Protocol: ipvs.UDP}}, nil, "for tcp alone"},
		{"another family", ipvs.MarkService(7), []Listen{{Addr: v6, First: 80, Protocol: ipvs.TCP}}, nil, "other family"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := places(tt.key, ServiceConfig{Listen: tt.listen})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

// askAt is ask at another address of the service.
func askAt(t testing.TB, addr netip.AddrPort) (string, *net.TCPConn) {
	t.Helper()
	return ask(t, ipvs.Service{Key: ipvs.TCPService(addr)})
}

// asksAt is asks at several addresses, once each.
func asksAt(t testing.TB, addrs ...netip.AddrPort) string {
	t.Helper()
	var names string
	for _, a := range addrs {
		name, c := askAt(t, a)
		names += name
		hangUp(t, c)
	}
	return names
}

// Two servers on addresses of their own, each with the same two ports, and an
// address in front of them.
type fleet struct {
	front, a, b  netip.Addr
	port1, port2 uint16
}

// newFleet starts servers that answer with their name and whether it is the
// second port: a A b B.
func newFleet(t *testing.T) fleet {
	t.Helper()
	f := fleet{front: netip.MustParseAddr("127.0.0.77"), a: netip.MustParseAddr("127.0.0.78"), b: netip.MustParseAddr("127.0.0.79")}
	f.port1 = namedOn(t, "a", netip.AddrPortFrom(f.a, 0).String()).addr.Port()
	f.port2 = namedOn(t, "A", netip.AddrPortFrom(f.a, 0).String()).addr.Port()
	namedOn(t, "b", netip.AddrPortFrom(f.b, f.port1).String())
	namedOn(t, "B", netip.AddrPortFrom(f.b, f.port2).String())
	return f
}

func (f fleet) at1() netip.AddrPort { return netip.AddrPortFrom(f.front, f.port1) }
func (f fleet) at2() netip.AddrPort { return netip.AddrPortFrom(f.front, f.port2) }

func (f fleet) listen(p ipvs.Protocol) []Listen {
	return []Listen{{Addr: f.front, First: f.port1, Protocol: p}, {Addr: f.front, First: f.port2, Protocol: p}}
}

// A service on port 0 and one for a mark take each port that is declared, and
// a destination with port 0 is reached at the port that the client came to.
func TestServicesOfManyPorts(t *testing.T) {
	f := newFleet(t)
	for name, key := range map[string]ipvs.ServiceKey{
		"port 0": ipvs.TCPService(netip.AddrPortFrom(f.front, 0)), "firewall mark": ipvs.MarkService(7),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{key: {Listen: f.listen(ipvs.TCP)}}})
			s := startService(t, b, ipvs.Service{Key: key, Scheduler: "rr"}, dest(netip.AddrPortFrom(f.a, 0), 1), dest(netip.AddrPortFrom(f.b, 0), 1))
			if got := asksAt(t, f.at1(), f.at2(), f.at2(), f.at1()); got != "aBAb" && got != "bABa" {
				t.Errorf("asked %q: the servers in turn, each at the client's port", got)
			}
			if st := entry(t, b, key).Service.Stats; st.Connections != 4 {
				t.Errorf("%d connections of the service, want 4", st.Connections)
			}
			// The list tells each port apart.
			_, open := askAt(t, f.at2())
			var rows []Connection
			for c := range b.Connections() {
				rows = append(rows, c)
			}
			if len(rows) != 1 {
				t.Fatalf("%d rows, want 1: %v", len(rows), rows)
			}
			row := rows[0]
			client := open.LocalAddr().(*net.TCPAddr).AddrPort()
			want := Connection{Service: key, Protocol: ipvs.TCP, Client: client, Virtual: f.at2(), Destination: row.Destination, State: StateEstablished}
			if diff := cmp.Diff(want, row, cmpAddr, cmpKey); diff != "" || row.Destination.Port() != f.port2 {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			// Persistence: a client keeps its server on all ports, by one
			// template.
			s.Persistence = time.Minute
			apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
			got := asksAt(t, f.at1(), f.at2(), f.at1())
			if got != "aAa" && got != "bBb" {
				t.Errorf("asked %q: one server for all ports", got)
			}
			var templates []Connection
			for c := range b.Connections() {
				if c.IsTemplate() {
					templates = append(templates, c)
				}
			}
			if len(templates) != 1 || templates[0].Client != netip.MustParseAddrPort("127.0.0.1:0") || templates[0].Destination.Port() != 0 || templates[0].Protocol != key.Protocol {
				t.Errorf("templates %v, want one for the client and all ports", templates)
			}
		})
	}
}

var cmpKey = cmp.Comparer(func(a, b ipvs.ServiceKey) bool { return a == b })

// A mark may stand for TCP and UDP together.
func TestMarkOfTwoProtocols(t *testing.T) {
	f := newFleet(t)
	echoUDPOn(t, "u", netip.AddrPortFrom(f.a, f.port1).String())
	key := ipvs.MarkService(9)
	b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{
		key: {Listen: append(f.listen(ipvs.TCP), f.listen(ipvs.UDP)...)},
	}})
	startService(t, b, ipvs.Service{Key: key, Scheduler: "rr"}, dest(netip.AddrPortFrom(f.a, 0), 1))
	c := dialUDP(t, ipvs.Service{Key: ipvs.UDPService(f.at1())})
	if got := exchange(t, c, "x") + asksAt(t, f.at1()); got != "uxa" {
		t.Errorf("asked %q, want uxa", got)
	}
	if n := entry(t, b, key).Service.Stats.Connections; n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A change of the declarations opens what is new and closes what is gone;
// connections go on.
// An address may go from one service to another at a time.
func TestConfigureHandsAddressesOver(t *testing.T) {
	addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	var ports []uint16
	for len(ports) < 6 {
		if p := freePort(t, "tcp").Port(); !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	// Each service takes in the port of the one before it.
	declare := func(shift int) map[ipvs.ServiceKey]ServiceConfig {
		m := map[ipvs.ServiceKey]ServiceConfig{}
		for i := range len(ports) - 1 {
			m[ipvs.MarkService(uint32(i+1))] = ServiceConfig{Listen: []Listen{{Addr: addr, First: ports[i+shift], Protocol: ipvs.TCP}}}
		}
		return m
	}
	b := newBalancer(t, &Config{Services: declare(1)})
	for i := range len(ports) - 1 {
		apply(t, b, addService(ipvs.Service{Key: ipvs.MarkService(uint32(i + 1))}))
	}
	for _, shift := range []int{0, 1, 0} {
		if err := b.Configure(t.Context(), declare(shift)); err != nil {
			t.Error(err)
		}
	}
}

// What Apply refuses comes in by no declaration either, and all addresses are
// those of the loopback, too.
func TestConfigureRefusesCircles(t *testing.T) {
	at := freePort(t, "tcp")
	key := ipvs.TCPService(netip.AddrPortFrom(at.Addr(), 0))
	free := freePort(t, "tcp").Port()
	b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{key: {Listen: []Listen{{First: free}}}}})
	startService(t, b, ipvs.Service{Key: key}, dest(at, 1))
	err := b.Configure(t.Context(), map[ipvs.ServiceKey]ServiceConfig{key: {Listen: []Listen{{First: at.Port()}}}})
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "circles") {
		t.Errorf("configured onto its own server: %v", err)
	}
	everywhere := ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.IPv4Unspecified(), freePort(t, "tcp").Port()))}
	apply(t, b, addService(everywhere))
	err = b.Apply(t.Context(), []ipvs.Change{change(ipvs.OpAddDestination, everywhere, dest(netip.AddrPortFrom(at.Addr(), everywhere.Key.Addr.Port()), 1))})
	if !errors.Is(err, ipvs.ErrInvalid) || !strings.Contains(err.Error(), "circles") {
		t.Errorf("all addresses with the loopback for a server: %v", err)
	}
}

func TestConfigureFollows(t *testing.T) {
	f := newFleet(t)
	key := ipvs.TCPService(netip.AddrPortFrom(f.front, 0))
	declare := func(l ...Listen) map[ipvs.ServiceKey]ServiceConfig {
		return map[ipvs.ServiceKey]ServiceConfig{key: {Listen: l}}
	}
	one, two := Listen{First: f.port1}, Listen{First: f.port2}
	b := newBalancer(t, &Config{Services: declare(one)})
	startService(t, b, ipvs.Service{Key: key}, dest(netip.AddrPortFrom(f.a, 0), 1))
	_, open := askAt(t, f.at1())
	configure := func(s map[ipvs.ServiceKey]ServiceConfig) error {
		t.Helper()
		return b.Configure(t.Context(), s)
	}
	if err := configure(declare(one, two)); err != nil {
		t.Fatal(err)
	}
	if got := asksAt(t, f.at1(), f.at2()); got != "aA" {
		t.Errorf("asked %q, want aA", got)
	}
	if err := configure(declare(two)); err != nil {
		t.Fatal(err)
	}
	if err := fate(ipvs.Service{Key: ipvs.TCPService(f.at1())}); !isReset(err) {
		t.Errorf("the port that is gone: %v, want a refusal", err)
	}
	echo(t, open, "still there")
	// A service that cannot have what is asked for keeps what it has.
	taken, err := net.Listen("tcp4", netip.AddrPortFrom(f.front, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := Listen{First: taken.Addr().(*net.TCPAddr).AddrPort().Port()}
	if err := configure(declare(one, other)); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v, want an error about another program", err)
	}
	// Nor does one lose it whose declaration is gone before it is.
	if err := configure(nil); err != nil {
		t.Error(err)
	}
	if got := asksAt(t, f.at2()); got != "A" {
		t.Errorf("asked %q, want A", got)
	}
	if err := fate(ipvs.Service{Key: ipvs.TCPService(f.at1())}); !isReset(err) {
		t.Errorf("a port that was opened in vain: %v, want a refusal", err)
	}
	apply(t, b, change(ipvs.OpDelService, ipvs.Service{Key: key}, ipvs.Destination{}))
	if err := b.Apply(t.Context(), []ipvs.Change{addService(ipvs.Service{Key: key})}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("added without a declaration: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := configure(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// A destination may not be one of the places of its service.
func TestNoCirclesThroughDeclaredPlaces(t *testing.T) {
	c := onPaper(t)
	if err := c.AddService(t.Context(), ipvs.Service{Key: ipvs.MarkService(3)}); err != nil {
		t.Fatal(err)
	}
	for addr, ok := range map[string]bool{"192.0.2.9:80": false, "192.0.2.9:0": false, "192.0.2.9:81": true} {
		err := c.AddDestination(t.Context(), ipvs.MarkService(3), ipvs.Destination{Key: netip.MustParseAddrPort(addr), Weight: 1})
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "circles") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// Each family of clients can be carried to each family of servers.
func TestDualStack(t *testing.T) {
	for _, front := range []string{"127.0.0.1", "::1"} {
		for _, back := range []string{"127.0.0.1", "::1"} {
			t.Run(front+" to "+back, func(t *testing.T) {
				server := namedOn(t, "x", net.JoinHostPort(back, "0"))
				udp := echoUDPOn(t, "u", net.JoinHostPort(back, "0"))
				b := newBalancer(t, nil)
				s := onFreePort(t, b, func() ipvs.Service {
					return ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.MustParseAddr(front), freePort(t, "tcp").Port()))}
				}, []ipvs.Destination{dest(server.addr, 1)})
				if got := asks(t, s, 2); got != "xx" {
					t.Errorf("tcp: asked %q", got)
				}
				u := onFreePort(t, b, func() ipvs.Service {
					return ipvs.Service{Key: ipvs.UDPService(netip.AddrPortFrom(netip.MustParseAddr(front), freePort(t, "udp").Port()))}
				}, []ipvs.Destination{dest(addrOf(udp), 1)})
				c, err := net.Dial("udp", u.Key.Addr.String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if got := exchange(t, c.(*net.UDPConn), "y"); got != "uy" {
					t.Errorf("udp: asked %q", got)
				}
			})
		}
	}
}

// The server sees the address that the service connects from.
func TestSourceAddr(t *testing.T) {
	source := netip.MustParseAddr("127.0.0.80")
	server := serveTCP(t, func(c *net.TCPConn) { io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().String()) })
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	tcp, udp := ipvs.TCPService(freePort(t, "tcp")), ipvs.UDPService(freePort(t, "udp"))
	b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{tcp: {SourceAddr: source}, udp: {SourceAddr: source}}})
	s := startService(t, b, ipvs.Service{Key: tcp}, dest(server.addr, 1))
	got, err := io.ReadAll(dial(t, s))
	if err != nil || string(got) != source.String() {
		t.Errorf("tcp: the server saw %q, %v, want %v", got, err, source)
	}
	u := startService(t, b, ipvs.Service{Key: udp}, dest(pc.LocalAddr().(*net.UDPAddr).AddrPort(), 1))
	dialUDP(t, u).Write([]byte("x"))
	pc.SetDeadline(time.Now().Add(patience))
	_, from, err := pc.ReadFrom(make([]byte, 9))
	if err != nil || from.(*net.UDPAddr).AddrPort().Addr() != source {
		t.Errorf("udp: the server saw %v, %v, want %v", from, err, source)
	}
}

func TestLifeTimeoutEndsABusyConnection(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, &Config{LifeTimeout: 600 * time.Millisecond})
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	_, c := ask(t, s)
	var buf [1]byte
	eventually(t, "the connection is reset", func() bool {
		if _, err := c.Write(buf[:]); err != nil {
			return isReset(err) || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "broken pipe")
		}
		_, err := io.ReadFull(c, buf[:])
		return err != nil
	})
	if n := b.Counters().Idle; n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

// Changes of time-outs reach services that are there already.
func TestSetTimeoutsReachesOpenConnections(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	_, c := ask(t, s)
	if err := b.SetTimeouts(context.Background(), ipvs.Timeouts{TCP: time.Second}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); !isReset(err) {
		t.Errorf("the idle connection read %v, want a reset", err)
	}
}

// What moved before a zero never counts after it, known to the counters by
// then or not.
func TestZeroCountsWhatMovedBefore(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	_, c := ask(t, s)
	for range 10 {
		echo(t, c, "hello")
		if err := b.ZeroAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := entry(t, b, s.Key); e.Service.Stats.InBytes != 0 {
			t.Fatalf("%d bytes after zero, want none", e.Service.Stats.InBytes)
		}
	}
}

func TestZeroBeginsToCountAnew(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	asks(t, s, 3)
	settled(t, b, s, 3)
	if err := b.Zero(t.Context(), s.Key); err != nil {
		t.Fatal(err)
	}
	e := entry(t, b, s.Key)
	if e.Service.Stats != (ipvs.Stats{}) || e.Destinations[0].Stats != (ipvs.Stats{}) || e.Destinations[0].Inactive != 3 {
		t.Errorf("after zero: %+v, want no counts but 3 connections", e)
	}
	asks(t, s, 1)
	if n := entry(t, b, s.Key).Service.Stats.Connections; n != 1 {
		t.Errorf("%d connections after zero, want 1", n)
	}
}

// Each scheduler of package sched is carried by its name; "none" has no server
// for anybody, and a change from one to the next loses no client.
func TestEveryScheduler(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(bb.addr, 1))
	_, open := ask(t, s)
	for _, name := range sched.Names() {
		s.Scheduler = name
		apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
		if name == "none" {
			if err := fate(s); !isReset(err) {
				t.Errorf("none: %v, want a reset", err)
			}
			continue
		}
		if got := asks(t, s, 2); strings.Trim(got, "ab") != "" {
			t.Errorf("%s: asked %q", name, got)
		}
		echo(t, open, name)
	}
}

// The flags of sh reach the scheduler: without them a client stays on the one
// server of its address, with fallback it finds the other one when that is
// quiesced, and with the port its connections spread.
func TestSchedulerFlags(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "sh", dest(a.addr, 1), dest(bb.addr, 1))
	own := asks(t, s, 1)
	if got := asks(t, s, 8); got != strings.Repeat(own, 8) {
		t.Errorf("sh: asked %q, then %q", own, got)
	}
	flags := func(f ipvs.ServiceFlags) {
		s.Flags = f
		apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
	}
	flags(ipvs.SHPort)
	eventually(t, "both are asked", func() bool {
		got := asks(t, s, 16)
		return strings.Contains(got, "a") && strings.Contains(got, "b")
	})
	flags(0)
	quiesced, other := a, "b"
	if own == "b" {
		quiesced, other = bb, "a"
	}
	apply(t, b, change(ipvs.OpSetDestination, s, dest(quiesced.addr, 0)))
	if err := fate(s); !isReset(err) {
		t.Errorf("sh without fallback: %v, want a reset", err)
	}
	flags(ipvs.SHFallback)
	if got := asks(t, s, 4); got != strings.Repeat(other, 4) {
		t.Errorf("sh with fallback: asked %q, want %q alone", got, other)
	}
}
