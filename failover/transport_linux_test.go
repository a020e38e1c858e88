package failover

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

// arrivalConn opens a socket that tells when packets came.
func arrivalConn(t *testing.T, at string) (c ArrivalConn, local netip.AddrPort) {
	t.Helper()
	conn, err := UDP{}.Listen(t.Context(), netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, ok := conn.(ArrivalConn)
	if !ok {
		t.Fatalf("%T tells nothing of when packets arrive", conn)
	}
	return c, conn.(*stampedConn).LocalAddr().(*net.UDPAddr).AddrPort()
}

// awaitStamps waits until packets are stamped when they arrive. The kernel begins
// with that a moment after the first socket wants it, and stamps packets until
// then when they are read (net/core/dev.c, net_enable_timestamp).
func awaitStamps(t *testing.T, from, to ArrivalConn, at netip.AddrPort) {
	t.Helper()
	for range 1000 {
		sent := time.Now()
		if _, err := from.WriteToUDPAddrPort([]byte("x"), at); err != nil {
			t.Fatal(err)
		}
		after := time.Now()
		time.Sleep(10 * time.Millisecond)
		p, ok, err := to.Receive(make([]byte, 1))
		if !ok || err != nil {
			t.Fatalf("%v, error %v", ok, err)
		}
		if !p.At.Before(sent.Add(-time.Millisecond)) && !p.At.After(after.Add(time.Millisecond)) {
			return
		}
	}
	t.Fatal("no packet is stamped when it arrives")
}

// A socket of the kernel's tells when a packet came, however late it is read.
func TestUDPTellsWhenPacketsArrived(t *testing.T) {
	for _, tt := range []struct{ name, at, to, from string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:0"},
		{"IPv6", "[::1]:0", "::1", "[::1]:0"},
		{"IPv4 on a socket of both", "[::]:0", "127.0.0.1", "127.0.0.1:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, local := arrivalConn(t, tt.at)
			sender, from := arrivalConn(t, tt.from)
			buf := make([]byte, 4)
			if p, ok, err := c.Receive(buf); ok || err != nil {
				t.Fatalf("%v, error %v of an empty socket", p, err)
			}
			to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), local.Port())
			awaitStamps(t, sender, c, to)
			var times []time.Time
			for _, payload := range []string{"ping", "", "longer"} {
				times = append(times, time.Now())
				if _, err := sender.WriteToUDPAddrPort([]byte(payload), to); err != nil {
					t.Fatal(err)
				}
				times = append(times, time.Now())
				time.Sleep(20 * time.Millisecond)
			}
			for i, want := range []string{"ping", "", "long"} {
				if err := c.Wait(); err != nil {
					t.Fatal(err)
				}
				p, ok, err := c.Receive(buf)
				if !ok || err != nil || !bytes.Equal(p.Payload, []byte(want)) {
					t.Fatalf("%q, %v, error %v; want %q", p.Payload, ok, err, want)
				}
				if got := netip.AddrPortFrom(p.From.Addr().Unmap(), p.From.Port()); got != from {
					t.Errorf("from %v, want %v", got, from)
				}
				// The two clocks are read by other means, a few microseconds apart.
				const slack = time.Millisecond
				if before, after := times[2*i], times[2*i+1]; p.At.Before(before.Add(-slack)) || p.At.After(after.Add(slack)) {
					t.Errorf("%q came at %v, and was sent between %v and %v", want, p.At, before, after)
				}
			}
			if p, ok, err := c.Receive(buf); ok || err != nil {
				t.Errorf("%v, error %v of an empty socket", p, err)
			}

			ended := make(chan error)
			go func() { ended <- c.Wait() }()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err == nil {
				t.Error("a closed socket has a packet")
			}
			if _, ok, err := c.Receive(buf); ok || err == nil {
				t.Errorf("read of a closed socket: %v, error %v", ok, err)
			}
		})
	}
}

// What comes all the time makes no garbage.
func TestStampedPacketsAllocateNothing(t *testing.T) {
	c, local := arrivalConn(t, "127.0.0.1:0")
	packet, buf := []byte("itself"), make([]byte, 100)
	got := testing.AllocsPerRun(100, func() {
		if _, err := c.WriteToUDPAddrPort(packet, local); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if p, ok, err := c.Receive(buf); !ok || err != nil || p.From != local {
			t.Fatalf("%v, %v, error %v", p, ok, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations a packet", got)
	}
}
