//go:build peers

package peers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lvskit/lvskit/health"
)

// A session tells of each change, and grpc-go, which ends a connection with
// more than two pings in five minutes, takes its questions for what they are.
func TestPeersGRPCWatch(t *testing.T) {
	pair, trust := certificate()
	for name, over := range map[string]*health.TLSConfig{"in clear": nil, "over TLS": &trust} {
		t.Run(name, func(t *testing.T) {
			var options []grpc.ServerOption
			if over != nil {
				options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
			}
			state := grpchealth.NewServer()
			s, addr := serve(t, state, options...)
			c, err := health.NewGRPC(&health.GRPCConfig{Service: "shop.v1.Cart", TLS: over, Watch: true, Keepalive: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			reports, ended := make(chan health.Result, 100), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { ended <- c.Stand(ctx, health.Target{Addr: addr}, func(r health.Result) { reports <- r }) }()
			next := func() health.Result {
				t.Helper()
				select {
				case r := <-reports:
					return r
				case err := <-ended:
					t.Fatalf("the session ended: %v", err)
				case <-time.After(10 * time.Second):
					t.Fatal("no report")
				}
				return health.Result{}
			}
			want(t, next(), health.Fail, `watch: the server does not know the service "shop.v1.Cart"`)
			start := time.Now()
			for range 50 {
				state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
				want(t, next(), health.OK, "watch: SERVING")
				state.SetServingStatus("shop.v1.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
				want(t, next(), health.Fail, "watch: NOT_SERVING")
				if time.Since(start) < time.Second {
					time.Sleep(30 * time.Millisecond) // 100 changes a second are its bound
				}
			}
			time.Sleep(1500 * time.Millisecond) // fifteen questions
			if len(reports) > 0 {
				t.Errorf("reports without a change: %+v", <-reports)
			}
			go s.GracefulStop()
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), "the server ends the connection: NO_ERROR") {
					t.Errorf("a graceful stop: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("a graceful stop goes unnoticed")
			}
		})
	}
	_, bare := serve(t, nil)
	c, err := health.NewGRPC(&health.GRPCConfig{Watch: true})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Stand(t.Context(), health.Target{Addr: bare}, func(r health.Result) { t.Errorf("report %+v", r) })
	if !errors.Is(err, health.ErrNoSession) {
		t.Errorf("a server without a service of health: %v", err)
	}
}
