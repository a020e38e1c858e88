package failover

import (
	"encoding/binary"

	"github.com/lvskit/lvskit/failover/internal/frame"
)

const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	echoLength               = 8 + 8 // header, and a token that is ours
)

// echoMessage returns an echo request (RFC 792, RFC 4443 section 4.1). The
// checksum of ICMPv6 is left to the kernel (RFC 3542 section 3.1).
func echoMessage(six bool, id, number uint16, token [8]byte) []byte {
	m := make([]byte, echoLength)
	m[0] = echoRequest4
	if six {
		m[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(m[4:], id)
	binary.BigEndian.PutUint16(m[6:], number)
	copy(m[8:], token[:])
	if !six {
		binary.BigEndian.PutUint16(m[2:], frame.Checksum(0, m))
	}
	return m
}

// readEcho returns the number of the request that a packet of a raw socket
// answers: with IPv4 it has its header.
func readEcho(b []byte, six bool, id uint16, token [8]byte) (number uint16, ok bool) {
	reply := byte(echoReply6)
	if !six {
		p, whole := cutIPv4(b)
		if !whole || frame.Checksum(0, p.Payload) != 0 {
			return 0, false
		}
		b, reply = p.Payload, echoReply4
	}
	if len(b) != echoLength || b[0] != reply || b[1] != 0 || binary.BigEndian.Uint16(b[4:]) != id || [8]byte(b[8:]) != token {
		return 0, false
	}
	return binary.BigEndian.Uint16(b[6:]), true
}
