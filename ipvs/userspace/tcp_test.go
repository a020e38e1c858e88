package userspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

func TestTCPDistribution(t *testing.T) { onEngines(t, testTCPDistribution) }

func testTCPDistribution(t *testing.T) {
	a, bb, c := named(t, "a"), named(t, "b"), named(t, "c")
	tests := []struct {
		name, sched, want string
		weights           [3]int
	}{
		// The newest first, round and round.
		{"rr", "rr", "cbacbacba", [3]int{1, 2, 3}},
		// As derived in package sched: the adds leave the lowest level.
		{"wrr", "wrr", "cba" + "a" + "ba" + "cba" + "a" + "ba", [3]int{3, 2, 1}},
		{"weight zero takes none", "rr", "cacaca", [3]int{1, 0, 1}},
		// Each is closed before the next, and counts still.
		{"wlc of closed connections", "wlc", "cbacba", [3]int{1, 1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBalancer(t, nil)
			s := tcpService(t, b, tt.sched, dest(a.addr, tt.weights[0]), dest(bb.addr, tt.weights[1]), dest(c.addr, tt.weights[2]))
			var got string
			for range tt.want {
				got += asks(t, s, 1)
				settled(t, b, s, len(got))
			}
			if got != tt.want {
				t.Errorf("asked %s, want %s", got, tt.want)
			}
			e := entry(t, b, s.Key)
			if e.Service.Stats.Connections != uint64(len(tt.want)) {
				t.Errorf("%d connections counted, want %d", e.Service.Stats.Connections, len(tt.want))
			}
		})
	}
}

func TestWLCWithHeldConnections(t *testing.T) { onEngines(t, testWLCWithHeldConnections) }

func testWLCWithHeldConnections(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "wlc", dest(a.addr, 3), dest(bb.addr, 1))
	var got string
	for range 8 {
		name, _ := ask(t, s)
		got += name
	}
	// b first (idle, newest); then a while its load for its weight is less;
	// ties go to b, the first: b 1/1, a 3/3 -> b; then a until 6/3.
	if want := "baaabaaa"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if x := state(t, b, s, a.addr); x.Active != 6 || x.Inactive != 0 {
		t.Errorf("a has %d active and %d inactive, want 6 and 0", x.Active, x.Inactive)
	}
}

func TestQuiescedServerKeepsItsConnections(t *testing.T) {
	onEngines(t, testQuiescedServerKeepsItsConnections)
}

func testQuiescedServerKeepsItsConnections(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(bb.addr, 1))
	name, open := ask(t, s)
	if name != "b" {
		t.Fatalf("asked %s, want b", name)
	}
	apply(t, b, change(ipvs.OpSetDestination, s, dest(bb.addr, 0)))
	if got := asks(t, s, 3); got != "aaa" {
		t.Errorf("asked %s, want aaa", got)
	}
	echo(t, open, "still here")
	apply(t, b, change(ipvs.OpSetDestination, s, dest(bb.addr, 1)))
	if got := asks(t, s, 2); !strings.Contains(got, "b") {
		t.Errorf("asked %s, want b to be back", got)
	}
}

func echo(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("echoed %q, %v; want %q", buf, err, text)
	}
}

func TestOpenConnectionsSurviveDeletionsAndSchedulers(t *testing.T) {
	onEngines(t, testOpenConnectionsSurviveDeletionsAndSchedulers)
}

func testOpenConnectionsSurviveDeletionsAndSchedulers(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(bb.addr, 1))
	_, onB := ask(t, s)
	_, onA := ask(t, s)
	apply(t, b, change(ipvs.OpDelDestination, s, dest(bb.addr, 1)))
	if got := asks(t, s, 2); got != "aa" {
		t.Errorf("asked %s after the deletion, want aa", got)
	}
	echo(t, onB, "destination deleted")
	s.Scheduler = "wlc"
	apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
	echo(t, onA, "scheduler changed")
	if got := state(t, b, s, a.addr).Active; got != 1 {
		t.Errorf("a has %d active connections, want 1", got)
	}
	apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}))
	if c, err := net.Dial("tcp", s.Key.Addr.String()); err == nil {
		c.Close()
		t.Error("the deleted service still takes connections")
	}
	echo(t, onA, "service deleted")
	echo(t, onB, "service deleted")
}

func TestHalfCloseGoesBothWays(t *testing.T) { onEngines(t, testHalfCloseGoesBothWays) }

func testHalfCloseGoesBothWays(t *testing.T) {
	t.Run("client first", func(t *testing.T) {
		srv := serveTCP(t, func(c *net.TCPConn) {
			all, err := io.ReadAll(c) // Ends only with the client's end.
			if err == nil {
				fmt.Fprintf(c, "got %d", len(all))
			}
		})
		b := newBalancer(t, nil)
		c := dial(t, tcpService(t, b, "rr", dest(srv.addr, 1)))
		io.WriteString(c, "12345")
		c.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "got 5" {
			t.Errorf("read %q, %v", got, err)
		}
	})
	t.Run("server first", func(t *testing.T) {
		heard := make(chan string, 1)
		srv := serveTCP(t, func(c *net.TCPConn) {
			io.WriteString(c, "bye")
			c.CloseWrite()
			all, _ := io.ReadAll(c)
			heard <- string(all)
		})
		b := newBalancer(t, nil)
		s := tcpService(t, b, "rr", dest(srv.addr, 1))
		c := dial(t, s)
		if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
			t.Fatalf("read %q, %v", got, err)
		}
		// Half closed: inactive, and still open.
		eventually(t, "the connection is inactive", func() bool {
			x := state(t, b, s, srv.addr)
			return x.Active == 0 && x.Inactive == 1
		})
		io.WriteString(c, "more")
		c.CloseWrite()
		if got := <-heard; got != "more" {
			t.Errorf("the server heard %q", got)
		}
		eventually(t, "the connection is gone", func() bool { return b.limits.connections.Load() == 0 })
		if x := state(t, b, s, srv.addr); x.Active != 0 || x.Inactive != 1 {
			t.Errorf("%d active and %d inactive connections after the end, want 0 and 1", x.Active, x.Inactive)
		}
	})
}

func TestResetIsPassedOn(t *testing.T) { onEngines(t, testResetIsPassedOn) }

func testResetIsPassedOn(t *testing.T) {
	t.Run("from the server", func(t *testing.T) {
		srv := serveTCP(t, func(c *net.TCPConn) {
			var one [1]byte
			io.ReadFull(c, one[:])
			c.SetLinger(0)
		})
		b := newBalancer(t, nil)
		c := dial(t, tcpService(t, b, "rr", dest(srv.addr, 1)))
		io.WriteString(c, "x")
		if _, err := io.ReadAll(c); !isReset(err) {
			t.Errorf("the client read %v, want a reset", err)
		}
	})
	t.Run("from the client", func(t *testing.T) {
		result := make(chan error, 1)
		srv := serveTCP(t, func(c *net.TCPConn) {
			_, err := io.ReadAll(c)
			result <- err
		})
		b := newBalancer(t, nil)
		s := tcpService(t, b, "rr", dest(srv.addr, 1))
		c := dial(t, s)
		io.WriteString(c, "x")
		eventually(t, "the byte is through", func() bool { return state(t, b, s, srv.addr).Stats.InBytes == 1 })
		c.SetLinger(0)
		c.Close()
		if err := <-result; !isReset(err) {
			t.Errorf("the server read %v, want a reset", err)
		}
	})
	t.Run("without a server", func(t *testing.T) {
		b := newBalancer(t, nil)
		if err := fate(tcpService(t, b, "rr")); !isReset(err) {
			t.Errorf("the client saw %v, want a reset", err)
		}
		if got := b.Counters().NoServer; got != 1 {
			t.Errorf("%d clients without a server counted, want 1", got)
		}
	})
}

// fate connects and returns how that ends. A fast reset is already seen by
// the connect.
func fate(s ipvs.Service) error {
	c, err := net.DialTimeout("tcp", s.Key.Addr.String(), patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	_, err = io.ReadAll(c)
	return err
}

func TestBigTransfersArriveWhole(t *testing.T) { onEngines(t, testBigTransfersArriveWhole) }

func testBigTransfersArriveWhole(t *testing.T) {
	const size = 64 << 20
	block := make([]byte, 1<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(block)
	send := func(w io.Writer) ([32]byte, error) {
		h := sha256.New()
		for i := range size >> 20 {
			block := bytes.Clone(block)
			block[0] = byte(i)
			h.Write(block)
			// In odd pieces, so that reads are full and not full.
			for len(block) > 0 {
				n := min(len(block), 1+i*7919)
				if _, err := w.Write(block[:n]); err != nil {
					return [32]byte{}, err
				}
				block = block[n:]
				if i < 2 && n < 100 && len(block)%10007 != 0 {
					// The smallest pieces only now and then.
					if _, err := w.Write(block); err != nil {
						return [32]byte{}, err
					}
					block = nil
				}
			}
		}
		return [32]byte(h.Sum(nil)), nil
	}
	receive := func(r io.Reader) (sum [32]byte, n int64, err error) {
		h := sha256.New()
		n, err = io.Copy(h, io.LimitReader(r, size))
		return [32]byte(h.Sum(nil)), n, err
	}
	type result struct {
		sent, received [32]byte
		err            error
	}
	results := make(chan result, 1)
	// Both directions at once.
	both := func(c io.ReadWriter) (res result) {
		var wg sync.WaitGroup
		var sendErr error
		wg.Go(func() { res.sent, sendErr = send(c) })
		var n int64
		res.received, n, res.err = receive(c)
		wg.Wait()
		if res.err == nil && n != size {
			res.err = io.ErrUnexpectedEOF
		}
		res.err = errors.Join(res.err, sendErr)
		return res
	}
	srv := serveTCP(t, func(c *net.TCPConn) { results <- both(c) })
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	c := dial(t, s)
	c.SetDeadline(time.Now().Add(3 * patience))
	client := both(c)
	server := <-results
	if client.err != nil || server.err != nil {
		t.Fatalf("client %v, server %v", client.err, server.err)
	}
	if client.sent != server.received || server.sent != client.received {
		t.Error("what arrived is not what was sent")
	}
	c.Close()
	eventually(t, "all bytes are counted", func() bool {
		st := entry(t, b, s.Key).Service.Stats
		return st.InBytes == size && st.OutBytes == size && st.InPackets >= size/maxPiece
	})
}

// deadAddr returns an address where nothing listens, and nothing can: a
// client's connection has it for the length of the test.
func deadAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.TCPAddr).AddrPort()
}

func TestDeadDestinationCostsNoClient(t *testing.T) { onEngines(t, testDeadDestinationCostsNoClient) }

func testDeadDestinationCostsNoClient(t *testing.T) {
	for _, sched := range []string{"rr", "wrr", "lc", "wlc"} {
		t.Run(sched, func(t *testing.T) {
			a := named(t, "a")
			b := newBalancer(t, nil)
			s := tcpService(t, b, sched, dest(a.addr, 1), dest(deadAddr(t), 5))
			if got := asks(t, s, 20); got != strings.Repeat("a", 20) {
				t.Errorf("asked %s", got)
			}
			k := b.Counters()
			if k.ConnectErrors == 0 || k.Retries != k.ConnectErrors {
				t.Errorf("counters %+v: want as many retries as errors, and some", k)
			}
			if got := entry(t, b, s.Key).Service.Stats.Connections; got != 20 {
				t.Errorf("%d connections, want 20", got)
			}
		})
	}
}

func TestOnlyDeadDestinations(t *testing.T) { onEngines(t, testOnlyDeadDestinations) }

func testOnlyDeadDestinations(t *testing.T) {
	b := newBalancer(t, nil)
	d1, d2, d3 := deadAddr(t), deadAddr(t), deadAddr(t)
	s := tcpService(t, b, "rr", dest(d1, 1), dest(d2, 1), dest(d3, 1))
	if err := fate(s); !isReset(err) {
		t.Errorf("the client saw %v, want a reset", err)
	}
	if k := b.Counters(); k.ConnectErrors != 2 || k.Retries != 1 || k.NoServer != 0 {
		t.Errorf("counters %+v: want two attempts", k)
	}
	for _, d := range entry(t, b, s.Key).Destinations {
		if d.Active != 0 || d.Inactive != 0 || d.Stats.Connections != 0 {
			t.Errorf("%v still counts connections: %+v", d.Key, d)
		}
	}
}

func TestUpperThreshold(t *testing.T) { onEngines(t, testUpperThreshold) }

func testUpperThreshold(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	full := dest(bb.addr, 1)
	full.UpperThreshold = 1
	s := tcpService(t, b, "rr", dest(a.addr, 1), full)
	name, c := ask(t, s)
	if name != "b" || asks(t, s, 3) != "aaa" {
		t.Error("the full server took another connection")
	}
	hangUp(t, c)
	settled(t, b, s, 4)
	if got := asks(t, s, 2); got != "aa" {
		t.Errorf("asked %s, want aa: a closed connection counts towards the threshold", got)
	}
	closedOf(b, s).sweep(b.now() + int64(DefaultFinTimeout))
	if got := asks(t, s, 2); !strings.Contains(got, "b") {
		t.Errorf("asked %s, want b to be taken again", got)
	}
}

func TestPortZeroIsTheServicePort(t *testing.T) { onEngines(t, testPortZeroIsTheServicePort) }

func testPortZeroIsTheServicePort(t *testing.T) {
	// The service on 127.0.0.1, the server on 127.0.0.2 with the same port.
	a := named(t, "a")
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), a.addr.Port()).String())
	if err != nil {
		t.Skipf("only one loopback address on this system: %v", err)
	}
	ln.Close()
	b := newBalancer(t, nil)
	s := ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), a.addr.Port())), Scheduler: "rr"}
	startService(t, b, s, dest(netip.AddrPortFrom(a.addr.Addr(), 0), 1))
	if got := asks(t, s, 1); got != "a" {
		t.Errorf("asked %q", got)
	}
}

func TestIPv6(t *testing.T) { onEngines(t, testIPv6) }

func testIPv6(t *testing.T) {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := startService(t, b, ipvs.Service{Key: ipvs.TCPService(addr)}, dest(a.addr, 1))
	if got := asks(t, s, 1); got != "a" {
		t.Errorf("asked %q", got)
	}
}

func TestClientsAboveTheBoundAreReset(t *testing.T) { onEngines(t, testClientsAboveTheBoundAreReset) }

func testClientsAboveTheBoundAreReset(t *testing.T) {
	tests := []struct {
		name    string
		limit   func(*Config, ipvs.ServiceKey)
		counted func(Counters) uint64
	}{
		{
			"of the balancer", func(c *Config, _ ipvs.ServiceKey) { c.MaxConnections = 2 },
			func(c Counters) uint64 { return c.Saturated },
		},
		{
			"of the service", func(c *Config, k ipvs.ServiceKey) {
				c.Services = map[ipvs.ServiceKey]ServiceConfig{k: {MaxConnections: 2}}
			},
			func(c Counters) uint64 { return c.ServiceFull },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := named(t, "a")
			s := ipvs.Service{Key: ipvs.TCPService(freePort(t, "tcp")), Scheduler: "rr"}
			var cfg Config
			tt.limit(&cfg, s.Key)
			b := newBalancer(t, &cfg)
			startService(t, b, s, dest(a.addr, 1))
			_, first := ask(t, s)
			ask(t, s)
			if err := fate(s); !isReset(err) {
				t.Errorf("the third saw %v, want a reset", err)
			}
			if got := tt.counted(b.Counters()); got != 1 {
				t.Errorf("%d refusals counted, want 1: %+v", got, b.Counters())
			}
			if got := state(t, b, s, a.addr).Active; got != 2 {
				t.Errorf("%d connections, want 2", got)
			}
			hangUp(t, first)
			eventually(t, "there is room again", func() bool { return b.limits.connections.Load() == 1 })
			if got := asks(t, s, 1); got != "a" {
				t.Errorf("asked %q, want a", got)
			}
		})
	}
}

func TestIdleConnectionsAreReset(t *testing.T) { onEngines(t, testIdleConnectionsAreReset) }

func testIdleConnectionsAreReset(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, &Config{IdleTimeout: time.Second})
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	_, idle := ask(t, s)
	_, busy := ask(t, s)
	failed := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(idle)
		failed <- err
	}()
	for {
		echo(t, busy, "x")
		select {
		case err := <-failed:
			if !isReset(err) {
				t.Errorf("the idle one read %v, want a reset", err)
			}
			echo(t, busy, "y")
			if got := b.Counters().Idle; got != 1 {
				t.Errorf("%d idle connections counted, want 1", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestCloseWhileBusy(t *testing.T) { onEngines(t, testCloseWhileBusy) }

func testCloseWhileBusy(t *testing.T) {
	flood := serveTCP(t, func(c *net.TCPConn) {
		go io.Copy(io.Discard, c)
		var block [64 << 10]byte
		for {
			if _, err := c.Write(block[:]); err != nil {
				return
			}
		}
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(flood.addr, 1))
	var wg sync.WaitGroup
	for range 8 {
		c := dial(t, s)
		wg.Go(func() {
			if _, err := io.Copy(io.Discard, c); err == nil {
				t.Error("the end of a cut transfer looks orderly")
			}
		})
	}
	stuck := dial(t, s) // Never reads: its relay is blocked in a write.
	eventually(t, "traffic flows", func() bool { return entry(t, b, s.Key).Service.Stats.OutBytes > 10<<20 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	stuck.Close()
}

func TestCloseEndsAPendingConnect(t *testing.T) { onEngines(t, testCloseEndsAPendingConnect) }

func testCloseEndsAPendingConnect(t *testing.T) {
	// A listener whose backlog is full lets connects hang; if this system
	// fills it otherwise, the connect succeeds and Close must end that too.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b := newBalancer(t, &Config{ConnectTimeout: time.Hour})
	s := tcpService(t, b, "rr", dest(ln.Addr().(*net.TCPAddr).AddrPort(), 1))
	c := dial(t, s)
	eventually(t, "the connection is counted", func() bool {
		return entry(t, b, s.Key).Destinations[0].Active == 1
	})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the client saw an orderly end")
	}
}

// TestChurn changes the table as fast as it can while clients come and go: no
// request may fail.
func TestChurn(t *testing.T) { onEngines(t, testChurn) }

func testChurn(t *testing.T) {
	const servers = 4
	var all [servers]*server
	for i := range all {
		all[i] = named(t, string(rune('a'+i)))
	}
	b := newBalancer(t, nil)
	s := tcpService(t, b, "wrr", dest(all[0].addr, 1), dest(all[1].addr, 1))
	var stop atomic.Bool
	var wg sync.WaitGroup
	var requests, failures atomic.Int64
	target := ipvs.Service{Key: s.Key}
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				requests.Add(1)
				if err := request(target); err != nil {
					failures.Add(1)
					t.Errorf("request: %v", err)
					return
				}
			}
		})
	}
	names := []string{"rr", "wrr", "lc", "wlc"}
	for i := range 300 {
		d := dest(all[2+i%2].addr, 1+i%3)
		s.Scheduler = names[i/3%4]
		s.Persistence = time.Duration(i/50%2) * time.Second
		apply(t, b,
			change(ipvs.OpAddDestination, s, d),
			change(ipvs.OpSetDestination, s, dest(all[1].addr, i%2)),
			change(ipvs.OpSetService, s, ipvs.Destination{}))
		time.Sleep(time.Millisecond)
		if _, err := b.Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
		apply(t, b, change(ipvs.OpDelDestination, s, d))
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d requests, %d failures", requests.Load(), failures.Load())
	if requests.Load() < 100 {
		t.Errorf("only %d requests: nothing was tried", requests.Load())
	}
	eventually(t, "all connections ended", func() bool { return b.limits.connections.Load() == 0 })
	closedOf(b, s).sweep(b.now() + int64(DefaultFinTimeout))
	for _, d := range entry(t, b, s.Key).Destinations {
		if d.Active != 0 || d.Inactive != 0 {
			t.Errorf("%v: %d active and %d inactive connections left", d.Key, d.Active, d.Inactive)
		}
	}
}

// request connects, reads the name and gets an echo.
func request(s ipvs.Service) error {
	c, err := net.DialTimeout("tcp", s.Key.Addr.String(), patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "ping"); err != nil {
		return err
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf[1:]) != "ping" {
		return fmt.Errorf("echoed %q", buf)
	}
	return nil
}

func TestForgottenHalfClosedConnectionIsReset(t *testing.T) {
	onEngines(t, testForgottenHalfClosedConnectionIsReset)
}

func testForgottenHalfClosedConnectionIsReset(t *testing.T) {
	// A server that sees the end and forgets to close.
	forgotten := make(chan struct{})
	srv := serveTCP(t, func(c *net.TCPConn) {
		io.WriteString(c, "a")
		io.Copy(io.Discard, c)
		<-forgotten
	})
	defer close(forgotten)
	b := newBalancer(t, &Config{FinTimeout: 200 * time.Millisecond})
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	_, open := ask(t, s)
	_, closing := ask(t, s)
	closing.CloseWrite()
	if _, err := io.ReadAll(closing); !isReset(err) {
		t.Errorf("the closing one read %v, want a reset", err)
	}
	// The other has closed nothing and stays.
	if x := state(t, b, s, srv.addr); x.Active != 1 {
		t.Errorf("%d active connections, want 1", x.Active)
	}
	open.Close()
}

// A bulk transfer that pauses must count all that moved, lose nothing, and go
// on when its source does.
func TestBulkTransferWithAPause(t *testing.T) { onEngines(t, testBulkTransferWithAPause) }

func testBulkTransferWithAPause(t *testing.T) {
	const part = 8 << 20
	proceed := make(chan struct{}, 2)
	srv := serveTCP(t, func(c *net.TCPConn) {
		for i := range 2 {
			if _, err := c.Write(bytes.Repeat([]byte{byte('a' + i)}, part)); err != nil {
				return
			}
			<-proceed
		}
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	c := dial(t, s)
	buf := make([]byte, part)
	for i := range 2 {
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(buf, []byte{byte('a' + i)}); n != part {
			t.Errorf("part %d: %d bytes of %d are right", i, n, part)
		}
		eventually(t, "all of the part is counted", func() bool {
			return state(t, b, s, srv.addr).Stats.OutBytes == uint64(i+1)*part
		})
		proceed <- struct{}{}
	}
	if _, err := c.Read(buf); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}
