// Package frame writes and reads the Ethernet frames by which machines say where
// an address is, those of ARP and of neighbour discovery, and makes the filters
// that let the kernel pass no others. It is pure: sockets are elsewhere.
package frame

import (
	"encoding/binary"
	"net"
)

// The protocols of Ethernet by their numbers (RFC 9542, appendix B).
const (
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// Checksum is the checksum of the Internet (RFC 1071) over the parts, of which
// only the last one may have an odd length, and what start adds. Over a message
// that has its checksum it is 0.
func Checksum(start uint32, parts ...[]byte) uint16 {
	sum := start
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func ethernet(dst, src net.HardwareAddr, etherType uint16) []byte {
	f := make([]byte, 0, 86)
	f = append(f, dst...)
	f = append(f, src...)
	return binary.BigEndian.AppendUint16(f, etherType)
}
