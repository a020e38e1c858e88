//go:build linux && netns

package failover_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// echo answers each datagram to port 7, whatever address of the host it is for.
func (p *peer) echo() {
	t := p.w.t
	t.Helper()
	c, err := p.ListenPacket("udp4", "0.0.0.0:7")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(buf[:n], from) // the client counts what is missing
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
}

// stream sends a numbered datagram every half millisecond while f runs, and
// returns how many were sent, how many were never answered, and the longest time
// in which none that was sent was: 0 if all were.
func (p *peer) stream(to netip.AddrPort, f func()) (sent, lost int, gap time.Duration) {
	t := p.w.t
	t.Helper()
	const every = 500 * time.Microsecond
	c, err := p.ListenPacket("udp4", "0.0.0.0:0")
	must(t, err)
	defer c.Close()
	var mu sync.Mutex
	answered := make(map[uint32]bool)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 64)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n == 4 {
				mu.Lock()
				answered[binary.BigEndian.Uint32(buf)] = true
				mu.Unlock()
			}
		}
	}()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	var at []time.Time
	tick := time.NewTicker(every)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-tick.C:
			// Unreachable hosts are told to the sender; it goes on.
			_, err := c.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(len(at))), net.UDPAddrFromAddrPort(to))
			if errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			at = append(at, time.Now())
		}
	}
	time.Sleep(200 * time.Millisecond) // the last answers
	_ = c.SetReadDeadline(time.Now())
	<-read
	last := -1
	for i, when := range at {
		if !answered[uint32(i)] {
			lost++
			continue
		}
		if last >= 0 && last < i-1 {
			gap = max(gap, when.Sub(at[last]))
		}
		last = i
	}
	if last < 0 {
		t.Fatal("no datagram was answered")
	}
	return len(at), lost, gap
}

// A client that sends every half millisecond through planned moves to and fro,
// and through a stop, notices none of them.
func TestNetnsPlannedMovesHaveNoGap(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	b1, b2 := w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")
	client := w.host("cl", "192.0.2.9/24")
	b1.echo()
	b2.echo()
	d1, d2 := director(t, b1, 0, nil), director(t, b2, 1, nil)
	within(t, patience, "the primary serves", func() bool {
		return d1.node.Status().Partner.Alive && d2.node.Status().Partner.Serving
	})
	vip := netip.AddrPortFrom(vip4.Prefix.Addr(), 7)
	move := func(what string, from, to *side, order func()) {
		t.Helper()
		within(t, patience, what+": both at rest", func() bool {
			return from.node.Status().Serving && from.node.Status().Partner.Role == failover.RoleBackup
		})
		sent, lost, gap := client.stream(vip, func() {
			time.Sleep(50 * time.Millisecond)
			order()
			within(t, patience, what, func() bool { return to.node.Status().Serving && !from.node.Status().Serving })
			time.Sleep(50 * time.Millisecond)
		})
		t.Logf("%s: %d datagrams, %d lost, longest gap %v", what, sent, lost, gap)
		if gap > 100*time.Millisecond || lost > 5 {
			t.Errorf("%s: %d of %d lost, longest gap %v", what, lost, sent, gap)
		}
	}
	for range 2 {
		move("yield", d1, d2, func() { must(t, d1.node.Yield()) })
		move("take", d2, d1, func() { must(t, d1.node.Take()) })
	}
	move("stop", d1, d2, func() { d1.stop(t) })
}
