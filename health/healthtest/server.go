package healthtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// Behavior is what a server does with one connection, in clear or over TLS (see
// [OverTLS]). The connection is closed when it returns, and at the end of the
// test.
type Behavior func(ctx context.Context, c net.Conn)

// Hang accepts and then does nothing until the client is gone.
func Hang() Behavior { return func(_ context.Context, c net.Conn) { waitGone(c) } }

// Close accepts and closes at once.
func Close() Behavior { return func(context.Context, net.Conn) {} }

// Reset accepts and resets the connection at once.
func Reset() Behavior {
	return func(_ context.Context, c net.Conn) { reset(c) }
}

// Say sends text at once and then waits until the client is gone: a banner,
// right or wrong.
func Say(text string) Behavior {
	return func(_ context.Context, c net.Conn) {
		if _, err := c.Write([]byte(text)); err == nil {
			waitGone(c)
		}
	}
}

// SayAndClose sends text at once and closes.
func SayAndClose(text string) Behavior {
	return func(_ context.Context, c net.Conn) { _, _ = c.Write([]byte(text)) }
}

// Answer waits for the first bytes of a question, sends text and closes.
func Answer(text string) Behavior {
	return func(_ context.Context, c net.Conn) {
		buf := make([]byte, 4096)
		if n, _ := c.Read(buf); n > 0 {
			_, _ = c.Write([]byte(text))
		}
	}
}

// Drip sends text byte by byte, one each interval, and then waits until the
// client is gone.
func Drip(text string, interval time.Duration) Behavior {
	return func(ctx context.Context, c net.Conn) {
		for i := range len(text) {
			if i > 0 && !sleep(ctx, interval) {
				return
			}
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
		}
		waitGone(c)
	}
}

// reset makes the closing of c a RST, whatever lies above TCP.
func reset(c net.Conn) {
	for {
		switch inner := c.(type) {
		case *net.TCPConn:
			_ = inner.SetLinger(0)
			return
		case interface{ NetConn() net.Conn }: // of TLS, and ours
			c = inner.NetConn()
		default:
			return
		}
	}
}

// waitGone reads until the client closes or the server ends.
func waitGone(c net.Conn) {
	buf := make([]byte, 512)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Server is a TCP server on 127.0.0.1 whose behaviour can be changed while it
// runs. It is safe for concurrent use.
type Server struct {
	tb   testing.TB
	addr netip.AddrPort

	mu       sync.Mutex
	behavior Behavior
	accepted int
	conns    map[net.Conn]bool
	listener net.Listener
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// NewServer starts a server on a free port; it ends with the test.
func NewServer(tb testing.TB, b Behavior) *Server {
	tb.Helper()
	s := &Server{tb: tb, behavior: b, conns: map[net.Conn]bool{}}
	s.listen("127.0.0.1:0")
	s.addr = s.listener.Addr().(*net.TCPAddr).AddrPort()
	tb.Cleanup(s.Down)
	return s
}

// Addr is where the server listens; it stays the same after Down and Up.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Set changes the behaviour for the connections that come.
func (s *Server) Set(b Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behavior = b
}

// Accepted is how many connections have been accepted so far.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Down stops listening and closes every connection: new ones are refused. It
// returns when everything has ended, and does nothing on a server that is
// down.
func (s *Server) Down() {
	s.mu.Lock()
	l := s.listener
	s.listener = nil
	if l != nil {
		l.Close()
		s.cancel()
		for c := range s.conns {
			c.Close()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Up listens again on the same address after Down.
func (s *Server) Up() {
	s.tb.Helper()
	s.mu.Lock()
	up := s.listener != nil
	s.mu.Unlock()
	if !up {
		s.listen(s.addr.String())
	}
}

func (s *Server) listen(addr string) {
	s.tb.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		s.tb.Fatalf("healthtest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.listener, s.cancel = l, cancel
	s.mu.Unlock()
	s.running.Go(func() { s.accept(ctx, l) })
}

func (s *Server) accept(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor left, perhaps: later there will be
			if !sleep(ctx, 5*time.Millisecond) {
				return
			}
			continue
		}
		s.mu.Lock()
		if s.listener != l {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.accepted++
		s.conns[c] = true
		behave := s.behavior
		s.running.Go(func() {
			behave(ctx, c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
		s.mu.Unlock()
	}
}
