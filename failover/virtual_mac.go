package failover

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/failover/internal/frame"
	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// controlClass marks adverts as network control: precedence 6, as RFC
	// 2474, section 4.2.2.2, keeps it for routing protocols.
	controlClass = 0xc0
	// checksumAt is where the checksum of IPv6 is in a payload.
	checksumAt = 6
)

// VirtualMAC returns the hardware address of a virtual router (RFC 9568,
// section 7.3).
func VirtualMAC(vrid uint8, six bool) net.HardwareAddr {
	family := byte(1)
	if six {
		family = 2
	}
	return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, family, vrid}
}

// VirtualDevice returns the name of the device that carries the virtual MAC of
// a [Router] on a device, as vrrp4-51-eth0. Where that were longer than the 15
// bytes that a name may have, a part made of the device's name ends it.
func VirtualDevice(device string, vrid uint8, six bool) string {
	const longest = 15 // IFNAMSIZ of linux/if.h less the zero byte
	family := 4
	if six {
		family = 6
	}
	name := fmt.Sprintf("vrrp%d-%d-%s", family, vrid, device)
	if len(name) <= longest {
		return name
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(device)) // never fails
	return fmt.Sprintf("vrrp%d-%d-%05x", family, vrid, h.Sum32()&0xfffff)
}

// virtualDevice is the macvlan of a router: it carries the virtual MAC and the
// addresses, and is up while the router is active only, so that a backup
// neither takes nor sends anything under a MAC that is at another port.
type virtualDevice struct {
	namespace string
	parent    string
	name      string
	mac       net.HardwareAddr
}

// newVirtualDevice returns the device of a router, nil without a virtual MAC,
// and has the addresses of the router's device on it: also in the daemon, which
// removes them if the beat process is killed.
func newVirtualDevice(c *RouterConfig) (*virtualDevice, error) {
	m, moves := c.Owner.(addressMover)
	if !c.VirtualMAC {
		if moves {
			m.moveTo("", "")
		}
		return nil, nil
	}
	raw, ok := c.Transport.(RawIP)
	if !ok {
		return nil, fmt.Errorf("failover: a virtual MAC needs the transport RawIP, this one is %T", c.Transport)
	}
	six := c.six()
	v := &virtualDevice{
		namespace: raw.Namespace, parent: c.Device,
		name: VirtualDevice(c.Device, c.VRID, six), mac: VirtualMAC(c.VRID, six),
	}
	if moves {
		m.moveTo(v.parent, v.name)
	}
	return v, nil
}

// hook returns a role hook that has the device up while h is told of nothing but
// the active role. A nil device leaves h as it is.
func (v *virtualDevice) hook(h func(context.Context, Role) error) func(context.Context, Role) error {
	if v == nil {
		return h
	}
	return func(ctx context.Context, r Role) error {
		if err := v.setUp(r == RoleActive); err != nil {
			return err
		}
		if h == nil {
			return nil
		}
		return h(ctx, r)
	}
}

// addressMover is an owner whose addresses can be put on another device than
// the one that they are configured on.
type addressMover interface{ moveTo(from, to string) }

// movedTo returns the addresses with those of the device from on another one.
func movedTo(addrs []VirtualAddress, from, to string) []VirtualAddress {
	out := make([]VirtualAddress, 0, len(addrs))
	for _, v := range addrs {
		if v.Device == from {
			v.Device = to
			if v.Label != "" {
				v.Label = to + strings.TrimPrefix(v.Label, from)
			}
			if len(v.Label) > 15 {
				v.Label = "" // it has no room
			}
		}
		out = append(out, v)
	}
	return out
}

// plainSender is the connection of a router with a virtual MAC.
type plainSender interface {
	// SendPlain is Send under the device's own MAC.
	SendPlain(payload []byte, to netip.Addr) error
}

// ethernetAdvert puts the Ethernet frame of an advert by multicast into b: what
// the kernel makes of a payload, from another MAC.
func ethernetAdvert(b []byte, mac net.HardwareAddr, from, to netip.Addr, id uint16, payload []byte) []byte {
	if to.Is6() {
		b = append(b, 0x33, 0x33, 0, 0, 0, 0x12) // RFC 2464, section 7, of ff02::12
		b = append(b, mac...)
		b = append(b, frame.TypeIPv6>>8, frame.TypeIPv6&0xff, 0x60|controlClass>>4, controlClass<<4&0xf0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(b, vrrp.Protocol, vrrp.TTL)
		b = append(b, from.AsSlice()...)
		b = append(b, to.AsSlice()...)
		at := len(b)
		b = append(b, payload...)
		// As the kernel does, over all that there is: also a trailer.
		p := b[at:]
		p[checksumAt], p[checksumAt+1] = 0, 0
		binary.BigEndian.PutUint16(p[checksumAt:], frame.Checksum(uint32(len(payload))+vrrp.Protocol, b[at-32:]))
		return b
	}
	b = append(b, 0x01, 0x00, 0x5e, 0, 0, 0x12) // RFC 1112, section 6.4, of 224.0.0.18
	b = append(b, mac...)
	b = append(b, 0x08, 0x00)
	at := len(b)
	b = append(b, 0x45, controlClass)
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(payload)))
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0, 0, vrrp.TTL, vrrp.Protocol, 0, 0)
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	binary.BigEndian.PutUint16(b[at+10:], frame.Checksum(0, b[at:]))
	return append(b, payload...)
}
