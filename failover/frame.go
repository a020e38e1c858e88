package failover

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

const (
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

// gratuitousARP returns the Ethernet frame that tells everybody on the wire
// that addr is at hw: an ARP announcement in the request form (RFC 5227
// section 2.3), which Linux neighbours believe even within a second of the
// last change, as they do not with some reply forms.
func gratuitousARP(hw net.HardwareAddr, addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, hw, addr, make(net.HardwareAddr, len(hw)), addr)
	if err != nil {
		return nil, fmt.Errorf("failover: announce %v from %v: %w", addr, hw, err)
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("failover: announce %v from %v: %w", addr, hw, err)
	}
	f := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, hw, etherTypeARP)
	return append(f, body...), nil
}

// neighbourAdvertisement returns the Ethernet frame of an unsolicited
// neighbour advertisement (RFC 4861 section 7.2.6) to all nodes, with the
// override flag and the target's link-layer address. router says whether this
// machine forwards: without it hosts would drop us as their router.
func neighbourAdvertisement(hw net.HardwareAddr, addr netip.Addr, router bool) []byte {
	dst := netip.MustParseAddr("ff02::1").As16()
	src := addr.As16()
	const length = 32

	f := ethernet(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, hw, etherTypeIPv6)
	f = append(f, 0x60, 0, 0, 0, 0, length, 58, 255)
	f = append(f, src[:]...)
	f = append(f, dst[:]...)

	flags := byte(0x20) // override
	if router {
		flags |= 0x80
	}
	icmp := append([]byte{136, 0, 0, 0, flags, 0, 0, 0}, src[:]...)
	icmp = append(icmp, 2, 1)
	icmp = append(icmp, hw[:6]...)

	// RFC 8200 section 8.1: source, destination, length and next header.
	var sum uint32
	add := func(b []byte) {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	add(src[:])
	add(dst[:])
	add(icmp)
	sum += length + 58
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(icmp[2:], ^uint16(sum))
	return append(f, icmp...)
}

func ethernet(dst, src net.HardwareAddr, etherType uint16) []byte {
	f := make([]byte, 0, 86)
	f = append(f, dst...)
	f = append(f, src...)
	return binary.BigEndian.AppendUint16(f, etherType)
}
