package failover_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// office is a network in memory whose sockets tell when packets came.
type office struct {
	mu    sync.Mutex
	boxes map[netip.AddrPort]*letterbox
	// wrong is by how much the clock is off that stamps.
	wrong time.Duration
	last  map[netip.AddrPort]time.Time // packet to each
}

// letterbox is one of its sockets.
type letterbox struct {
	office *office
	local  netip.AddrPort
	stuck  bool // who waits for it gets no processor
	came   chan struct{}
	closed chan struct{}
	once   sync.Once
	queue  []failover.Packet
}

// tenant is the transport of one node.
type tenant struct {
	office *office
	stuck  bool
}

func (t tenant) Listen(_ context.Context, local netip.AddrPort) (failover.PacketConn, error) {
	t.office.mu.Lock()
	defer t.office.mu.Unlock()
	b := &letterbox{office: t.office, local: local, stuck: t.stuck, came: make(chan struct{}, 1), closed: make(chan struct{})}
	t.office.boxes[local] = b
	return b, nil
}

func (b *letterbox) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	b.office.mu.Lock()
	defer b.office.mu.Unlock()
	if other := b.office.boxes[to]; other != nil {
		now := time.Now()
		b.office.last[to] = now
		other.queue = append(other.queue, failover.Packet{From: b.local, At: now.Add(b.office.wrong).Round(0), Payload: append([]byte(nil), p...)})
		select {
		case other.came <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

func (b *letterbox) Wait() error {
	came := b.came
	if b.stuck {
		came = nil
	}
	select {
	case <-came:
		return nil
	case <-b.closed:
		return net.ErrClosed
	}
}

func (b *letterbox) Receive(into []byte) (p failover.Packet, ok bool, err error) {
	b.office.mu.Lock()
	defer b.office.mu.Unlock()
	if len(b.queue) == 0 {
		return p, false, nil
	}
	p, b.queue = b.queue[0], b.queue[1:]
	p.Payload = into[:copy(into, p.Payload)]
	return p, true, nil
}

func (b *letterbox) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	panic("it can tell when packets came")
}

func (b *letterbox) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// What lies in a socket counts before a silence is believed, and from when it
// came, although its reader stands still and whatever the clock of the day says.
func TestBeatsCountByTheirArrival(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stuck bool
		wrong time.Duration
		late  time.Duration // that a silence is found after the dead time at most
	}{
		{"readers that read", false, 0, 11 * time.Millisecond},
		{"readers that stand still", true, 0, 11 * time.Millisecond},
		{"a clock that was set back", false, time.Hour, 11 * time.Millisecond},
		{"a clock that was set forward", false, -time.Hour, 11 * time.Millisecond},
		{"a clock that was set, and readers that stand still", true, -time.Hour, deadAfter + interval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &office{boxes: make(map[netip.AddrPort]*letterbox), last: make(map[netip.AddrPort]time.Time), wrong: tt.wrong}
				var s [2]*side
				for i := range s {
					s[i] = &side{Recorder: new(failovertest.Recorder)}
					s[i].cfg = failover.Config{
						Primary: i == 0, Key: key, Interval: interval, DeadAfter: deadAfter, Owner: s[i].Recorder,
						Channels:  []failover.Channel{{Name: "only", Local: addrs[i][0], Peer: addrs[1-i][0]}},
						Transport: tenant{o, tt.stuck && i == 1},
					}
					s[i].start(t)
					defer s[i].stop(t)
					time.Sleep(2 * decided)
				}
				for range 1000 {
					if r := s[1].role(); r != failover.RoleBackup {
						t.Fatalf("it is %v beside a partner that beats", r)
					}
					time.Sleep(interval / 10)
				}
				o.mu.Lock()
				delete(o.boxes, addrs[1][0])
				last := o.last[addrs[1][0]]
				o.mu.Unlock()
				for s[1].role() != failover.RoleActive {
					time.Sleep(time.Millisecond / 4)
				}
				if late := time.Since(last) - deadAfter; late < 0 || late > tt.late {
					t.Errorf("active %v after the dead time, want %v at most", late, tt.late)
				}
			})
		})
	}
}
