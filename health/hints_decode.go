package health

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
)

// What rtnetlink tells of neighbours and links (linux/rtnetlink.h,
// linux/neighbour.h, linux/if.h). Fields are in the byte order of the machine.
const (
	msgNewLink, msgDelLink = 16, 17 // RTM_NEWLINK, RTM_DELLINK
	msgNewNeighbour        = 28     // RTM_NEWNEIGH

	neighbourHeader = 12 // struct ndmsg
	neighbourDst    = 1  // NDA_DST
	neighbourFailed = 0x20
	// neighbourAlive: REACHABLE, NOARP, PERMANENT. STALE, DELAY and PROBE say
	// nothing new.
	neighbourAlive = 0x02 | 0x40 | 0x80

	linkHeader = 16 // struct ifinfomsg
	linkName   = 3  // IFLA_IFNAME
	linkUp     = 0x1
	linkLower  = 0x10000 // IFF_LOWER_UP: there is a carrier
)

// neighbourEvent is a neighbour that answers, or does not any more.
type neighbourEvent struct {
	addr  netip.Addr
	link  int
	alive bool
}

// linkEvent is a link that is up with a carrier, or is not.
type linkEvent struct {
	link int
	name string
	down bool
}

// messagesOf yields kind and body of each message of a datagram of netlink(7).
func messagesOf(b []byte) iter.Seq2[uint16, []byte] {
	const header = 16 // struct nlmsghdr
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= header {
			n := binary.NativeEndian.Uint32(b)
			if n < header || uint64(n) > uint64(len(b)) || !yield(binary.NativeEndian.Uint16(b[4:]), b[header:n]) {
				return
			}
			b = b[min((int(n)+3)&^3, len(b)):]
		}
	}
}

// decodeNeighbour reads the body of a message RTM_NEWNEIGH; false if it is not
// about an address, or says nothing new of one.
func decodeNeighbour(b []byte) (n neighbourEvent, ok bool) {
	if len(b) < neighbourHeader {
		return n, false
	}
	n.link = int(int32(binary.NativeEndian.Uint32(b[4:])))
	state := binary.NativeEndian.Uint16(b[8:])
	n.alive = state&neighbourAlive != 0
	if !n.alive && state&neighbourFailed == 0 {
		return n, false
	}
	n.addr, ok = netip.AddrFromSlice(attribute(b[neighbourHeader:], neighbourDst))
	n.addr = n.addr.Unmap()
	return n, ok
}

// decodeLink reads the body of a message RTM_NEWLINK or RTM_DELLINK.
func decodeLink(kind uint16, b []byte) (l linkEvent, ok bool) {
	if len(b) < linkHeader {
		return l, false
	}
	l.link = int(int32(binary.NativeEndian.Uint32(b[4:])))
	flags := binary.NativeEndian.Uint32(b[8:])
	l.down = kind == msgDelLink || flags&linkUp == 0 || flags&linkLower == 0
	name := attribute(b[linkHeader:], linkName)
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	if l.name = string(name); l.name == "" {
		l.name = fmt.Sprint(l.link)
	}
	return l, true
}

// attribute returns the value of the first attribute of a kind, nil if there
// is none: length and kind of 16 bits each, then the value, aligned to four.
func attribute(b []byte, kind uint16) []byte {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:]) == kind {
			return b[4:n]
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// unreachableCodes are the codes of "destination unreachable" that say that a
// packet was not taken (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section
// 3.1). "Fragmentation needed" is none of them.
var (
	unreachableCodes = map[byte]string{
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable", 5: "source route failed",
		6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "prohibited",
	}
	unreachableCodes6 = map[byte]string{
		0: "no route", 1: "prohibited", 2: "beyond the scope", 3: "address unreachable", 4: "port unreachable", 5: "source address refused", 6: "route refused",
	}
)

// decodeUnreachable reads a message of ICMP, or of ICMPv6, without its IP
// header: which address is unreachable and how. The message quotes the packet
// it is about from its IP header on.
func decodeUnreachable(b []byte, v6 bool) (addr netip.Addr, what string, ok bool) {
	if len(b) < 8 {
		return addr, "", false
	}
	quoted := b[8:]
	if v6 {
		what, ok = unreachableCodes6[b[1]]
		if !ok || b[0] != 1 || len(quoted) < 40 || quoted[0]>>4 != 6 {
			return addr, "", false
		}
		return netip.AddrFrom16([16]byte(quoted[24:40])).Unmap(), what, true
	}
	what, ok = unreachableCodes[b[1]]
	if !ok || b[0] != 3 || len(quoted) < 20 || quoted[0]>>4 != 4 {
		return addr, "", false
	}
	return netip.AddrFrom4([4]byte(quoted[16:20])), what, true
}
