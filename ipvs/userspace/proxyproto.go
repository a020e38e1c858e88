package userspace

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// maxProxyHeader is the longest header that appendProxyHeader makes: that of
// version 1 for IPv6 ("PROXY TCP6 ", two addresses of 39, two ports of 5,
// three spaces and the end of the line).
const maxProxyHeader = 107

// The numbers of version 2 of the PROXY protocol (section 2.2 of HAProxy's
// proxy-protocol.txt).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyLocal     = 0x20 // version 2, made by the proxy itself
	proxyProxy     = 0x21 // version 2, made for a client
	proxyTCP4      = 0x11
	proxyTCP6      = 0x21
)

// appendProxyHeader appends the header of the PROXY protocol, version 1 or 2,
// that tells a server of its client and of the address that the client came
// to. Without two addresses it says so: UNKNOWN in version 1, LOCAL in version
// 2. Addresses of two families are both written as IPv6.
func appendProxyHeader(dst []byte, version int, client, local netip.AddrPort) []byte {
	client, local = sameFamily(client, local)
	known := client.IsValid() && local.IsValid()
	if version == 1 {
		return appendProxyV1(dst, known, client, local)
	}
	dst = append(dst, proxySignature...)
	if !known {
		return append(dst, proxyLocal, 0, 0, 0)
	}
	family, length := byte(proxyTCP4), uint16(2*4+2*2)
	if client.Addr().Is6() {
		family, length = proxyTCP6, 2*16+2*2
	}
	dst = append(dst, proxyProxy, family)
	dst = binary.BigEndian.AppendUint16(dst, length)
	dst = appendAddr(appendAddr(dst, client.Addr()), local.Addr())
	dst = binary.BigEndian.AppendUint16(dst, client.Port())
	return binary.BigEndian.AppendUint16(dst, local.Port())
}

func appendProxyV1(dst []byte, known bool, client, local netip.AddrPort) []byte {
	if !known {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	dst = append(dst, "PROXY TCP4 "...)
	if client.Addr().Is6() {
		dst[len(dst)-2] = '6'
	}
	dst = append(client.Addr().AppendTo(dst), ' ')
	dst = append(local.Addr().AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(client.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(local.Port()), 10), "\r\n"...)
}

// sameFamily returns two addresses of one family and without a zone.
func sameFamily(x, y netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	a, b := x.Addr().Unmap().WithZone(""), y.Addr().Unmap().WithZone("")
	if a.IsValid() && b.IsValid() && a.Is4() != b.Is4() {
		a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
	}
	return netip.AddrPortFrom(a, x.Port()), netip.AddrPortFrom(b, y.Port())
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}
