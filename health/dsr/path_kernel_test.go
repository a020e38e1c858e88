//go:build linux && kernel

package dsr

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// ground is a cluster whose first director has the virtual addresses. Of the
// servers the first is right, the second has no virtual address, the third is
// reached by a tunnel. All of them serve on their own addresses.
type ground struct {
	*lab.Cluster
	director *lab.Node
	plane    *ipvs.Client
	m        *Manager
	end      func()
}

func newGround(t *testing.T) *ground {
	c := lab.NewCluster(t)
	g := &ground{Cluster: c, director: &c.Directors[0]}
	c.GiveVIPs(g.director)
	for i, s := range c.Servers {
		s.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		s.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		switch i {
		case 0:
			s.Addr("lo", netip.PrefixFrom(c.VIPs.Public, 32), netip.PrefixFrom(c.VIPs.Public6, 128))
		case 2:
			if err := s.Handle().LinkAdd(&netlink.Iptun{LinkAttrs: netlink.LinkAttrs{Name: "ipip1"}, Local: s.Public.AsSlice()}); err != nil {
				t.Fatal(err)
			}
			s.Up("ipip1")
			s.Addr("ipip1", netip.PrefixFrom(c.VIPs.Public, 32))
		}
		serveHTTP(t, s.Namespace, ":80")
	}
	var err error
	if err = g.director.Do(func() (err error) { g.plane, err = ipvs.Dial(t.Context(), nil); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.plane.Close() })
	g.m, g.end = g.manage(t)
	return g
}

func (g *ground) manage(t *testing.T) (*Manager, func()) {
	m, err := New(g.plane, &Config{Namespace: g.director.Path()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	over := false
	end := func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(end)
	return m, end
}

func serveHTTP(t *testing.T, at *lab.Namespace, addr string) net.Listener {
	t.Helper()
	ln, err := at.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, at.Name()) })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln
}

// web is a check that tells by the body which server answered.
func web(body string) func(health.Dial) (health.Checker, error) {
	return func(d health.Dial) (health.Checker, error) {
		return health.NewHTTP(&health.HTTPConfig{Body: body, Dial: d})
	}
}

func syn(d health.Dial) (health.Checker, error) { return health.NewSYN(&health.SYNConfig{Dial: d}) }

func tcp(d health.Dial) (health.Checker, error) { return health.NewTCP(&health.TCPConfig{Dial: d}) }

// short is for what never answers; all else has more, as a guest may stand
// still. An emulated one takes that long to make a socket.
func short() time.Duration {
	if lab.Emulated() {
		return 2 * time.Second
	}
	return 300 * time.Millisecond
}

// ask asks once.
func ask(t *testing.T, c health.Checker, within time.Duration) health.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return c.Check(ctx, health.Target{Addr: netip.MustParseAddrPort("192.0.2.1:1")})
}

func wantResult(t *testing.T, what string, r health.Result, want health.Verdict, words ...string) {
	t.Helper()
	ok := r.Verdict == want
	for _, w := range words {
		ok = ok && strings.Contains(r.Reason, w)
	}
	if !ok {
		t.Errorf("%s: %v, %q; want %v with %q", what, r.Verdict, r.Reason, want, words)
	}
}

// services lists the keys of the director's table.
func (g *ground) services(t *testing.T) (keys []string) {
	t.Helper()
	snap, err := g.plane.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range snap {
		keys = append(keys, e.Service.Key.String())
	}
	return keys
}

func (g *ground) through(t *testing.T, server int, method ipvs.ForwardMethod, virtual netip.Addr, inner func(health.Dial) (health.Checker, error)) health.Checker {
	t.Helper()
	at := g.Servers[server].Public
	if virtual.Is6() {
		at = g.Servers[server].Public6
	}
	c, err := g.m.Checker(Path{
		Virtual:     netip.AddrPortFrom(virtual, 80),
		Destination: ipvs.Destination{Key: netip.AddrPortFrom(at, 80), Forward: method},
	}, inner)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A server that is fine on its own address and dead for clients is found, by
// direct routing and by tunnel, over IPv4 and IPv6; and nothing is left.
func TestKernelThroughTheVirtualAddress(t *testing.T) {
	g := newGround(t)
	// A service of somebody else, which must stay, and which would answer
	// whatever goes astray: every server is behind it.
	public := ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(g.VIPs.Public, 80))}
	changes := []ipvs.Change{{Op: ipvs.OpAddService, Service: public}}
	changes = append(changes, ipvs.Change{Op: ipvs.OpAddDestination, Service: public, Destination: ipvs.Destination{
		Key: netip.AddrPortFrom(g.Servers[0].Public, 80), Forward: ipvs.DirectRoute, Weight: 1,
	}})
	if err := g.plane.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	g.director.Sysctl("net.ipv4.conf.all.accept_local", "1")

	for i, s := range g.Servers {
		own, err := health.NewHTTP(&health.HTTPConfig{Body: s.Name(), Dial: health.Dial{Namespace: g.director.Path()}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		r := own.Check(ctx, health.Target{Addr: netip.AddrPortFrom(s.Public, 80)})
		cancel()
		wantResult(t, fmt.Sprintf("server %d on its own address", i+1), r, health.OK)
	}
	for _, tt := range []struct {
		name    string
		server  int
		method  ipvs.ForwardMethod
		virtual netip.Addr
		want    health.Verdict
		words   []string
	}{
		{"direct, right", 0, ipvs.DirectRoute, g.VIPs.Public, health.OK, []string{"at 10.1.0.100:80 by direct routing to 10.1.0.21"}},
		{"direct, right, IPv6", 0, ipvs.DirectRoute, g.VIPs.Public6, health.OK, nil},
		{"direct, without the address", 1, ipvs.DirectRoute, g.VIPs.Public, health.Fail, []string{"no answer", "10.1.0.100 on its loopback"}},
		{"direct, without the address, IPv6", 1, ipvs.DirectRoute, g.VIPs.Public6, health.Fail, []string{"fd01::100 on its loopback"}},
		{"tunnel, right", 2, ipvs.Tunnel, g.VIPs.Public, health.OK, []string{"by ipip tunnel to 10.1.0.23"}},
		{"tunnel, without a device", 1, ipvs.Tunnel, g.VIPs.Public, health.Fail, []string{"tunnel device (ipip)", "rp_filter=0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			type kind struct {
				name  string
				inner func(health.Dial) (health.Checker, error)
			}
			within, kinds := 20*time.Second, []kind{{"tcp", tcp}, {"http", web(g.Servers[tt.server].Name())}, {"syn", syn}}
			if tt.want == health.Fail {
				within, kinds = short(), kinds[:1] // silence sounds the same to all
			}
			for _, kind := range kinds {
				r := ask(t, g.through(t, tt.server, tt.method, tt.virtual, kind.inner), within)
				wantResult(t, kind.name, r, tt.want, tt.words...)
			}
		})
	}
	t.Run("listener bound elsewhere", func(t *testing.T) {
		serveHTTP(t, g.Servers[0].Namespace, netip.AddrPortFrom(g.Servers[0].Public, 8080).String())
		c, err := g.m.Checker(Path{
			Virtual:     netip.AddrPortFrom(g.VIPs.Public, 8080),
			Destination: ipvs.Destination{Key: netip.AddrPortFrom(g.Servers[0].Public, 8080), Forward: ipvs.DirectRoute},
		}, tcp)
		if err != nil {
			t.Fatal(err)
		}
		wantResult(t, "refused", ask(t, c, 20*time.Second), health.Fail, "refused", "listens on 10.1.0.100:8080")
	})

	if got := g.services(t); len(got) < 4 {
		t.Errorf("table while checks run: %v; want the private services, too", got)
	}
	g.end()
	if got := g.services(t); len(got) != 1 || got[0] != public.Key.String() {
		t.Errorf("table after the end: %v, want %v alone", got, public.Key)
	}
}

// What is wrong on our side is no result and says the cure: the kernel that
// drops answers, a mark that is lost, a service that somebody removed.
func TestKernelTraps(t *testing.T) {
	g := newGround(t)
	good := g.through(t, 0, ipvs.DirectRoute, g.VIPs.Public, tcp)
	wantResult(t, "no accept_local", ask(t, good, short()), health.NoResult, "net.ipv4.conf.pub.accept_local=1", "no answer")
	g.director.Sysctl("net.ipv4.conf.pub.accept_local", "1")
	wantResult(t, "accept_local", ask(t, good, 20*time.Second), health.OK)
	// The address is on the interface where the answers arrive, so even the
	// strict filter lets them in; on another it does not.
	g.director.Sysctl("net.ipv4.conf.pub.rp_filter", "1")
	wantResult(t, "strict, same interface", ask(t, good, 20*time.Second), health.OK)
	g.director.RemoveAddr("pub", netip.PrefixFrom(g.VIPs.Public, 32))
	g.director.Addr("lo", netip.PrefixFrom(g.VIPs.Public, 32))
	wantResult(t, "strict, other interface", ask(t, good, short()), health.NoResult, "net.ipv4.conf.pub.rp_filter=2")
	g.director.Sysctl("net.ipv4.conf.pub.rp_filter", "2")
	wantResult(t, "loose", ask(t, good, 20*time.Second), health.OK)

	// Without its mark the check meets whatever serves there, here the
	// director itself.
	serveHTTP(t, g.director.Namespace, netip.AddrPortFrom(g.VIPs.Public, 80).String())
	astray := g.through(t, 1, ipvs.DirectRoute, g.VIPs.Public, func(d health.Dial) (health.Checker, error) {
		d.Mark = 0
		return health.NewTCP(&health.TCPConfig{Dial: d})
	})
	wantResult(t, "mark lost", ask(t, astray, 20*time.Second), health.NoResult, "did not go through the private service fwmark/", "hook output")

	for _, s := range g.m.Services() {
		if err := g.plane.DelService(t.Context(), s.Service); err != nil {
			t.Fatal(err)
		}
	}
	wantResult(t, "service removed", ask(t, good, 20*time.Second), health.NoResult, "taken out of the table by another program")
	wantResult(t, "and put back", ask(t, good, 20*time.Second), health.OK)
}

// A node that does not have the address, such as a namespace for checks or a
// backup, needs no settings.
func TestKernelFromANodeWithoutTheAddress(t *testing.T) {
	g := newGround(t)
	g.GiveVIPs(nil)
	good := g.through(t, 0, ipvs.DirectRoute, g.VIPs.Public, web("server1"))
	wantResult(t, "right", ask(t, good, 20*time.Second), health.OK)
	bad := g.through(t, 1, ipvs.DirectRoute, g.VIPs.Public, web("server2"))
	wantResult(t, "wrong", ask(t, bad, short()), health.Fail, "10.1.0.100 on its loopback")
}
