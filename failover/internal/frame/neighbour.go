package frame

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

const (
	protoICMPv6      = 58
	neighbourSolicit = 135
	neighbourAdvert  = 136

	// Lengths with the header of Ethernet: all of ARP; a neighbour
	// advertisement without options.
	arpLength = 14 + 28
	naLength  = 14 + 40 + 24
)

// GratuitousARP returns the Ethernet frame that tells everybody on the wire
// that addr is at hw: an ARP announcement in the request form (RFC 5227
// section 2.3), which Linux neighbours believe even within a second of the
// last change, as they do not with some reply forms.
func GratuitousARP(hw net.HardwareAddr, addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, hw, addr, make(net.HardwareAddr, len(hw)), addr)
	if err != nil {
		return nil, fmt.Errorf("failover: announce %v from %v: %w", addr, hw, err)
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("failover: announce %v from %v: %w", addr, hw, err)
	}
	f := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, hw, TypeARP)
	return append(f, body...), nil
}

// Advertisement returns the Ethernet frame of an unsolicited neighbour
// advertisement (RFC 4861 section 7.2.6) to all nodes, with the override flag
// and the target's link-layer address. router says whether this machine
// forwards: without it hosts would drop us as their router.
func Advertisement(hw net.HardwareAddr, addr netip.Addr, router bool) []byte {
	dst := netip.MustParseAddr("ff02::1").As16()
	src := addr.As16()
	const length = 32

	f := ethernet(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, hw, TypeIPv6)
	f = append(f, 0x60, 0, 0, 0, 0, length, protoICMPv6, 255)
	f = append(f, src[:]...)
	f = append(f, dst[:]...)

	flags := byte(0x20) // override
	if router {
		flags |= 0x80
	}
	icmp := append([]byte{neighbourAdvert, 0, 0, 0, flags, 0, 0, 0}, src[:]...)
	icmp = append(icmp, 2, 1)
	icmp = append(icmp, hw[:6]...)

	binary.BigEndian.PutUint16(icmp[2:], checksum6(src[:], dst[:], icmp))
	return append(f, icmp...)
}

// Ask returns the Ethernet frame by which an address asks for the hardware
// address of a neighbour: a request of ARP, or a neighbour solicitation with
// the source's link-layer address to the neighbour's solicited-node group (RFC
// 4861 section 7.2.2).
func Ask(hw net.HardwareAddr, from, to netip.Addr) ([]byte, error) {
	if from.Is4() {
		p, err := arp.NewPacket(arp.OperationRequest, hw, from, make(net.HardwareAddr, len(hw)), to)
		if err != nil {
			return nil, fmt.Errorf("failover: ask for %v from %v: %w", to, from, err)
		}
		body, err := p.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("failover: ask for %v from %v: %w", to, from, err)
		}
		return append(ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, hw, TypeARP), body...), nil
	}
	target, src := to.As16(), from.As16()
	dst := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(dst[13:], target[13:])
	const length = 32
	f := ethernet(net.HardwareAddr{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}, hw, TypeIPv6)
	f = append(f, 0x60, 0, 0, 0, 0, length, protoICMPv6, 255)
	f = append(f, src[:]...)
	f = append(f, dst[:]...)
	icmp := append([]byte{neighbourSolicit, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	icmp = append(icmp, 1, 1)
	icmp = append(icmp, hw[:6]...)
	binary.BigEndian.PutUint16(icmp[2:], checksum6(src[:], dst[:], icmp))
	return append(f, icmp...), nil
}

// checksum6 is the checksum of a message of ICMPv6 with its pseudo-header of
// source, destination, length and next header (RFC 8200 section 8.1).
func checksum6(src, dst, icmp []byte) uint16 {
	return Checksum(uint32(len(icmp))+protoICMPv6, src, dst, icmp)
}

// Longest is the longest frame that is read for a claim. Neighbour
// advertisements have a single option.
const Longest = 256

// ReadARP returns who says in an Ethernet frame with ARP that which address is
// its own: the sender of a request or a reply (RFC 826), but not of a probe,
// which has no address yet (RFC 5227 section 1.1).
func ReadARP(f []byte) (addr netip.Addr, mac [6]byte, ok bool) {
	if len(f) < arpLength || binary.BigEndian.Uint16(f[12:]) != TypeARP {
		return addr, mac, false
	}
	// Ethernet, IPv4, and the lengths of their addresses.
	if binary.BigEndian.Uint64(f[14:])>>16 != 0x0001_0800_0604 {
		return addr, mac, false
	}
	if op := binary.BigEndian.Uint16(f[20:]); op != 1 && op != 2 {
		return addr, mac, false
	}
	copy(mac[:], f[22:])
	addr = netip.AddrFrom4([4]byte(f[28:32]))
	return addr, mac, !addr.IsUnspecified() && oneStation(mac)
}

// ReadAdvertisement returns who says in an Ethernet frame with a neighbour
// advertisement that which address is its own: the target's link-layer address,
// or without that option the sender of the frame. It checks what RFC 4861
// section 7.1.2 asks for.
func ReadAdvertisement(f []byte) (addr netip.Addr, mac [6]byte, ok bool) {
	if len(f) < naLength || binary.BigEndian.Uint16(f[12:]) != TypeIPv6 {
		return addr, mac, false
	}
	copy(mac[:], f[6:])
	ip := f[14:]
	length := int(binary.BigEndian.Uint16(ip[4:]))
	if ip[0]>>4 != 6 || ip[6] != protoICMPv6 || ip[7] != 255 || length < 24 || 40+length > len(ip) {
		return addr, mac, false
	}
	icmp := ip[40 : 40+length]
	if icmp[0] != neighbourAdvert || icmp[1] != 0 || checksum6(ip[8:24], ip[24:40], icmp) != 0 {
		return addr, mac, false
	}
	addr = netip.AddrFrom16([16]byte(icmp[8:24]))
	for o := icmp[24:]; len(o) > 0; {
		if len(o) < 8 || o[1] == 0 || 8*int(o[1]) > len(o) {
			return addr, mac, false
		}
		if o[0] == 2 && o[1] == 1 {
			copy(mac[:], o[2:8])
		}
		o = o[8*int(o[1]):]
	}
	return addr, mac, !addr.IsMulticast() && !addr.IsUnspecified() && !addr.Is4In6() && oneStation(mac)
}

// oneStation reports whether a hardware address is that of one machine.
func oneStation(mac [6]byte) bool { return mac[0]&1 == 0 && mac != [6]byte{} }
