package userspace

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// echoUDP answers each datagram with its name and the datagram.
func echoUDP(t testing.TB, name string) *net.UDPConn {
	return echoUDPOn(t, name, "127.0.0.1:0")
}

func echoUDPOn(t testing.TB, name, addr string) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := pc.(*net.UDPConn)
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64<<10)
		n := copy(buf, name)
		for {
			m, from, err := c.ReadFromUDPAddrPort(buf[n:])
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(buf[:n+m], from)
		}
	})
	t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
	return c
}

// newFunc makes a balancer that carries UDP in a certain way.
type newFunc func(testing.TB, *Config) *Balancer

// eachUDP runs a test for the way that this system has, and for that of
// package net, which every system has.
func eachUDP(t *testing.T, test func(*testing.T, newFunc)) {
	t.Run("system", func(t *testing.T) { test(t, newOneLoop) })
	t.Run("net", func(t *testing.T) { test(t, newNet) })
}

// newOneLoop has one loop, so that sessions have one order.
func newOneLoop(t testing.TB, cfg *Config) *Balancer {
	b := newBalancer(t, cfg)
	b.udpLoops.want = 1
	return b
}

func newNet(t testing.TB, cfg *Config) *Balancer {
	b := newBalancer(t, cfg)
	b.listenUDP = listenUDPNet
	return b
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func dialUDP(t testing.TB, s ipvs.Service) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp4", s.Key.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// exchange sends a datagram and returns the answer.
func exchange(t testing.TB, c *net.UDPConn, text string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestUDPSessions(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a, bb := echoUDP(t, "a"), echoUDP(t, "b")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
		// Each client has its server and stays there.
		for i := range 6 {
			c := dialUDP(t, s)
			want := "ba"[i%2 : i%2+1]
			for j := range 3 {
				text := fmt.Sprintf("%d-%d", i, j)
				if got := exchange(t, c, text); got != want+text {
					t.Errorf("got %q, want %q", got, want+text)
				}
			}
		}
		x := state(t, b, s, addrOf(a))
		if x.Active != 0 || x.Inactive != 3 || x.Stats.Connections != 3 {
			t.Errorf("a: %+v, want 3 inactive sessions", x)
		}
		// 18 datagrams of 3 bytes; answers have one byte more. The last one is
		// counted a moment after the client has it.
		want := ipvs.Stats{Connections: 6, InPackets: 18, InBytes: 54, OutPackets: 18, OutBytes: 72}
		eventually(t, fmt.Sprintf("the service counts %+v", want), func() bool {
			st := entry(t, b, s.Key).Service.Stats
			st.CPS, st.InPPS, st.OutPPS, st.InBPS, st.OutBPS = 0, 0, 0, 0, 0
			return st == want
		})
		// The largest and the smallest datagram.
		c := dialUDP(t, s)
		big := strings.Repeat("x", 60000)
		if got := exchange(t, c, big); got[1:] != big {
			t.Errorf("a datagram of %d bytes came back as %d", len(big), len(got))
		}
		if got := exchange(t, c, ""); len(got) != 1 {
			t.Errorf("an empty datagram came back as %q", got)
		}
	})
}

func TestUDPEvictsTheOldestSession(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a, bb := echoUDP(t, "a"), echoUDP(t, "b")
		b := open(t, &Config{MaxSessions: 2})
		s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
		c1, c2, c3 := dialUDP(t, s), dialUDP(t, s), dialUDP(t, s)
		got := exchange(t, c1, "") + exchange(t, c2, "")
		got += exchange(t, c1, "") // c2 is the older one now.
		got += exchange(t, c3, "") // Takes its place.
		got += exchange(t, c1, "") // Still the first session.
		if got != "babbb" {
			t.Errorf("answers by %q, want babbb", got)
		}
		if n := b.Counters().SessionsEvicted; n != 1 {
			t.Errorf("%d sessions evicted, want 1", n)
		}
		if n := state(t, b, s, addrOf(a)).Inactive + state(t, b, s, addrOf(bb)).Inactive; n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

func TestUDPIdleSessionsEnd(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a := echoUDP(t, "a")
		b := open(t, &Config{UDPTimeout: 500 * time.Millisecond})
		s := udpService(t, b, "rr", dest(addrOf(a), 1))
		c := dialUDP(t, s)
		exchange(t, c, "x")
		eventually(t, "the session ends", func() bool { return state(t, b, s, addrOf(a)).Inactive == 0 })
		if got := exchange(t, c, "y"); got != "ay" {
			t.Errorf("after the end: %q", got)
		}
		if got := state(t, b, s, addrOf(a)).Stats.Connections; got != 2 {
			t.Errorf("%d sessions counted, want 2", got)
		}
	})
}

func TestUDPDeletionAndQuiescence(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a, bb := echoUDP(t, "a"), echoUDP(t, "b")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
		c1, c2 := dialUDP(t, s), dialUDP(t, s)
		if got := exchange(t, c1, "") + exchange(t, c2, ""); got != "ba" {
			t.Fatalf("answers by %q, want ba", got)
		}
		// Quiesced: the session goes on, new ones go elsewhere.
		apply(t, b, change(ipvs.OpSetDestination, s, dest(addrOf(bb), 0)))
		c3 := dialUDP(t, s)
		if got := exchange(t, c1, "") + exchange(t, c3, ""); got != "ba" {
			t.Errorf("quiesced: answers by %q, want ba", got)
		}
		// Deleted: the next datagram goes elsewhere.
		apply(t, b, change(ipvs.OpDelDestination, s, dest(addrOf(bb), 0)))
		if got := exchange(t, c1, ""); got != "a" {
			t.Errorf("deleted: answered by %q, want a", got)
		}
		if got := state(t, b, s, addrOf(a)).Inactive; got != 3 {
			t.Errorf("a has %d sessions, want 3", got)
		}
		apply(t, b, change(ipvs.OpDelDestination, s, dest(addrOf(a), 1)))
		c1.Write([]byte("nobody"))
		eventually(t, "the datagram is counted", func() bool { return b.Counters().NoServer == 1 })
	})
}

func TestUDPRefusedSessionIsScheduledAnew(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		for _, sched := range []string{"rr", "wlc"} {
			t.Run(sched, func(t *testing.T) {
				a, bb := echoUDP(t, "a"), echoUDP(t, "b")
				b := open(t, nil)
				s := udpService(t, b, sched, dest(addrOf(a), 1), dest(addrOf(bb), 1))
				c := dialUDP(t, s)
				if got := exchange(t, c, ""); got != "b" {
					t.Fatalf("answered by %q, want b", got)
				}
				at := addrOf(bb)
				bb.Close()
				c.Write([]byte("lost"))
				eventually(t, "the host refuses", func() bool { return b.Counters().SessionsRefused >= 1 })
				if got := exchange(t, c, "x"); got != "ax" {
					t.Errorf("answered by %q, want ax", got)
				}
				// Alone, the server that refused is tried again.
				apply(t, b, change(ipvs.OpDelDestination, s, dest(addrOf(a), 1)))
				c.Write([]byte("lost"))
				eventually(t, "it refuses again", func() bool { return b.Counters().SessionsRefused >= 2 })
				echoUDPOn(t, "c", at.String())
				if got := exchange(t, c, "x"); got != "cx" {
					t.Errorf("answered by %q, want cx", got)
				}
			})
		}
	})
}

func TestUDPCloseWhileBusy(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a := echoUDP(t, "a")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1))
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			c := dialUDP(t, s)
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						c.Write(bytes.Repeat([]byte{1}, 100))
					}
				}
			})
		}
		eventually(t, "traffic flows", func() bool { return entry(t, b, s.Key).Service.Stats.OutPackets > 1000 })
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		close(done)
		wg.Wait()
	})
}

// A datagram there and back must not allocate once the session is there.
func TestUDPForwardingAllocatesNothing(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a := echoUDP(t, "a")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1))
		c := dialUDP(t, s)
		exchange(t, c, "warm up")
		buf := make([]byte, 2048)
		msg := []byte("ping")
		n := testing.AllocsPerRun(500, func() {
			c.Write(msg)
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		})
		// All goroutines are counted: the balancer's and the server's too.
		if n >= 1 && !raceEnabled {
			t.Errorf("%v allocations a datagram", n)
		}
	})
}

// Each datagram goes to the next server, and each reply to the client that
// asked, from the service's own address.
func TestUDPOnePacket(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a, bb := echoUDP(t, "a"), echoUDP(t, "b")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
		s.Flags = ipvs.OnePacket
		apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
		c1, c2 := dialUDP(t, s), dialUDP(t, s)
		var got string
		for i := range 4 {
			for _, c := range []*net.UDPConn{c1, c1, c2} {
				text := fmt.Sprint(i)
				answer := exchange(t, c, text)
				if answer[1:] != text {
					t.Fatalf("asked %q, got %q", text, answer)
				}
				got += answer[:1]
			}
		}
		if got != "babababababa" {
			t.Errorf("answers by %q, want the two in turn", got)
		}
		for _, d := range []*net.UDPConn{a, bb} {
			// Nothing is held, as the kernel holds nothing.
			if x := state(t, b, s, addrOf(d)); x.Inactive != 0 || x.Active != 0 || x.Stats.Connections != 6 {
				t.Errorf("%+v, want no connections and 6 counted", x)
			}
		}
		// Two clients with a socket to each of two servers.
		sockets := 0
		for range b.Connections() {
			sockets++
		}
		if sockets != 4 {
			t.Errorf("%d sockets, want 4", sockets)
		}
		// Back to sessions: from here on the client stays where it is.
		s.Flags = 0
		apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
		if got := exchange(t, c1, "") + exchange(t, c1, "") + exchange(t, c1, ""); got != "bbb" {
			t.Errorf("with sessions answers by %q, want bbb", got)
		}
	})
}

// A server that comes back for a client is tried again, and one that is gone
// gets nothing.
func TestUDPOnePacketRefusedAndDeleted(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a, bb := echoUDP(t, "a"), echoUDP(t, "b")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
		s.Flags, s.Persistence = ipvs.OnePacket, time.Minute
		apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
		c := dialUDP(t, s)
		if got := exchange(t, c, "") + exchange(t, c, ""); got != "bb" {
			t.Errorf("persistent: answers by %q, want bb", got)
		}
		apply(t, b, change(ipvs.OpDelDestination, s, dest(addrOf(bb), 1)))
		if got := exchange(t, c, "") + exchange(t, c, ""); got != "aa" {
			t.Errorf("after the deletion answers by %q, want aa", got)
		}
		for c := range b.Connections() {
			if c.Destination == addrOf(bb) {
				t.Errorf("a row of the deleted server is left: %+v", c)
			}
		}
	})
}

// Several sockets share the port: each client keeps its session, and every
// one of many is served.
func TestUDPManyClientsOnAllLoops(t *testing.T) {
	a, bb := echoUDP(t, "a"), echoUDP(t, "b")
	b := newBalancer(t, nil)
	s := udpService(t, b, "rr", dest(addrOf(a), 1), dest(addrOf(bb), 1))
	var wg sync.WaitGroup
	const clients = 64
	for i := range clients {
		c := dialUDP(t, s)
		wg.Go(func() {
			var server string
			for j := range 20 {
				text := fmt.Sprint(i, j)
				got := exchange(t, c, text)
				if server == "" {
					server = got[:1]
				}
				if got != server+text {
					t.Errorf("client %d asked %q, got %q of server %q", i, text, got, server)
					return
				}
			}
		})
	}
	wg.Wait()
	x, y := state(t, b, s, addrOf(a)), state(t, b, s, addrOf(bb))
	if x.Inactive != clients/2 || y.Inactive != clients/2 {
		t.Errorf("%d and %d sessions, want %d each", x.Inactive, y.Inactive, clients/2)
	}
	rows := 0
	for c := range b.Connections() {
		rows++
		if c.State != StateUDP || c.Virtual != s.Key.Addr || c.Expires < 290*time.Second || c.Expires > DefaultUDPTimeout {
			t.Errorf("row %+v", c)
		}
	}
	if rows != clients {
		t.Errorf("%d rows, want %d", rows, clients)
	}
}

// A burst of one client arrives whole and in order, whatever it is cut into.
func TestUDPBurstKeepsItsOrder(t *testing.T) {
	eachUDP(t, func(t *testing.T, open newFunc) {
		a := echoUDP(t, "")
		b := open(t, nil)
		s := udpService(t, b, "rr", dest(addrOf(a), 1))
		c := dialUDP(t, s)
		exchange(t, c, "warm up")
		c.SetDeadline(time.Now().Add(patience))
		buf := make([]byte, 2048)
		for round := range 20 {
			const n = 48
			for i := range n {
				// Sizes: equal ones, a shorter, an empty one, a longer.
				msg := append([]byte{byte(round), byte(i)}, make([]byte, []int{900, 900, 900, 20, 1000}[i%5])...)
				if _, err := c.Write(msg); err != nil {
					t.Fatal(err)
				}
			}
			for i := range n {
				m, err := c.Read(buf)
				if err != nil {
					t.Fatalf("round %d: datagram %d of %d: %v", round, i, n, err)
				}
				if want := 2 + []int{900, 900, 900, 20, 1000}[i%5]; m != want || buf[0] != byte(round) || buf[1] != byte(i) {
					t.Fatalf("round %d: got datagram %d,%d of %d bytes, want %d,%d of %d", round, buf[0], buf[1], m, round, i, want)
				}
			}
		}
	})
}
