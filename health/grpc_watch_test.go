package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// States as a gRPC server sends them.
const (
	grpcServing    = "\x00\x00\x00\x00\x02\x08\x01"
	grpcNotServing = "\x00\x00\x00\x00\x02\x08\x02"
	grpcNotKnown   = "\x00\x00\x00\x00\x02\x08\x03"
)

// grpcHealth is a health service. Watch is given the calls to it; Check
// answers SERVING if it is nil.
type grpcHealth struct {
	watch func(w http.ResponseWriter, r *http.Request, say func(string))
	check func(w http.ResponseWriter, r *http.Request, say func(string))
}

func (h grpcHealth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	say := func(message string) {
		_, _ = io.WriteString(w, message)
		w.(http.Flusher).Flush()
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/Watch") && h.watch != nil:
		h.watch(w, r, say)
	case strings.HasSuffix(r.URL.Path, "/Check") && h.check != nil:
		h.check(w, r, say)
	case strings.HasSuffix(r.URL.Path, "/Check"):
		say(grpcServing)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	default:
		w.Header().Set("Grpc-Status", "12")
	}
}

// stays says the message and goes on until the client is gone.
func stays(message string) func(http.ResponseWriter, *http.Request, func(string)) {
	return func(_ http.ResponseWriter, r *http.Request, say func(string)) {
		say(message)
		<-r.Context().Done()
	}
}

// stand leaves a question open and returns what it reports and how it ends.
func stand(t *testing.T, c health.Checker, s *healthtest.Server) (<-chan health.Result, <-chan error, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reports, ended := make(chan health.Result, 1000), make(chan error, 1)
	go func() {
		ended <- c.(health.Standing).Stand(ctx, health.Target{Addr: s.Addr()}, func(r health.Result) { reports <- r })
	}()
	t.Cleanup(cancel)
	return reports, ended, cancel
}

func next[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(short):
		t.Fatalf("no %s within %v", what, short)
	}
	return v
}

func watcher(cfg health.GRPCConfig) health.Checker {
	cfg.Watch = true
	return must(health.NewGRPC(&cfg))
}

func TestGRPCWatchTellsOfADrainAtOnce(t *testing.T) {
	server, roots := certificate()
	for name, tlsConfig := range map[string]*health.TLSConfig{"plain": nil, "tls": {RootsPEM: roots}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states := make(chan string)
			h := grpcHealth{watch: func(_ http.ResponseWriter, r *http.Request, say func(string)) {
				for {
					select {
					case s := <-states:
						say(s)
					case <-r.Context().Done():
						return
					}
				}
			}}
			cfg := server
			if tlsConfig == nil {
				cfg = nil
			} else {
				cfg = cfg.Clone()
				cfg.NextProtos = []string{"h2"}
			}
			s := healthtest.NewServer(t, grpcServer(cfg, h.ServeHTTP))
			// No Check is due while this runs.
			reports, ended, cancel := stand(t, watcher(health.GRPCConfig{TLS: tlsConfig, Keepalive: time.Hour}), s)
			states <- grpcServing
			first := next(t, reports, "first report")
			want(t, first, health.OK, "watch: SERVING")
			if first.Phases[0].Name != "connect" || first.Duration <= 0 || len(first.Seen) != len(grpcServing) {
				t.Errorf("the first report is %+v", first)
			}
			states <- grpcNotServing
			want(t, next(t, reports, "drain"), health.Fail, "watch: NOT_SERVING", "watch")
			states <- grpcNotServing // no news
			states <- grpcNotKnown
			want(t, next(t, reports, "loss of the service"), health.Fail, "watch: the server does not know the service")
			states <- grpcServing[:3]
			states <- grpcServing[3:] + grpcNotServing
			want(t, next(t, reports, "a message in pieces"), health.OK, "watch: SERVING")
			want(t, next(t, reports, "a second one in the same"), health.Fail, "NOT_SERVING")
			cancel()
			if err := next(t, ended, "end"); err != nil {
				t.Errorf("cancelled: %v", err)
			}
			if s.Accepted() != 1 || len(reports) > 0 {
				t.Errorf("%d connections, %d more reports", s.Accepted(), len(reports))
			}
		})
	}
}

func TestGRPCWatchEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		server healthtest.Behavior
		reason string
		turns  bool // ErrNoSession
	}{
		"no Watch":           {grpcServer(nil, grpcHealth{}.ServeHTTP), "grpc-status 12", true},
		"no gRPC":            {grpcServer(nil, http.NotFound), "status 404 Not Found, expected 200", false},
		"no HTTP/2":          {healthtest.Say("220 mail\r\n"), "no HTTP/2", false},
		"closes":             {healthtest.Close(), "", false},
		"closes later":       {healthtest.SayAndClose("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), "", false},
		"garbage":            {healthtest.Say(strings.Repeat("\x00\x00\x01\x01\x0c\x00\x00\x00\x01\xff", 10)), "no HTTP/2", false},
		"goes away":          {healthtest.Say("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07" + "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"), "the server ends the connection: NO_ERROR", false},
		"resets the request": {healthtest.Say("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"), "the server ends the request: REFUSED_STREAM", false},
		"ends the Watch": {grpcServer(nil, grpcHealth{watch: func(w http.ResponseWriter, _ *http.Request, say func(string)) {
			say(grpcServing)
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "14")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", "going%20down")
		}}.ServeHTTP), "grpc-status 14 going down", false},
		"ends well": {grpcServer(nil, grpcHealth{watch: func(w http.ResponseWriter, _ *http.Request, say func(string)) {
			say(grpcServing)
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}}.ServeHTTP), "the server ends the Watch", false},
		"is stuck": {grpcServer(nil, grpcHealth{watch: stays(grpcServing), check: func(_ http.ResponseWriter, r *http.Request, _ func(string)) {
			<-r.Context().Done()
		}}.ServeHTTP), "no answer to a Check within 200ms", false},
		"floods": {func(ctx context.Context, c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for ctx.Err() == nil { // frames of a kind that nobody knows
				if _, err := c.Write([]byte(strings.Repeat("\x00\x00\x00\xfe\x00\x00\x00\x00\x00", 1000))); err != nil {
					return
				}
			}
		}, "more than 10000 frames in a second", false},
		"a long message": {grpcServer(nil, grpcHealth{watch: stays("\x00\x7f\xff\xff\xff")}.ServeHTTP), "a message of 2147483647 bytes", false},
		"in a rush": {grpcServer(nil, grpcHealth{watch: func(_ http.ResponseWriter, r *http.Request, say func(string)) {
			say(strings.Repeat(grpcServing+grpcNotServing, 100))
			<-r.Context().Done()
		}}.ServeHTTP), "more than 100 changes in a second", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := healthtest.NewServer(t, tt.server)
			_, ended, _ := stand(t, watcher(health.GRPCConfig{Keepalive: 200 * time.Millisecond}), s)
			err := next(t, ended, "end")
			if err == nil || !strings.Contains(err.Error(), "grpc watch of "+s.Addr().String()+": ") || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("error %v, want %s", err, tt.reason)
			}
			if errors.Is(err, health.ErrNoSession) != tt.turns {
				t.Errorf("error %v, want it by turns: %t", err, tt.turns)
			}
		})
	}
	off := must(health.NewGRPC(nil)).(*health.GRPC)
	if err := off.Stand(t.Context(), health.Target{}, nil); !errors.Is(err, health.ErrNoSession) {
		t.Errorf("without the option: %v", err)
	}
	if _, err := health.NewGRPC(&health.GRPCConfig{Keepalive: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "keepalive 1ms") {
		t.Errorf("error %v", err)
	}
}

// through forwards a connection to another server in pieces, and stops without
// a word when it is told to.
func through(to *healthtest.Server, piece int, pause time.Duration, stuck *atomic.Bool) healthtest.Behavior {
	return func(ctx context.Context, c net.Conn) {
		back, err := net.Dial("tcp4", to.Addr().String())
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { _ = back.Close() })()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(back, c)
			_ = back.Close()
		}()
		buf := make([]byte, piece)
		for {
			n, err := back.Read(buf)
			if err != nil {
				break
			}
			if !stuck.Load() {
				_, _ = c.Write(buf[:n])
			}
			time.Sleep(pause)
		}
		_ = c.Close()
		<-gone
	}
}

// A server that goes silent is noticed; one that only is slow is not cut off
// in the middle of a frame.
func TestGRPCWatchNoticesSilence(t *testing.T) {
	server, roots := certificate()
	server.NextProtos = []string{"h2"}
	var checks atomic.Int32
	h := grpcHealth{watch: stays(grpcServing), check: func(w http.ResponseWriter, _ *http.Request, say func(string)) {
		checks.Add(1)
		say(grpcServing)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}}
	var stuck atomic.Bool
	real := healthtest.NewServer(t, grpcServer(server, h.ServeHTTP))
	s := healthtest.NewServer(t, through(real, 7, time.Millisecond, &stuck))
	reports, ended, _ := stand(t, watcher(health.GRPCConfig{TLS: &health.TLSConfig{RootsPEM: roots}, Keepalive: 500 * time.Millisecond}), s)
	want(t, next(t, reports, "report"), health.OK, "SERVING")
	for wait := 0; checks.Load() < 3; wait++ {
		if wait > 500 {
			t.Fatalf("asked %d times only", checks.Load())
		}
		time.Sleep(20 * time.Millisecond)
	}
	stuck.Store(true)
	if err := next(t, ended, "end"); err == nil || !strings.Contains(err.Error(), "no answer to a Check within 500ms") {
		t.Errorf("error %v", err)
	}
	if len(reports) > 0 {
		t.Errorf("more reports: %+v", <-reports)
	}
}

// What Check says counts where the Watch forgets to tell.
func TestGRPCWatchBelievesCheck(t *testing.T) {
	var state atomic.Value
	state.Store(grpcServing)
	h := grpcHealth{watch: stays(grpcServing), check: func(w http.ResponseWriter, _ *http.Request, say func(string)) {
		say(state.Load().(string))
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}}
	s := healthtest.NewServer(t, grpcServer(nil, h.ServeHTTP))
	reports, _, _ := stand(t, watcher(health.GRPCConfig{Keepalive: 100 * time.Millisecond}), s)
	want(t, next(t, reports, "report"), health.OK, "SERVING")
	state.Store(grpcNotServing)
	want(t, next(t, reports, "change"), health.Fail, "NOT_SERVING")
	state.Store(grpcServing)
	want(t, next(t, reports, "return"), health.OK, "SERVING")
}

// A stream that says much more than a window goes on.
func TestGRPCWatchKeepsTheWindowOpen(t *testing.T) {
	h := grpcHealth{watch: func(_ http.ResponseWriter, r *http.Request, say func(string)) {
		for range 100 {
			say(strings.Repeat(grpcServing, 1000))
		}
		say(grpcNotServing)
		<-r.Context().Done()
	}}
	s := healthtest.NewServer(t, grpcServer(nil, h.ServeHTTP))
	reports, _, _ := stand(t, watcher(health.GRPCConfig{Keepalive: time.Hour}), s)
	want(t, next(t, reports, "report"), health.OK, "SERVING")
	want(t, next(t, reports, "report after 700 kB"), health.Fail, "NOT_SERVING")
}

func ExampleGRPC_Stand() {
	check, err := health.NewGRPC(&health.GRPCConfig{Service: "shop.Cart", Watch: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A Monitor does this by itself, and asks by turns while there is no session.
	var standing health.Standing = check
	fmt.Println(standing.Identity())
	// Output: grpc service="shop.Cart" authority="" watch keepalive=5s
}
