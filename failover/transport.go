package failover

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// PacketConn is a socket of one channel. *[net.UDPConn] satisfies it. Close
// ends a blocked read. Reads come from one goroutine, writes from another.
type PacketConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// Packet is a packet of a channel that came in.
type Packet struct {
	// From is who sent it; a zone is of no interest.
	From netip.AddrPort
	// At is when it arrived by the day's clock; the zero time is unknown, and
	// counts as now.
	At time.Time
	// Payload is part of the buffer that was given.
	Payload []byte
}

// ArrivalConn is a [PacketConn] that knows when packets arrived and can be read
// without waiting. A node whose channels are such ones reads all there is before
// it believes in a silence, and waits less long for beats that may be on their
// way. Receive is not called at once, but beside Wait.
type ArrivalConn interface {
	PacketConn
	// Wait returns nil when a packet may have arrived. Close ends it.
	Wait() error
	// Receive returns the next packet that has arrived, and never waits: ok is
	// false if there is none. What is longer than b is cut.
	Receive(b []byte) (p Packet, ok bool, err error)
}

// Transport opens the sockets of a [Node]. A node opens one for each channel
// and opens it again, with growing pauses, when it breaks. Sockets that are an
// [ArrivalConn] serve it best.
type Transport interface {
	Listen(ctx context.Context, local netip.AddrPort) (PacketConn, error)
}

// UDP is the transport of ordinary UDP sockets. The zero value is that of the
// process's own namespace.
type UDP struct {
	// Namespace is the path of a network namespace, as /run/netns/blue; empty
	// means the one of the process. Linux only.
	Namespace string
}

// Listen binds a UDP socket to local. On Linux it is an [ArrivalConn], by the
// time stamps of the kernel (socket(7), SO_TIMESTAMPNS).
func (u UDP) Listen(ctx context.Context, local netip.AddrPort) (PacketConn, error) {
	var c PacketConn
	err := rtnl.Inside(u.Namespace, func() error {
		var lc net.ListenConfig
		pc, err := lc.ListenPacket(ctx, "udp", local.String())
		if err == nil {
			c = stamped(udpConn{pc.(*net.UDPConn)})
		}
		return err
	})
	return c, err
}

// writeLimit bounds how long a full send buffer can hold up the beat loop.
const writeLimit = 20 * time.Millisecond

type udpConn struct{ *net.UDPConn }

func (c udpConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, err
	}
	return c.UDPConn.WriteToUDPAddrPort(b, to)
}

var (
	_ Transport  = UDP{}
	_ PacketConn = (*net.UDPConn)(nil)
)
