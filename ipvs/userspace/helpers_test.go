package userspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/ipvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing is measured by it.
const patience = 20 * time.Second

func newBalancer(t testing.TB, cfg *Config) *Balancer {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	useEngine(t, b)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func apply(t testing.TB, b *Balancer, changes ...ipvs.Change) {
	t.Helper()
	if err := b.Apply(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
}

func addService(s ipvs.Service) ipvs.Change { return ipvs.Change{Op: ipvs.OpAddService, Service: s} }

func change(op ipvs.Op, s ipvs.Service, d ipvs.Destination) ipvs.Change {
	return ipvs.Change{Op: op, Service: s, Destination: d}
}

func dest(addr netip.AddrPort, weight int) ipvs.Destination {
	return ipvs.Destination{Key: addr, Weight: weight}
}

// freePort returns a loopback address whose port was free on all addresses a
// moment ago. It is none of those that systems give to connects (from 32768 on
// Linux, and above elsewhere), which other programs take at any time.
func freePort(t testing.TB, network string) netip.AddrPort {
	t.Helper()
	var err error
	for range 100 {
		port := uint16(10240 + rand.IntN(22528))
		var c io.Closer
		if network == "udp" {
			c, err = net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		} else {
			c, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		}
		if err == nil {
			c.Close()
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		}
	}
	t.Fatal(err)
	return netip.AddrPort{}
}

// tcpService adds a TCP service on a free port and destinations in order.
func tcpService(t testing.TB, b *Balancer, scheduler string, dests ...ipvs.Destination) ipvs.Service {
	t.Helper()
	return onFreePort(t, b, func() ipvs.Service {
		return ipvs.Service{Key: ipvs.TCPService(freePort(t, "tcp")), Scheduler: scheduler}
	}, dests)
}

func udpService(t testing.TB, b *Balancer, scheduler string, dests ...ipvs.Destination) ipvs.Service {
	t.Helper()
	return onFreePort(t, b, func() ipvs.Service {
		return ipvs.Service{Key: ipvs.UDPService(freePort(t, "udp")), Scheduler: scheduler}
	}, dests)
}

// onFreePort tries again when another program was faster.
func onFreePort(t testing.TB, b *Balancer, service func() ipvs.Service, dests []ipvs.Destination) ipvs.Service {
	t.Helper()
	var err error
	for range 5 {
		s := service()
		if err = b.Apply(context.Background(), []ipvs.Change{addService(s)}); err == nil {
			for _, d := range dests {
				apply(t, b, change(ipvs.OpAddDestination, s, d))
			}
			return s
		}
	}
	t.Fatal(err)
	return ipvs.Service{}
}

func startService(t testing.TB, b *Balancer, s ipvs.Service, dests ...ipvs.Destination) ipvs.Service {
	t.Helper()
	apply(t, b, addService(s))
	for _, d := range dests {
		apply(t, b, change(ipvs.OpAddDestination, s, d))
	}
	return s
}

// server serves TCP connections with a handler, until it is closed.
type server struct {
	addr netip.AddrPort
	ln   net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex
	all  map[net.Conn]bool
}

func serveTCP(t testing.TB, handle func(*net.TCPConn)) *server {
	t.Helper()
	return serveTCPOn(t, "127.0.0.1:0", handle)
}

func serveTCPOn(t testing.TB, addr string, handle func(*net.TCPConn)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: ln.Addr().(*net.TCPAddr).AddrPort(), ln: ln, all: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.all[c] = true
			s.mu.Unlock()
			s.wg.Go(func() {
				defer func() {
					c.Close()
					s.mu.Lock()
					delete(s.all, c)
					s.mu.Unlock()
				}()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *server) close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.all {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// named answers each line-less request: it writes its name, then echoes.
func named(t testing.TB, name string) *server { return namedOn(t, name, "127.0.0.1:0") }

func namedOn(t testing.TB, name, addr string) *server {
	return serveTCPOn(t, addr, func(c *net.TCPConn) {
		if _, err := io.WriteString(c, name); err == nil {
			io.Copy(c, c)
		}
	})
}

func dial(t testing.TB, s ipvs.Service) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Key.Addr.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// ask connects, reads the name of a one-letter server and keeps the
// connection open.
func ask(t testing.TB, s ipvs.Service) (string, *net.TCPConn) {
	t.Helper()
	c := dial(t, s)
	var name [1]byte
	if _, err := io.ReadFull(c, name[:]); err != nil {
		t.Fatalf("reading the server's name: %v", err)
	}
	return string(name[:]), c
}

// hangUp closes a connection from ask and waits until the balancer knows.
func hangUp(t testing.TB, c *net.TCPConn) {
	t.Helper()
	c.CloseWrite()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// settled waits until n connections of a service have ended and count as
// closed ones.
func settled(t testing.TB, b *Balancer, s ipvs.Service, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections are closed", n), func() bool {
		var active, inactive uint32
		for _, d := range entry(t, b, s.Key).Destinations {
			active, inactive = active+d.Active, inactive+d.Inactive
		}
		// A connection is inactive a moment before it is in a queue.
		closed := closedOf(b, s)
		closed.mu.Lock()
		defer closed.mu.Unlock()
		return active == 0 && inactive == uint32(n) && closed.inOrder.n+closed.reset.n == n
	})
}

// closedOf returns the closed connections of a TCP service.
func closedOf(b *Balancer, s ipvs.Service) *closedConns {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &b.services[s.Key].closed
}

// asks returns the names of n servers asked one after another.
func asks(t testing.TB, s ipvs.Service, n int) string {
	t.Helper()
	var names string
	for range n {
		name, c := ask(t, s)
		names += name
		hangUp(t, c)
	}
	return names
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func entry(t testing.TB, b *Balancer, key ipvs.ServiceKey) ipvs.EntryState {
	t.Helper()
	snap, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range snap {
		if e.Service.Key == key {
			return e
		}
	}
	t.Fatalf("no service %v in %v", key, snap)
	return ipvs.EntryState{}
}

func state(t testing.TB, b *Balancer, s ipvs.Service, d netip.AddrPort) ipvs.DestinationState {
	t.Helper()
	for _, x := range entry(t, b, s.Key).Destinations {
		if x.Key == d {
			return x
		}
	}
	t.Fatalf("no destination %v", d)
	return ipvs.DestinationState{}
}

// isReset tells a reset from an orderly end.
func isReset(err error) bool {
	return err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.DeadlineExceeded) && isRefusal(err)
}
