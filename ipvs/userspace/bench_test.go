package userspace

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// Each benchmark has a line without a balancer in the same run: the ratio of
// the two is what tells, for both ends run on the same cores.
func throughAndDirect(b *testing.B, server netip.AddrPort, run func(b *testing.B, addr string)) {
	b.Run("direct", func(b *testing.B) { run(b, server.String()) })
	b.Run("balanced", func(b *testing.B) {
		bal := newBalancer(b, nil)
		s := tcpService(b, bal, "wrr", dest(server, 1))
		run(b, s.Key.Addr.String())
	})
}

func dialBench(b *testing.B, addr string) *net.TCPConn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func BenchmarkKeptConnection(b *testing.B) {
	srv := serveTCP(b, func(c *net.TCPConn) {
		buf := make([]byte, 512)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	throughAndDirect(b, srv.addr, func(b *testing.B, addr string) {
		c := dialBench(b, addr)
		defer c.Close()
		buf := make([]byte, 128)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNewConnection(b *testing.B) {
	srv := serveTCP(b, func(c *net.TCPConn) {
		buf := make([]byte, 128)
		if _, err := io.ReadFull(c, buf); err == nil {
			c.Write(buf)
		}
	})
	throughAndDirect(b, srv.addr, func(b *testing.B, addr string) {
		buf := make([]byte, 128)
		b.ReportAllocs()
		for b.Loop() {
			c := dialBench(b, addr)
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}

func BenchmarkBulk(b *testing.B) {
	const chunk = 1 << 20
	srv := serveTCP(b, func(c *net.TCPConn) {
		block := make([]byte, 256<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	throughAndDirect(b, srv.addr, func(b *testing.B, addr string) {
		c := dialBench(b, addr)
		defer c.Close()
		buf := make([]byte, chunk)
		b.SetBytes(chunk)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDatagram(b *testing.B) {
	a := echoUDP(b, "a")
	run := func(b *testing.B, addr string) {
		c, err := net.Dial("udp4", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		msg, buf := make([]byte, 128), make([]byte, 512)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Write(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) { run(b, addrOf(a).String()) })
	b.Run("balanced", func(b *testing.B) {
		bal := newBalancer(b, nil)
		s := udpService(b, bal, "wrr", dest(addrOf(a), 1))
		run(b, s.Key.Addr.String())
	})
}

// What the end of a connection costs more for counting on.
func BenchmarkClosedConns(b *testing.B) {
	scheduler, err := sched.New("wlc", nil)
	if err != nil {
		b.Fatal(err)
	}
	server, err := scheduler.Add(netip.MustParseAddrPort("10.0.0.1:80"), sched.ServerConfig{Weight: 1}, nil)
	if err != nil {
		b.Fatal(err)
	}
	bal := newBalancer(b, nil)
	var closed closedConns
	closed.init(maxClosed)
	closed.setFin(DefaultFinTimeout)
	b.ReportAllocs()
	for b.Loop() {
		server.Opened()
		closed.add(server, endInOrder, bal.now)
	}
}

// Many clients, each with a few datagrams under way; a reply that does not
// come within a second counts as lost. The echoing server and the clients are
// in the same process: the line "direct" is what they need themselves.
func BenchmarkDatagrams(b *testing.B) {
	const clients, window = 16, 8
	a := echoUDP(b, "a")
	run := func(b *testing.B, addr string) {
		var conns []net.Conn
		for range clients {
			c, err := net.Dial("udp4", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
		}
		var lost atomic.Int64
		var wg sync.WaitGroup
		used := cpuTime()
		b.ResetTimer()
		for i, c := range conns {
			n := b.N / clients
			if i < b.N%clients {
				n++
			}
			wg.Go(func() {
				msg, buf := make([]byte, 128), make([]byte, 512)
				for n > 0 {
					w := min(n, window)
					for range w {
						c.Write(msg)
					}
					c.SetReadDeadline(time.Now().Add(time.Second))
					for j := range w {
						if _, err := c.Read(buf); err != nil {
							lost.Add(int64(w - j))
							break
						}
					}
					n -= w
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "datagrams/s")
		b.ReportMetric(float64(cpuTime()-used)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(float64(lost.Load())/float64(b.N), "lost/op")
	}
	b.Run("direct", func(b *testing.B) { run(b, addrOf(a).String()) })
	for name, open := range map[string]newFunc{
		"net": newNet, "system": func(t testing.TB, c *Config) *Balancer { return newBalancer(t, c) }, "system, one loop": newOneLoop,
	} {
		b.Run(name, func(b *testing.B) {
			s := udpService(b, open(b, nil), "wrr", dest(addrOf(a), 1))
			run(b, s.Key.Addr.String())
		})
	}
}
