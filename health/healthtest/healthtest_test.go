package healthtest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestServerBehaves(t *testing.T) {
	s := NewServer(t, SayAndClose("hello"))
	if got, err := io.ReadAll(dial(t, s)); string(got) != "hello" || err != nil {
		t.Errorf("SayAndClose: %q, %v", got, err)
	}
	s.Set(Close())
	if got, err := io.ReadAll(dial(t, s)); len(got) != 0 || err != nil {
		t.Errorf("Close: %q, %v", got, err)
	}
	s.Set(Answer("world"))
	c := dial(t, s)
	if _, err := c.Write([]byte("?")); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(c); string(got) != "world" || err != nil {
		t.Errorf("Answer: %q, %v", got, err)
	}
	s.Set(Hang())
	c = dial(t, s)
	_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := io.ReadAll(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Hang: %v", err)
	}
	s.Set(Drip("abc", 20*time.Millisecond))
	c, start := dial(t, s), time.Now()
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); string(got) != "abc" || err != nil || time.Since(start) < 30*time.Millisecond {
		t.Errorf("Drip: %q, %v after %v", got, err, time.Since(start))
	}
	if n := s.Accepted(); n != 5 {
		t.Errorf("%d connections accepted, want 5", n)
	}
	s.Set(Reset())
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		if _, err = io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Reset: %v", err)
		}
		c.Close()
	}
}

func TestServerGoesDownAndUp(t *testing.T) {
	s := NewServer(t, Hang())
	c := dial(t, s)
	s.Down()
	s.Down()
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("Down left a connection open")
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("a server that is down accepts")
	}
	s.Up()
	s.Up()
	dial(t, s)
}

func TestFake(t *testing.T) {
	a, b := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:80")
	f := NewFake("id")
	ask := func(addr netip.AddrPort) health.Verdict {
		return f.Check(t.Context(), health.Target{Addr: addr}).Verdict
	}
	f.SetFor(b, Verdicts(health.Fail, health.OK))
	for i, want := range []health.Verdict{health.OK, health.Fail, health.OK, health.OK} {
		if got := ask([]netip.AddrPort{a, b, b, b}[i]); got != want {
			t.Errorf("answer %d is %v, want %v", i, got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	f.Set(After(time.Hour, health.OK))
	if r := f.Check(ctx, health.Target{Addr: a}); r.Verdict != health.Fail {
		t.Errorf("a late answer is %v", r.Verdict)
	}
	one, all := f.MostAtOnce(a)
	if f.Count(a) != 2 || f.Count(b) != 3 || len(f.Calls()) != 5 || f.Running() != 0 || one != 1 || all != 1 || f.Identity() != "id" {
		t.Errorf("the fake counts wrongly: %d %d %d %d %d %d", f.Count(a), f.Count(b), len(f.Calls()), f.Running(), one, all)
	}
}
