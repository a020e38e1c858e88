//go:build linux && (netns || kernel)

package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers every HTTP request in a namespace with a text.
func serve(t *testing.T, n *Namespace, addr netip.AddrPort, text string) {
	t.Helper()
	ln, err := n.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

// get asks once, over a new connection from inside a namespace.
func get(t *testing.T, n *Namespace, addr netip.AddrPort) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: n.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/", addr), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return string(b), err
}

func wantText(t *testing.T, n *Namespace, addr netip.AddrPort, want string) {
	t.Helper()
	if got, err := get(t, n, addr); err != nil || got != want {
		t.Errorf("%s asks %s: %q, %v, want %q", n.Name(), addr, got, err, want)
	}
}

// clusterCarries proves the paths of a cluster: from the client over router,
// director and both bridges to each server and back, in IPv4 and IPv6.
func clusterCarries(t *testing.T) {
	began := time.Now()
	c := NewCluster(t)
	t.Logf("built in %v", time.Since(began))
	d := &c.Directors[1]
	c.GiveVIPs(&c.Directors[0])
	c.GiveVIPs(d) // which the first one then has no longer
	c.Router.Route(netip.MustParsePrefix("10.2.0.0/24"), d.Public)
	c.Router.Route(netip.MustParsePrefix("fd02::/64"), d.Public6)
	for _, s := range c.Servers {
		for _, a := range []netip.Addr{s.Private, s.Private6} {
			at := netip.AddrPortFrom(a, 80)
			serve(t, s.Namespace, at, s.Name())
			wantText(t, c.Client, at, s.Name())
		}
	}
	for _, a := range []netip.Addr{c.VIPs.Public, c.VIPs.Public6} {
		at := netip.AddrPortFrom(a, 81)
		serve(t, d.Namespace, at, "vip")
		wantText(t, c.Client, at, "vip")
	}
	// A cable pulled is noticed at the other end of the public bridge only.
	c.Switch.Down("pri-server1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := c.Client.DialContext(ctx, "tcp", netip.AddrPortFrom(c.Servers[0].Private, 80).String()); err == nil {
		conn.Close()
		t.Error("a server without a cable still answers")
	}
	c.Switch.Up("pri-server1")
	wantText(t, c.Client, netip.AddrPortFrom(c.Servers[0].Private, 80), "server1")
}

// dialFromPicks proves that a server sees the address that the client chose.
func dialFromPicks(t *testing.T) {
	l := New(t)
	a, b := l.Namespace("a"), l.Namespace("b")
	l.Veth(a, "eth", b, "eth")
	a.Addr("eth", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24"))
	b.Addr("eth", netip.MustParsePrefix("192.0.2.9/24"))
	ln, err := b.Listen("tcp", "192.0.2.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		conn, err := a.DialFrom(t.Context(), netip.MustParseAddr(from), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		seen, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer seen.Close()
		if got := seen.RemoteAddr().(*net.TCPAddr).IP.String(); got != from {
			t.Errorf("server sees %s, want %s", got, from)
		}
	}
}
