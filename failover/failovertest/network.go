// Package failovertest is an in-memory network for tests of what is built on
// [failover.Node]: hosts with loss, delay, one-way and whole partitions,
// unplugged addresses and stalls, and a place for an attacker. It works
// inside the bubbles of testing/synctest. [Segment] is the same for
// [failover.Router].
package failovertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// queueLength bounds the unread packets of a socket; more are lost, as in a
// kernel.
const queueLength = 256

// Network carries datagrams between hosts. The zero value is not usable; see
// [NewNetwork]. All methods of this package are safe for concurrent use.
type Network struct {
	mu    sync.Mutex
	rng   *rand.Rand
	loss  float64
	low   time.Duration
	high  time.Duration
	socks map[netip.AddrPort]*conn
	hosts []*Host
	cut   map[[2]*Host]bool
	tap   func(from, to netip.AddrPort, p []byte)
}

// NewNetwork returns a perfect network without delay. The seed makes its
// later losses and delays repeatable.
func NewNetwork(seed uint64) *Network {
	return &Network{rng: rand.New(rand.NewPCG(seed, 0)), socks: make(map[netip.AddrPort]*conn), cut: make(map[[2]*Host]bool)}
}

// SetLoss sets the share of packets that get lost, 0 to 1.
func (n *Network) SetLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// SetDelay sets the range of the delay; packets may overtake each other.
func (n *Network) SetDelay(low, high time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.low, n.high = low, max(low, high)
}

// Cut stops all packets from one host to another, or lets them pass again.
// Two calls make a whole partition; see also [Network.Partition].
func (n *Network) Cut(from, to *Host, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]*Host{from, to}] = cut
}

// Partition stops all packets between two hosts.
func (n *Network) Partition(a, b *Host) {
	n.Cut(a, b, true)
	n.Cut(b, a, true)
}

// Heal ends loss, delay, cuts, unplugged addresses and isolation. Stalls end
// by themselves.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss, n.low, n.high = 0, 0, 0
	clear(n.cut)
	for _, h := range n.hosts {
		h.isolated = false
		clear(h.unplugged)
	}
}

// Tap shows every packet that is sent, also those that get lost. The slice
// may be kept. nil ends it.
func (n *Network) Tap(f func(from, to netip.AddrPort, p []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Inject delivers a packet with any sender, as an attacker can.
func (n *Network) Inject(from, to netip.AddrPort, p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.socks[to]; c != nil {
		c.put(datagram{from, append([]byte(nil), p...)})
	}
}

// Host returns a new host. Its name is for messages.
func (n *Network) Host(name string) *Host {
	h := &Host{net: n, name: name, unplugged: make(map[netip.Addr]bool)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts = append(n.hosts, h)
	return h
}

// Host is a machine in the network: a [failover.Transport] for one node.
type Host struct {
	net  *Network
	name string
	// Below: under net.mu.
	isolated   bool
	unplugged  map[netip.Addr]bool
	stallUntil time.Time
	listenErr  error
}

// Isolate stops all packets from and to the host, as if it had lost power:
// its node goes on without knowing.
func (h *Host) Isolate(isolated bool) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.isolated = isolated
}

// Unplug stops all packets from and to one address of the host.
func (h *Host) Unplug(a netip.Addr, unplugged bool) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.unplugged[a] = unplugged
}

// Stall lets the host stand still for d: nothing is read or written, arriving
// packets wait in the sockets.
func (h *Host) Stall(d time.Duration) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.stallUntil = time.Now().Add(d)
}

// FailListen lets Listen fail with err from now on, nil ends it. Open sockets
// break as well.
func (h *Host) FailListen(err error) {
	h.net.mu.Lock()
	h.listenErr = err
	var broken []*conn
	for _, c := range h.net.socks {
		if err != nil && c.host == h {
			broken = append(broken, c)
		}
	}
	h.net.mu.Unlock()
	for _, c := range broken {
		_ = c.Close() // never fails
	}
}

// Listen opens a socket. It fails if the address is in use.
func (h *Host) Listen(_ context.Context, local netip.AddrPort) (failover.PacketConn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.listenErr != nil {
		return nil, fmt.Errorf("listen %v on %s: %w", local, h.name, h.listenErr)
	}
	if n.socks[local] != nil {
		return nil, fmt.Errorf("listen %v on %s: %w", local, h.name, syscall.EADDRINUSE)
	}
	c := &conn{host: h, local: local, in: make(chan datagram, queueLength), closed: make(chan struct{})}
	n.socks[local] = c
	return c, nil
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

type conn struct {
	host   *Host
	local  netip.AddrPort
	in     chan datagram
	once   sync.Once
	closed chan struct{}
}

// put queues or loses a packet; the caller holds net.mu.
func (c *conn) put(d datagram) {
	select {
	case c.in <- d:
	default:
	}
}

// pause waits while the host stalls.
func (c *conn) pause() error {
	for {
		c.host.net.mu.Lock()
		wait := time.Until(c.host.stallUntil)
		c.host.net.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.closed:
			t.Stop()
			return net.ErrClosed
		}
	}
}

func (c *conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-c.in:
		if err := c.pause(); err != nil {
			return 0, netip.AddrPort{}, err
		}
		return copy(b, d.data), d.from, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, &net.OpError{Op: "read", Net: "udp", Err: net.ErrClosed}
	}
}

func (c *conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if err := c.pause(); err != nil {
		return 0, err
	}
	select {
	case <-c.closed:
		return 0, &net.OpError{Op: "write", Net: "udp", Err: os.ErrClosed}
	default:
	}
	n := c.host.net
	d := datagram{c.local, append([]byte(nil), b...)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tap != nil {
		n.tap(c.local, to, d.data)
	}
	target := n.socks[to]
	if target == nil || c.host.isolated || c.host.unplugged[c.local.Addr()] || n.cut[[2]*Host{c.host, target.host}] || n.rng.Float64() < n.loss {
		return len(b), nil
	}
	delay := n.low
	if n.high > n.low {
		delay += time.Duration(n.rng.Int64N(int64(n.high - n.low)))
	}
	if delay == 0 {
		n.deliver(to, d)
		return len(b), nil
	}
	time.AfterFunc(delay, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.deliver(to, d)
	})
	return len(b), nil
}

// deliver hands a packet over; the caller holds mu.
func (n *Network) deliver(to netip.AddrPort, d datagram) {
	c := n.socks[to]
	if c == nil || c.host.isolated || c.host.unplugged[to.Addr()] {
		return
	}
	c.put(d)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		n := c.host.net
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.socks[c.local] == c {
			delete(n.socks, c.local)
		}
	})
	return nil
}

var _ failover.Transport = (*Host)(nil)
