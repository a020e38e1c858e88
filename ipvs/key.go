package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocol is the transport protocol of an address service, by its IP
// protocol number.
type Protocol uint8

// The protocols that IPVS schedules. SCTP needs kernel support.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns "tcp", "udp", "sctp", or the number for any other protocol.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

// MarshalText writes the same text as String.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Protocol) UnmarshalText(text []byte) error {
	switch s := strings.ToLower(string(text)); s {
	case "tcp":
		*p = TCP
	case "udp":
		*p = UDP
	case "sctp":
		*p = SCTP
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return fmt.Errorf("protocol %q: want tcp, udp, sctp or a number 0..255", text)
		}
		*p = Protocol(n)
	}
	return nil
}

// ServiceKey identifies a virtual service: either an address with its
// protocol and port, or a firewall mark. It is comparable and so a map key;
// build it with [TCPService], [UDPService], [SCTPService], [MarkService] or
// [MarkService6] to keep it canonical.
type ServiceKey struct {
	// Protocol of an address service; zero in a firewall-mark service.
	Protocol Protocol
	// Addr is the virtual address and port of an address service; the zero
	// value in a firewall-mark service.
	Addr netip.AddrPort
	// Mark is the firewall mark, zero in an address service: the kernel
	// does not know a service for mark 0.
	Mark uint32
	// Mark6 tells that a firewall-mark service takes IPv6 packets; marks of
	// the two families are separate services.
	Mark6 bool
}

// TCPService returns the key of a TCP service on a virtual address and port.
func TCPService(addr netip.AddrPort) ServiceKey { return addrService(TCP, addr) }

// UDPService returns the key of a UDP service on a virtual address and port.
func UDPService(addr netip.AddrPort) ServiceKey { return addrService(UDP, addr) }

// SCTPService returns the key of an SCTP service on a virtual address and port.
func SCTPService(addr netip.AddrPort) ServiceKey { return addrService(SCTP, addr) }

// MarkService returns the key of the IPv4 service for a firewall mark.
func MarkService(mark uint32) ServiceKey { return ServiceKey{Mark: mark} }

// MarkService6 returns the key of the IPv6 service for a firewall mark.
func MarkService6(mark uint32) ServiceKey { return ServiceKey{Mark: mark, Mark6: true} }

func addrService(p Protocol, addr netip.AddrPort) ServiceKey {
	return ServiceKey{Protocol: p, Addr: netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())}
}

// IsMark reports whether the key names a firewall-mark service.
func (k ServiceKey) IsMark() bool { return k.Mark != 0 }

// Is6 reports whether the service takes IPv6 packets.
func (k ServiceKey) Is6() bool {
	if k.IsMark() {
		return k.Mark6
	}
	return k.Addr.Addr().Is6()
}

// canonical returns the key in the one form that compares equal: no mapped
// IPv4 address, no zone.
func (k ServiceKey) canonical() ServiceKey {
	if k.Addr.IsValid() {
		k.Addr = canonicalAddrPort(k.Addr)
	}
	return k
}

func canonicalAddrPort(a netip.AddrPort) netip.AddrPort {
	if ip := a.Addr(); ip.Is4In6() || ip.Zone() != "" {
		return netip.AddrPortFrom(ip.Unmap().WithZone(""), a.Port())
	}
	return a
}

// Validate reports what keeps the key from naming a service.
func (k ServiceKey) Validate() error {
	switch {
	case k.IsMark() && (k.Protocol != 0 || k.Addr.IsValid()):
		return fmt.Errorf("service %v: a firewall mark excludes protocol and address", k)
	case k.IsMark():
		return nil
	case k.Mark6:
		return fmt.Errorf("service %v: firewall mark 0 is no mark", k)
	case !k.Addr.IsValid():
		return fmt.Errorf("service %v: neither an address nor a firewall mark", k)
	case k.Protocol == 0:
		return fmt.Errorf("service %v: no protocol", k)
	case k.Addr.Addr().Is4In6() || k.Addr.Addr().Zone() != "":
		return fmt.Errorf("service %v: address must be plain IPv4 or IPv6, without a zone", k)
	}
	return nil
}

// String returns "tcp/192.0.2.1:80", "fwmark/7" or "fwmark6/7".
func (k ServiceKey) String() string {
	switch {
	case k.Mark6:
		return "fwmark6/" + strconv.FormatUint(uint64(k.Mark), 10)
	case k.IsMark():
		return "fwmark/" + strconv.FormatUint(uint64(k.Mark), 10)
	}
	return k.Protocol.String() + "/" + k.Addr.String()
}

// MarshalText writes the same text as String.
func (k ServiceKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *ServiceKey) UnmarshalText(text []byte) error {
	got, err := ParseServiceKey(string(text))
	if err != nil {
		return err
	}
	*k = got
	return nil
}

// ParseServiceKey reads the form that [ServiceKey.String] writes.
func ParseServiceKey(s string) (ServiceKey, error) {
	kind, rest, ok := strings.Cut(s, "/")
	if !ok {
		return ServiceKey{}, fmt.Errorf("service %q: want PROTOCOL/ADDRESS:PORT or fwmark/N", s)
	}
	var k ServiceKey
	if kind == "fwmark" || kind == "fwmark6" {
		n, err := strconv.ParseUint(rest, 10, 32)
		if err != nil || n == 0 {
			return ServiceKey{}, fmt.Errorf("service %q: firewall mark must be 1..4294967295", s)
		}
		k = ServiceKey{Mark: uint32(n), Mark6: kind == "fwmark6"}
	} else {
		var p Protocol
		if err := p.UnmarshalText([]byte(kind)); err != nil {
			return ServiceKey{}, fmt.Errorf("service %q: %w", s, err)
		}
		addr, err := netip.ParseAddrPort(rest)
		if err != nil {
			return ServiceKey{}, fmt.Errorf("service %q: %w", s, err)
		}
		k = addrService(p, addr)
	}
	return k, k.Validate()
}

// Compare orders keys: address services before marks, then by protocol,
// address, port and mark. The order carries no other meaning.
func (k ServiceKey) Compare(o ServiceKey) int {
	if k.IsMark() != o.IsMark() {
		if k.IsMark() {
			return 1
		}
		return -1
	}
	if k.IsMark() {
		if k.Mark6 != o.Mark6 {
			if k.Mark6 {
				return 1
			}
			return -1
		}
		return cmp.Compare(k.Mark, o.Mark)
	}
	if c := cmp.Compare(k.Protocol, o.Protocol); c != 0 {
		return c
	}
	return k.Addr.Compare(o.Addr)
}

// DestinationKey identifies a destination (a real server) within its
// service. Port 0 keeps the port of the connection, as firewall-mark and
// port-0 services want it.
type DestinationKey = netip.AddrPort
