package failovertest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// Segment is a link in memory that carries the adverts of [failover.Router]
// to all other stations, or by unicast to one. The zero value is ready. It
// works inside the bubbles of testing/synctest.
type Segment struct {
	mu       sync.Mutex
	stations []*Station
	cut      map[[2]*Station]bool
	tap      func(failover.AdvertPacket)
}

// Station returns a new place on the link, with the address to send from.
func (g *Segment) Station(source netip.Addr) *Station {
	s := &Station{segment: g, source: source}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stations = append(g.stations, s)
	return s
}

// Cut stops all packets from one station to another, or lets them pass again.
func (g *Segment) Cut(from, to *Station, cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut == nil {
		g.cut = make(map[[2]*Station]bool)
	}
	g.cut[[2]*Station{from, to}] = cut
}

// Partition stops all packets between two stations, or lets them pass again.
func (g *Segment) Partition(a, b *Station, cut bool) {
	g.Cut(a, b, cut)
	g.Cut(b, a, cut)
}

// Tap shows every packet that is sent, also those that get lost. It may keep
// them. nil ends it.
func (g *Segment) Tap(f func(failover.AdvertPacket)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tap = f
}

// Inject delivers a packet to all stations that it is for, as an attacker can.
func (g *Segment) Inject(p failover.AdvertPacket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deliver(nil, p)
}

// deliver hands a packet over; the caller holds mu.
func (g *Segment) deliver(from *Station, p failover.AdvertPacket) {
	for _, to := range g.stations {
		if to == from || to.conn == nil || to.fault != nil || from != nil && g.cut[[2]*Station{from, to}] {
			continue
		}
		if (p.Destination.IsMulticast() || p.Destination == to.source) && len(to.conn.queue) < queueLength {
			q := p
			q.At, q.Payload = time.Now(), slices.Clone(p.Payload)
			to.conn.queue = append(to.conn.queue, q)
			to.conn.ready()
		}
	}
}

// Station is a place on a [Segment]: the transport of one router.
type Station struct {
	segment *Segment
	// Below: under segment.mu.
	source    netip.Addr
	conn      *station
	fault     error
	listenErr error
	deaf      bool
	stall     time.Duration
}

// Move gives the station another address. An open socket is of no more use.
func (s *Station) Move(source netip.Addr) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.source = source
}

// Fail lets the device be as Check says from now on; nil ends it.
func (s *Station) Fail(err error) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.fault = err
}

// FailListen lets ListenAdverts fail with err from now on; nil ends it.
func (s *Station) FailListen(err error) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.listenErr = err
}

// Deafen holds the readiness of packets back, so that they are found only by
// a router that looks for them, as on a machine that is too busy to wake it;
// false ends it.
func (s *Station) Deafen(deaf bool) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.deaf = deaf
	if s.conn != nil && len(s.conn.queue) > 0 {
		s.conn.ready()
	}
}

// Stall lets the router's loop stand still for d when it looks at the device
// next. Use it with Deafen: in a bubble of testing/synctest nobody may wait for
// the loop meanwhile, and that includes whoever asks for the status.
func (s *Station) Stall(d time.Duration) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.stall = d
}

// ListenAdverts opens the one socket of the station.
func (s *Station) ListenAdverts(_ context.Context, want failover.AdvertSocket) (failover.AdvertConn, error) {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	switch {
	case s.listenErr != nil:
		return nil, s.listenErr
	case s.conn != nil:
		return nil, fmt.Errorf("failovertest: station %v has a socket already", s.source)
	}
	source := s.source
	if want.Source.IsValid() {
		source = want.Source
	}
	s.conn = &station{s: s, source: source, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	return s.conn, nil
}

// station is the socket of a Station.
type station struct {
	s      *Station
	source netip.Addr
	queue  []failover.AdvertPacket // under segment.mu
	wake   chan struct{}
	closed chan struct{}
}

// ready wakes who waits; the caller holds segment.mu.
func (c *station) ready() {
	if c.s.deaf {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *station) Source() netip.Addr { return c.source }

func (c *station) Wait() error {
	select {
	case <-c.wake:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *station) Receive(b []byte) (p failover.AdvertPacket, ok bool, err error) {
	g := c.s.segment
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(c.queue) == 0 {
		return p, false, nil
	}
	p, c.queue = c.queue[0], c.queue[1:]
	p.Payload = b[:copy(b, p.Payload)]
	return p, true, nil
}

func (c *station) Send(payload []byte, to netip.Addr) error {
	g := c.s.segment
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.s.fault != nil {
		return c.s.fault
	}
	p := failover.AdvertPacket{Source: c.source, Destination: to, TTL: vrrp.TTL, At: time.Now(), Payload: slices.Clone(payload)}
	if g.tap != nil {
		g.tap(p)
	}
	g.deliver(c.s, p)
	return nil
}

func (c *station) Check() error {
	c.s.segment.mu.Lock()
	stall, fault := c.s.stall, c.s.fault
	c.s.stall = 0
	c.s.segment.mu.Unlock()
	time.Sleep(stall)
	return fault
}

func (c *station) Close() error {
	c.s.segment.mu.Lock()
	defer c.s.segment.mu.Unlock()
	if c.s.conn == c {
		c.s.conn = nil
		close(c.closed)
	}
	return nil
}

var _ failover.AdvertTransport = (*Station)(nil)
