package director

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

func loadText(t *testing.T, text string) *Setup {
	t.Helper()
	s, err := Load(t.Context(), "lvs.cf", []byte("serial_no = 1\nprimary = 192.0.2.1\nservice = lvs\nnetwork = nat\nnat_router = 192.0.2.3 eth1:1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func markBlock(name, address string, active, port, mark int, more string) string {
	return fmt.Sprintf("virtual %s {\nactive = %d\naddress = %s eth0:1\nvip_nmask = 255.255.255.255\nport = %d\nfwmark = %d\nscheduler = rr\n%s}\n", name, active, address, port, mark, more)
}

func TestDeclarations(t *testing.T) {
	const server = "server a {\naddress = 192.0.2.8\nactive = 1\n}\n"
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	listen := func(l ...userspace.Listen) userspace.ServiceConfig { return userspace.ServiceConfig{Listen: l} }
	tests := []struct {
		name, text string
		want       map[ipvs.ServiceKey]userspace.ServiceConfig
	}{
		{"no mark", markBlock("web", "192.0.2.10", 1, 80, 0, server), map[ipvs.ServiceKey]userspace.ServiceConfig{}},
		{
			"all ports of a mark, in their order",
			markBlock("tls", "192.0.2.10", 0, 443, 7, "") + markBlock("web", "192.0.2.10", 1, 80, 7, server) + markBlock("dns", "192.0.2.10", 0, 53, 7, "protocol = udp\n"),
			map[ipvs.ServiceKey]userspace.ServiceConfig{ipvs.MarkService(7): listen(
				userspace.Listen{Addr: v4, First: 443, Protocol: ipvs.TCP},
				userspace.Listen{Addr: v4, First: 80, Protocol: ipvs.TCP},
				userspace.Listen{Addr: v4, First: 53, Protocol: ipvs.UDP},
			)},
		},
		{
			"two marks, and an address that nobody carries",
			markBlock("web", "192.0.2.10", 1, 80, 7, server) + markBlock("other", "192.0.2.10", 1, 81, 8, server) + markBlock("away", "192.0.2.11", 0, 82, 7, ""),
			map[ipvs.ServiceKey]userspace.ServiceConfig{
				ipvs.MarkService(7): listen(userspace.Listen{Addr: v4, First: 80, Protocol: ipvs.TCP}),
				ipvs.MarkService(8): listen(userspace.Listen{Addr: v4, First: 81, Protocol: ipvs.TCP}),
			},
		},
		{
			"one number for each family",
			markBlock("web", "192.0.2.10", 1, 80, 7, server) + strings.ReplaceAll(strings.ReplaceAll(markBlock("six", "2001:db8::10", 1, 80, 7, strings.ReplaceAll(server, "192.0.2.8", "2001:db8::8")), "vip_nmask = 255.255.255.255\n", ""), "eth0:1", "eth0"),
			map[ipvs.ServiceKey]userspace.ServiceConfig{
				ipvs.MarkService(7):  listen(userspace.Listen{Addr: v4, First: 80, Protocol: ipvs.TCP}),
				ipvs.MarkService6(7): listen(userspace.Listen{Addr: v6, First: 80, Protocol: ipvs.TCP}),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(tt.want, loadText(t, tt.text).Declared, addrs); diff != "" {
				t.Errorf("declared (-want +got):\n%s", diff)
			}
		})
	}
}

// greeter answers each connection with its name.
func greeter(t *testing.T, name, addr string) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, name)
			c.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func greeting(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(got)
}

// A multi-port service by firewall mark, carried by sockets: both ports reach
// the same server, and the sorry server when it is down.
func TestMarkedServiceOnSockets(t *testing.T) {
	web := greeter(t, "web", "127.0.0.82:0").Port()
	tls := greeter(t, "tls", "127.0.0.82:0").Port()
	greeter(t, "sorry web", fmt.Sprintf("127.0.0.83:%d", web))
	greeter(t, "sorry tls", fmt.Sprintf("127.0.0.83:%d", tls))
	const server = "sorry_server = 127.0.0.83\nquiesce_server = 1\nserver a {\naddress = 127.0.0.82\nactive = 1\n}\n"
	setup := loadText(t, markBlock("web", "127.0.0.81", 1, int(web), 7, server)+markBlock("tls", "127.0.0.81", 0, int(tls), 7, ""))
	plane, err := ChooseDataplane(t.Context(), KindUserspace, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plane.Close() })
	d := &Director{cfg: Config{Dataplane: plane.Dataplane}, setup: setup, log: slog.New(slog.DiscardHandler)}
	d.declare(t.Context())
	become := func(state health.State) {
		t.Helper()
		snap, err := plane.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := planOf(setup, func(string, string) health.State { return state }, func(ipvs.ServiceKey) (ipvs.Entry, bool) { return ipvs.Entry{}, false })
		all := func(ipvs.ServiceKey) bool { return true }
		if err := plane.Apply(t.Context(), ipvs.Diff(snap.Table(), want, all)); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() string {
		return greeting(t, fmt.Sprintf("127.0.0.81:%d", web)) + ", " + greeting(t, fmt.Sprintf("127.0.0.81:%d", tls))
	}
	for _, step := range []struct {
		state health.State
		want  string
	}{{health.Up, "web, tls"}, {health.Down, "sorry web, sorry tls"}, {health.Up, "web, tls"}} {
		become(step.state)
		if got := ask(); got != step.want {
			t.Errorf("with state %d got %q, want %q", step.state, got, step.want)
		}
	}
}

// Sockets at addresses that the director brings up are opened before; at others
// it is an error that they are not here.
func TestSocketsBeforeTheirAddresses(t *testing.T) {
	s := loadText(t, "primary = 10.0.0.250\nservice = lvs\nnetwork = nat\n"+virtual("carried", realServer("a", "address = 10.0.0.1"))+
		"virtual here {\nactive = 1\naddress = 192.0.2.99 eth0\nport = 80\n"+realServer("a", "address = 10.0.0.1")+"}\n"+
		"virtual marked {\nactive = 1\nfwmark = 5\naddress = 192.0.2.77 eth0:7\nport = 443\n"+realServer("a", "address = 10.0.0.1")+"}\n")
	s.Addresses = slices.DeleteFunc(s.Addresses, func(a failover.VirtualAddress) bool { return a.Prefix.Addr().String() == "192.0.2.99" })
	d := &Director{setup: s}
	waits := func() (names []string) {
		all := d.declared()
		for _, v := range s.Services {
			if all[v.Service.Key].FreeBind {
				names = append(names, v.Name)
			}
		}
		return names
	}
	if got := waits(); got != nil {
		t.Errorf("nobody carries addresses, and sockets wait for them: %q", got)
	}
	d.cfg.NewAddresses = func(*failover.AddressesConfig) (AddressSet, error) { return nil, nil }
	if diff := cmp.Diff([]string{"carried", "marked"}, waits()); diff != "" {
		t.Errorf("services whose sockets wait (-want +got):\n%s\naddresses %v", diff, s.Addresses)
	}
	if c := s.Declared[s.Services[2].Service.Key]; c.FreeBind || len(d.declared()[s.Services[2].Service.Key].Listen) != 1 {
		t.Errorf("the declarations of the setup were changed: %+v", c)
	}
}
