//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"encoding/pem"
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
