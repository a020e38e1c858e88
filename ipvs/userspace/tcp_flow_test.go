package userspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// A client that does not read stops its server after a bounded number of
// bytes, and gets all of them when it does read.
func TestSlowReaderStopsTheSender(t *testing.T) { onEngines(t, testSlowReaderStopsTheSender) }

func testSlowReaderStopsTheSender(t *testing.T) {
	const size = 96 << 20 // More than the kernel's buffers of four sockets.
	sent := make(chan []byte, 1)
	srv := serveTCP(t, func(c *net.TCPConn) {
		h := sha256.New()
		block := make([]byte, 1<<20)
		for i := range size >> 20 {
			block[i] = byte(i)
			h.Write(block)
			if _, err := c.Write(block); err != nil {
				return
			}
		}
		sent <- h.Sum(nil)
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	c := dial(t, s)
	moved := func() uint64 { return state(t, b, s, srv.addr).Stats.OutBytes }
	var before uint64
	eventually(t, "the flow stands still", func() bool {
		now := moved()
		still := now > 0 && now == before
		before = now
		time.Sleep(50 * time.Millisecond)
		return still
	})
	if before > size/2 {
		t.Errorf("%d bytes moved to a client that reads none", before)
	}
	// Other connections go on.
	if got := asks(t, tcpService(t, b, "rr", dest(named(t, "a").addr, 1)), 3); got != "aaa" {
		t.Errorf("asked %s", got)
	}
	h := sha256.New()
	if n, err := io.Copy(h, c); err != nil || n != size {
		t.Fatalf("read %d bytes, %v; want %d", n, err, size)
	}
	if !bytes.Equal(h.Sum(nil), <-sent) {
		t.Error("what arrived is not what was sent")
	}
}

// The other way round, with many connections at a time, all of which are
// stopped, go on, and end.
func TestSlowServers(t *testing.T) { onEngines(t, testSlowServers) }

func testSlowServers(t *testing.T) {
	const clients, size = 12, 6 << 20
	proceed := make(chan struct{})
	srv := serveTCP(t, func(c *net.TCPConn) {
		<-proceed
		h := sha256.New()
		if _, err := io.Copy(h, c); err == nil {
			c.Write(h.Sum(nil))
		}
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	var wg sync.WaitGroup
	for i := range clients {
		c := dial(t, s)
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte(i), 1, 2, 3}, size/4)
			sum := sha256.Sum256(data)
			for len(data) > 0 { // In pieces that fit no buffer.
				n, err := c.Write(data[:min(len(data), 70001+i)])
				if err != nil {
					t.Error(err)
					return
				}
				data = data[n:]
			}
			c.CloseWrite()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sum[:]) {
				t.Errorf("client %d: the server has %x, %v; want %x", i, got, err, sum)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(proceed)
	wg.Wait()
}

// Clients that send, close their half at once and then read, as those of
// HTTP/1.0 may.
func TestClientsThatCloseAtOnce(t *testing.T) { onEngines(t, testClientsThatCloseAtOnce) }

func testClientsThatCloseAtOnce(t *testing.T) {
	srv := serveTCP(t, func(c *net.TCPConn) {
		if all, err := io.ReadAll(c); err == nil {
			c.Write(append(all, '!'))
		}
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "wlc", dest(srv.addr, 1))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 40 {
				c, err := net.Dial("tcp", s.Key.Addr.String())
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				text := strings.Repeat(fmt.Sprint(i, k), 1+k*k*k)
				io.WriteString(c, text)
				c.(*net.TCPConn).CloseWrite()
				got, err := io.ReadAll(c)
				c.Close()
				if err != nil || string(got) != text+"!" {
					t.Errorf("client %d, connection %d: read %d bytes, %v; want %d", i, k, len(got), err, len(text)+1)
					return
				}
			}
		})
	}
	wg.Wait()
	settled(t, b, s, 8*40)
}

// Large pieces and small ones in turns, so that a stream becomes bulk and
// ceases to be, both ways at once.
func TestStreamsOfChangingKind(t *testing.T) { onEngines(t, testStreamsOfChangingKind) }

func testStreamsOfChangingKind(t *testing.T) {
	const rounds, large = 6, 3 << 20
	send := func(c net.Conn, sum hash.Hash) error {
		w := io.MultiWriter(c, sum)
		for i := range rounds {
			if _, err := w.Write(bytes.Repeat([]byte{byte(i)}, large)); err != nil {
				return err
			}
			for k := range 30 {
				if _, err := fmt.Fprintf(w, "%d small pieces", k); err != nil {
					return err
				}
				time.Sleep(time.Duration(i%3) * time.Millisecond)
			}
		}
		return c.(*net.TCPConn).CloseWrite()
	}
	type sums struct{ sent, received string }
	both := func(c net.Conn) (s sums, err error) {
		sent, received := sha256.New(), sha256.New()
		failed := make(chan error, 1)
		go func() { failed <- send(c, sent) }()
		_, err = io.Copy(received, c)
		err = errors.Join(err, <-failed)
		return sums{fmt.Sprintf("%x", sent.Sum(nil)), fmt.Sprintf("%x", received.Sum(nil))}, err
	}
	result := make(chan sums, 1)
	srv := serveTCP(t, func(c *net.TCPConn) {
		got, err := both(c)
		if err != nil {
			t.Errorf("server: %v", err)
		}
		result <- got
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	client, err := both(dial(t, s))
	if err != nil {
		t.Errorf("client: %v", err)
	}
	server := <-result
	if client.sent != server.received || server.sent != client.received {
		t.Errorf("what arrived is not what was sent: %v, %v", client, server)
	}
}

// A server that sends and resets at once: what it sent arrives, then the
// reset.
func TestDataBeforeAReset(t *testing.T) { onEngines(t, testDataBeforeAReset) }

func testDataBeforeAReset(t *testing.T) {
	proceed := make(chan struct{})
	srv := serveTCP(t, func(c *net.TCPConn) {
		c.Write(make([]byte, 8<<20))
		<-proceed // The client has it: a reset throws away what is not read.
		c.SetLinger(0)
	})
	b := newBalancer(t, nil)
	c := dial(t, tcpService(t, b, "rr", dest(srv.addr, 1)))
	if _, err := io.ReadFull(c, make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	close(proceed)
	if _, err := io.ReadAll(c); !isReset(err) {
		t.Errorf("the client read %v, want a reset", err)
	}
}

// A client that goes while its server floods it.
func TestResetOfABulkTransfer(t *testing.T) { onEngines(t, testResetOfABulkTransfer) }

func testResetOfABulkTransfer(t *testing.T) {
	result := make(chan error, 1)
	srv := serveTCP(t, func(c *net.TCPConn) {
		block := make([]byte, 1<<20)
		for {
			if _, err := c.Write(block); err != nil {
				result <- err
				return
			}
		}
	})
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	c := dial(t, s)
	if _, err := io.CopyN(io.Discard, c, 64<<20); err != nil {
		t.Fatal(err)
	}
	c.SetLinger(0)
	c.Close()
	// A write to what was reset fails in one of two ways.
	if err := <-result; !isReset(err) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the server wrote %v, want a reset", err)
	}
	settled(t, b, s, 1)
}

func TestProxyHeaderComesFirst(t *testing.T) { onEngines(t, testProxyHeaderComesFirst) }

func testProxyHeaderComesFirst(t *testing.T) {
	srv := serveTCP(t, func(c *net.TCPConn) {
		if all, err := io.ReadAll(c); err == nil {
			c.Write(all)
		}
	})
	for version, size := range map[int]int{1: 0, 2: 28} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := ipvs.Service{Key: ipvs.TCPService(freePort(t, "tcp")), Scheduler: "rr"}
			b := newBalancer(t, &Config{Services: map[ipvs.ServiceKey]ServiceConfig{s.Key: {ProxyProtocol: version}}})
			startService(t, b, s, dest(srv.addr, 1))
			c := dial(t, s)
			io.WriteString(c, "hello")
			c.CloseWrite()
			got, err := io.ReadAll(c)
			want := string(appendProxyHeader(nil, version, c.LocalAddr().(*net.TCPAddr).AddrPort(), s.Key.Addr)) + "hello"
			if err != nil || string(got) != want || size > 0 && len(got) != size+5 {
				t.Errorf("the server read %q, %v; want %q", got, err, want)
			}
			if in := entry(t, b, s.Key).Service.Stats.InBytes; in > 5 {
				t.Errorf("%d bytes counted, want those of the client", in)
			}
		})
	}
}

// The address of a service is its own: a second balancer of the same user is
// refused it, as any other program is.
func TestAnAddressIsTakenOnce(t *testing.T) { onEngines(t, testAnAddressIsTakenOnce) }

func testAnAddressIsTakenOnce(t *testing.T) {
	b, other := newBalancer(t, nil), newBalancer(t, nil)
	s := tcpService(t, b, "rr")
	err := other.Apply(context.Background(), []ipvs.Change{addService(s)})
	if err == nil || !isAny(err, syscall.EADDRINUSE, wsaAddrInUse) {
		t.Errorf("the second got %v, want that the address is in use", err)
	}
	apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}))
	apply(t, other, addService(s))
}

// Both families on all addresses and one port.
func TestUnspecifiedAddressesOfBothFamilies(t *testing.T) {
	onEngines(t, testUnspecifiedAddressesOfBothFamilies)
}

func testUnspecifiedAddressesOfBothFamilies(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	} else {
		ln.Close()
	}
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	port := freePort(t, "tcp").Port()
	at := func(addr string) ipvs.Service {
		return ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.MustParseAddr(addr), port)), Scheduler: "rr"}
	}
	startService(t, b, at("0.0.0.0"), dest(a.addr, 1))
	startService(t, b, at("::"), dest(bb.addr, 1))
	if got := asks(t, at("127.0.0.1"), 1) + asks(t, at("::1"), 1); got != "ab" {
		t.Errorf("asked %s over IPv4 and IPv6, want ab", got)
	}
}

// Close with connections of every kind: none is left, and nobody sees an
// orderly end.
func TestCloseOfMany(t *testing.T) { onEngines(t, testCloseOfMany) }

func testCloseOfMany(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	var wg sync.WaitGroup
	for i := range 200 {
		_, c := ask(t, s)
		if i%3 == 0 {
			c.Write(make([]byte, i*100))
		}
		wg.Go(func() {
			if _, err := io.Copy(io.Discard, c); !isReset(err) {
				t.Errorf("client %d read %v, want a reset", i, err)
			}
		})
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if n := b.limits.connections.Load(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
