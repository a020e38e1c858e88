package ipvs_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

var _ ipvs.Plane = (*userspace.Balancer)(nil)

// The same reconciler drives the balancer of ordinary sockets, drains
// included: that is read as a whole.
func TestReconcilerOnTheUserspaceBalancer(t *testing.T) {
	b, err := userspace.New(nil)
	must(t, err)
	defer b.Close()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	served := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			served <- c
		}
	}()
	// A port that was free a moment ago.
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	vip := free.Addr().(*net.TCPAddr).AddrPort()
	must(t, free.Close())

	web := ipvs.Entry{
		Service:      ipvs.Service{Key: ipvs.TCPService(vip), Scheduler: "rr"},
		Destinations: []ipvs.Destination{{Key: netip.MustParseAddrPort(l.Addr().String()), Weight: 1}},
	}
	r := ipvs.NewReconciler(b, &ipvs.ReconcilerConfig{Drain: time.Minute})
	defer start(r)()
	must(t, r.Set(t.Context(), ipvs.Table{web}))
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp4", vip.String())
	must(t, err)
	defer conn.Close()
	peer := <-served
	defer peer.Close()

	must(t, r.Put(t.Context(), ipvs.Entry{Service: web.Service}))
	wait := func(what string, ok func([]ipvs.Drain) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(r.Status().Drains); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not in time: %s; drains %+v", what, r.Status().Drains)
			}
		}
	}
	wait("the connection is counted", func(ds []ipvs.Drain) bool { return len(ds) == 1 && ds[0].Active == 1 })
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 4)
	must(t, peer.SetReadDeadline(time.Now().Add(30*time.Second)))
	if n, err := peer.Read(buf); err != nil || string(buf[:n]) != "ping" {
		t.Errorf("through a draining server came %q, %v", buf[:n], err)
	}
	conn.Close()
	peer.Close()
	wait("the server is removed", func(ds []ipvs.Drain) bool { return len(ds) == 0 })
	wantTable(t, b, ipvs.Entry{Service: web.Service})
}
