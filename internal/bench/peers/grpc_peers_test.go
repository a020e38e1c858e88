//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lvskit/lvskit/health"
)

// serve starts a server of grpc-go on loopback. Without a service of health it
// knows no method at all.
func serve(t *testing.T, service *grpchealth.Server, options ...grpc.ServerOption) (*grpc.Server, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	if service != nil {
		grpc_health_v1.RegisterHealthServer(s, service)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-ended
	})
	return s, l.Addr().(*net.TCPAddr).AddrPort()
}

// ask checks once.
func ask(t *testing.T, cfg *health.GRPCConfig, addr netip.AddrPort) health.Result {
	t.Helper()
	c, err := health.NewGRPC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Check(ctx, health.Target{Addr: addr})
}

func want(t *testing.T, r health.Result, v health.Verdict, reason string) {
	t.Helper()
	if r.Verdict != v || !strings.Contains(r.Reason, reason) {
		t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, v, reason)
	}
}

// certificate is a server's for example.com, and what trusts it.
func certificate() (tls.Certificate, health.TLSConfig) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s.TLS.Certificates[0], health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}
}

func TestPeersGRPC(t *testing.T) {
	pair, trust := certificate()
	for name, over := range map[string]*health.TLSConfig{"in clear": nil, "over TLS": &trust} {
		t.Run(name, func(t *testing.T) {
			var options []grpc.ServerOption
			if over != nil {
				options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
			}
			state := grpchealth.NewServer()
			s, addr := serve(t, state, options...)
			whole, shop := &health.GRPCConfig{TLS: over}, &health.GRPCConfig{Service: "shop.v1.Cart", TLS: over}
			want(t, ask(t, whole, addr), health.OK, "SERVING")
			want(t, ask(t, shop, addr), health.Fail, `read: the server does not know the service "shop.v1.Cart"`)
			state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			want(t, ask(t, shop, addr), health.Fail, "NOT_SERVING")
			want(t, ask(t, whole, addr), health.OK, "SERVING")
			state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
			want(t, ask(t, shop, addr), health.OK, "SERVING")
			// What a program does first when it is told to end.
			state.Shutdown()
			want(t, ask(t, whole, addr), health.Fail, "NOT_SERVING")
			want(t, ask(t, shop, addr), health.Fail, "NOT_SERVING")
			s.GracefulStop()
			want(t, ask(t, whole, addr), health.Fail, "connect: refused; nothing listens there")
		})
	}
	_, bare := serve(t, nil)
	want(t, ask(t, nil, bare), health.Fail, "read: the server has no health service (grpc-status 12)")
	_, secure := serve(t, grpchealth.NewServer(), grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	want(t, ask(t, nil, secure), health.Fail, "read: closed by the server before the answer was complete")
	want(t, ask(t, &health.GRPCConfig{TLS: &trust}, bare), health.Fail, "which is no TLS; does this port begin in plain text?")
}

// TestPeersGRPCWatch leaves the question open, so that a server which takes
// itself out is heard of by what it says, and one that ends by its end.
func TestPeersGRPCWatch(t *testing.T) {
	pair, trust := certificate()
	state := grpchealth.NewServer()
	s, addr := serve(t, state, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	c, err := health.NewGRPC(&health.GRPCConfig{Service: "shop.v1.Cart", TLS: &trust, Watch: true})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan health.Result, 16)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stand := func() {
		go func() {
			ended <- c.Stand(ctx, health.Target{Addr: addr}, func(r health.Result) { heard <- r })
		}()
	}
	next := func(v health.Verdict, reason string) {
		t.Helper()
		select {
		case r := <-heard:
			want(t, r, v, reason)
		case err := <-ended:
			t.Fatalf("the session has ended: %v", err)
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing heard, want %v, %s", v, reason)
		}
	}
	stand()
	next(health.Fail, `does not know the service "shop.v1.Cart"`)
	state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
	next(health.OK, "SERVING")
	state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	next(health.Fail, "NOT_SERVING")
	state.Resume()
	next(health.OK, "SERVING")
	state.Shutdown()
	next(health.Fail, "NOT_SERVING")
	s.Stop()
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, health.ErrNoSession) {
			t.Errorf("a server that ends: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a server that ends is not noticed")
	}
	cancel()
	stand()
	if err := <-ended; err != nil {
		t.Errorf("a session that we end: %v", err)
	}
	// grpc-go ends connections on which pings come more often than every five
	// minutes; we do not ask by pings.
	lively := grpchealth.NewServer()
	_, addr = serve(t, lively)
	if c, err = health.NewGRPC(&health.GRPCConfig{Watch: true, Keepalive: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := c.Stand(ctx, health.Target{Addr: addr}, func(r health.Result) { want(t, r, health.OK, "SERVING") }); err != nil {
		t.Errorf("a session with a lively server: %v", err)
	}
	_, bare := serve(t, nil)
	plain, err := health.NewGRPC(&health.GRPCConfig{Watch: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Stand(t.Context(), health.Target{Addr: bare}, func(health.Result) {}); !errors.Is(err, health.ErrNoSession) {
		t.Errorf("a server without the service: %v, want %v", err, health.ErrNoSession)
	}
}
