package failover

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"
)

// AdvertPacket is a packet of IP protocol 112 that came in.
type AdvertPacket struct {
	// Source and Destination are its addresses, without a zone.
	Source, Destination netip.Addr
	// TTL is its time to live, or hop limit.
	TTL uint8
	// At is when it arrived by the day's clock; the zero time is unknown, and
	// counts as now.
	At time.Time
	// Payload follows the IP header. It is part of the buffer that was given.
	Payload []byte
}

// AdvertConn is the socket of a [Router]. Send, Receive and Check are not called
// at once; Wait comes from another goroutine, and Close from any.
type AdvertConn interface {
	// Source is the address that packets are sent from.
	Source() netip.Addr
	// Wait returns nil when a packet may have arrived. Close ends it.
	Wait() error
	// Receive returns the next packet that has arrived, and never waits: ok
	// is false if there is none. What is longer than b is cut.
	Receive(b []byte) (p AdvertPacket, ok bool, err error)
	// Send sends one payload and never waits. An error that is fs.ErrNotExist
	// says that the socket will not recover and has to be opened anew.
	Send(payload []byte, to netip.Addr) error
	// Check returns nil if the device can carry packets, or why not. An error
	// that is fs.ErrNotExist says that the socket has to be opened anew.
	Check() error
	// Close ends the socket.
	Close() error
}

// AdvertSocket says what socket a [Router] wants.
type AdvertSocket struct {
	// Device carries the packets.
	Device string
	// Source is the address to send from; the zero address is one of the
	// device: over IPv4 the first, over IPv6 the link-local one, or the first
	// other one if the peers are not link-local.
	Source netip.Addr
	// Virtual are addresses that are not to be chosen as the source.
	Virtual []netip.Addr
	// Group is the multicast address to join. It decides the family.
	Group netip.Addr
	// Peers is where packets go to with unicast; empty is multicast.
	Peers []netip.Addr
}

// AdvertTransport opens the socket of a [Router], and opens it again, with
// growing pauses, when it breaks.
type AdvertTransport interface {
	ListenAdverts(ctx context.Context, s AdvertSocket) (AdvertConn, error)
}

// RawIP is the transport of raw sockets (raw(7)). It works on Linux only and
// needs CAP_NET_RAW. The zero value is that of the process's own namespace.
type RawIP struct {
	// Namespace is the path of a network namespace, as /run/netns/blue; empty
	// means the one of the process.
	Namespace string
}

var _ AdvertTransport = RawIP{}

// cutIPv4 takes the header off an IPv4 packet as a raw socket has it, and what
// Ethernet padded it with. It reports false for what is no whole packet.
func cutIPv4(b []byte) (p AdvertPacket, ok bool) {
	const least = 20
	if len(b) < least || b[0]>>4 != 4 {
		return p, false
	}
	head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < least || head > total || total > len(b) {
		return p, false
	}
	p.TTL = b[8]
	p.Source, p.Destination = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.Payload = b[head:total]
	return p, true
}
