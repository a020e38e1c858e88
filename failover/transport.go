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

// Transport opens the sockets of a [Node]. A node opens one for each channel
// and opens it again, with growing pauses, when it breaks.
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

// Listen binds a UDP socket to local.
func (u UDP) Listen(ctx context.Context, local netip.AddrPort) (PacketConn, error) {
	var c PacketConn
	err := rtnl.Inside(u.Namespace, func() error {
		var lc net.ListenConfig
		pc, err := lc.ListenPacket(ctx, "udp", local.String())
		if err == nil {
			c = udpConn{pc.(*net.UDPConn)}
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
