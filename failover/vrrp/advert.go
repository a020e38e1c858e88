package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// Numbers of the protocol.
const (
	// Protocol is the number of the IP protocol (RFC 9568, section 5.1.1.4).
	Protocol = 112
	// TTL is what packets are sent with, and what multicast ones must have
	// when they come in (section 5.1.1.3).
	TTL = 255
	// PriorityOwner is the priority of the router whose own addresses the
	// virtual ones are; PriorityStop says that the sender stops.
	PriorityOwner, PriorityStop = 255, 0
	// DefaultPriority is that of a backup that is not given any (section 6.1).
	DefaultPriority = 100
	// MaxAddrs is how many addresses a packet can carry.
	MaxAddrs = 255
	// MaxInterval is the longest interval of version 3, 4095 centiseconds,
	// and MaxInterval2 that of version 2.
	MaxInterval, MaxInterval2 = 4095 * centisecond, 255 * time.Second
	// MaxPassword is the longest password of version 2 in bytes.
	MaxPassword = 8

	centisecond    = 10 * time.Millisecond
	typeAdvert     = 1
	headerSize     = 8
	passwordSize   = 8
	authNone       = 0
	authPassword   = 1
	carpSize       = 36
	checksumOffset = 6
)

// The groups that adverts are sent to (RFC 9568, sections 5.1.1.2, 5.1.2.2).
var (
	group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	group6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// Group returns the multicast address of adverts, of IPv6 if six is true.
func Group(six bool) netip.Addr {
	if six {
		return group6
	}
	return group4
}

// VirtualMAC returns the hardware address of a virtual router (RFC 9568,
// section 7.3).
func VirtualMAC(vrid uint8, six bool) [6]byte {
	family := byte(1)
	if six {
		family = 2
	}
	return [6]byte{0, 0, 0x5e, 0, family, vrid}
}

// Advert is one advertisement.
type Advert struct {
	// Version is 2 or 3.
	Version uint8
	// VRID numbers the virtual router on its network, 1..255.
	VRID uint8
	// Priority is 1..255, or PriorityStop.
	Priority uint8
	// Interval is the time between the sender's adverts: with version 2 whole
	// seconds up to MaxInterval2, with version 3 whole centiseconds up to
	// MaxInterval.
	Interval time.Duration
	// Addrs are the virtual addresses, all of the family of the packet, at
	// most MaxAddrs. With version 3 there is at least one, and over IPv6 the
	// first is link-local.
	Addrs []netip.Addr
	// Password authenticates version 2 in clear (RFC 2338, section 5.3.6.2);
	// empty is none. It hinders slips, not attackers.
	Password string
}

// Checksum is what the checksum of version 3 over IPv4 covers; everywhere else
// there is one form, and it has no effect.
type Checksum uint8

const (
	// WithPseudoHeader covers addresses, protocol and length besides: the
	// reading of keepalived and FRR.
	WithPseudoHeader Checksum = iota
	// MessageOnly covers the message alone: RFC 9568, section 5.2.8.
	MessageOnly
)

var checksumNames = [...]string{WithPseudoHeader: "pseudo-header", MessageOnly: "message"}

// String returns "pseudo-header" or "message", or checksum(N) for others.
func (c Checksum) String() string { return enum.Name("checksum", checksumNames[:], uint8(c)) }

// MarshalText returns the same as String.
func (c Checksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (c *Checksum) UnmarshalText(text []byte) error {
	v, err := enum.Parse("vrrp", "checksum", checksumNames[:], string(text))
	*c = Checksum(v)
	return err
}

// Path is the source and the destination of a packet, both of one family.
type Path struct{ Source, Destination netip.Addr }

func (p Path) six() bool { return p.Source.Is6() && !p.Source.Is4In6() }

func (p Path) check() error {
	if !p.Source.IsValid() || !p.Destination.IsValid() || p.six() != (Path{Source: p.Destination}).six() {
		return fmt.Errorf("vrrp: from %v to %v: want two addresses of one family", p.Source, p.Destination)
	}
	return nil
}

// Append writes an advert to b and returns the longer slice. Its error names
// every field that cannot be sent.
func Append(b []byte, a *Advert, p Path, form Checksum) ([]byte, error) {
	if err := a.check(p); err != nil {
		return b, err
	}
	start := len(b)
	b = append(b, a.Version<<4|typeAdvert, a.VRID, a.Priority, byte(len(a.Addrs)))
	if a.Version == 2 {
		auth := byte(authNone)
		if a.Password != "" {
			auth = authPassword
		}
		b = append(b, auth, byte(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/centisecond))
	}
	b = append(b, 0, 0) // the checksum
	for _, addr := range a.Addrs {
		b = append(b, addr.Unmap().AsSlice()...)
	}
	if a.Version == 2 {
		var secret [passwordSize]byte
		copy(secret[:], a.Password)
		b = append(b, secret[:]...)
	}
	message := b[start:]
	sum := uint32(0)
	if a.Version == 3 && (p.six() || form == WithPseudoHeader) {
		sum = pseudoHeader(p, len(message))
	}
	binary.BigEndian.PutUint16(message[checksumOffset:], ^fold(add(sum, message)))
	return b, nil
}

func (a *Advert) check(p Path) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("vrrp: "+format, args...)) }
	if err := p.check(); err != nil {
		return err
	}
	unit, most := centisecond, MaxInterval
	switch a.Version {
	case 2:
		unit, most = time.Second, MaxInterval2
		if p.six() {
			wrong("version 2 knows no IPv6: use version 3")
		}
		if len(a.Password) > MaxPassword || strings.IndexByte(a.Password, 0) >= 0 {
			wrong("password of %d bytes: at most %d, none of them zero", len(a.Password), MaxPassword)
		}
	case 3:
		if a.Password != "" {
			wrong("version 3 has no password: use a key, or version 2")
		}
		if len(a.Addrs) == 0 {
			wrong("no address: version 3 needs one (RFC 9568, section 5.2.5)")
		} else if p.six() && !a.Addrs[0].IsLinkLocalUnicast() {
			wrong("first address %v: over IPv6 it must be link-local (RFC 9568, section 5.2.9)", a.Addrs[0])
		}
	default:
		wrong("version %d: want 2 or 3", a.Version)
	}
	if a.VRID == 0 {
		wrong("VRID 0: want 1 to 255")
	}
	if a.Interval < unit || a.Interval > most || a.Interval%unit != 0 {
		wrong("interval %v: version %d has multiples of %v from one to %v", a.Interval, a.Version, unit, most)
	}
	if len(a.Addrs) > MaxAddrs {
		wrong("%d addresses: at most %d", len(a.Addrs), MaxAddrs)
	}
	for _, addr := range a.Addrs {
		if !addr.IsValid() || (Path{Source: addr}).six() != p.six() {
			wrong("address %v is not of the family of the packet from %v", addr, p.Source)
		}
	}
	return errors.Join(errs...)
}

// Parse reads the payload of an IP packet, that is without its header, and
// checks what can be checked without knowing the receiver. What follows the
// advert is returned in rest: the padding of Ethernet, or a trailer (see
// [Keys]). The error is a [Drop]. The advert refers to nothing of b.
func Parse(b []byte, p Path) (a Advert, form Checksum, rest []byte, err error) {
	return ParseInto(nil, b, p)
}

// ParseInto is [Parse] that takes the room for the addresses from addrs, which
// saves an allocation where there is enough.
func ParseInto(addrs []netip.Addr, b []byte, p Path) (a Advert, form Checksum, rest []byte, err error) {
	switch {
	case p.check() != nil:
		return a, form, nil, DropSource
	case len(b) < headerSize:
		return a, form, nil, DropSize
	case b[0]>>4 == 2 && len(b) == carpSize && b[3] == 7:
		// CARP shares the protocol number and the first byte; its third is
		// a counter of skew and its fourth the length of what it signs.
		return a, form, nil, DropCARP
	}
	a = Advert{Version: b[0] >> 4, VRID: b[1], Priority: b[2]}
	count, each, size := int(b[3]), 4, headerSize
	switch a.Version {
	case 2:
		if p.six() {
			return a, form, nil, DropVersion
		}
		size += passwordSize
	case 3:
		if p.six() {
			each = 16
		}
	default:
		return a, form, nil, DropVersion
	}
	if b[0]&0xf != typeAdvert {
		return a, form, nil, DropType
	}
	if size += count * each; len(b) < size {
		return a, form, nil, DropSize
	}
	message, rest := b[:size], b[size:]
	sum := add(0, message)
	switch {
	case a.Version == 3 && p.six():
		// Kernels that fill in the checksum of IPv6 (IPV6_CHECKSUM) cover a
		// trailer with it.
		if fold(sum+pseudoHeader(p, size)) != 0xffff && fold(add(0, b)+pseudoHeader(p, len(b))) != 0xffff {
			return a, form, nil, DropChecksum
		}
	case fold(sum) == 0xffff:
		form = MessageOnly
	case a.Version == 3 && fold(sum+pseudoHeader(p, size)) == 0xffff:
		form = WithPseudoHeader
	default:
		return a, form, nil, DropChecksum
	}
	if a.VRID == 0 {
		return a, form, nil, DropVRID
	}
	if a.Version == 2 {
		a.Interval = time.Duration(b[5]) * time.Second
		switch b[4] {
		case authNone:
		case authPassword:
			secret := string(message[size-passwordSize:])
			a.Password = strings.TrimRight(secret, "\x00")
			if a.Password == "" || strings.IndexByte(a.Password, 0) >= 0 {
				return a, form, nil, DropAuth
			}
		default:
			return a, form, nil, DropAuth
		}
	} else {
		a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0xfff) * centisecond
		if count == 0 { // erratum 8299
			return a, form, nil, DropAddresses
		}
	}
	if a.Interval == 0 { // erratum 8301
		return a, form, nil, DropInterval
	}
	if a.Addrs = addrs[:0]; cap(addrs) < count {
		a.Addrs = make([]netip.Addr, 0, count)
	}
	for i := range count {
		addr, _ := netip.AddrFromSlice(message[headerSize+i*each:][:each])
		a.Addrs = append(a.Addrs, addr)
	}
	if p.six() && !a.Addrs[0].IsLinkLocalUnicast() { // erratum 8300
		return a, form, nil, DropAddresses
	}
	return a, form, rest, nil
}

// add sums 16-bit words in network order (RFC 1071).
func add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// pseudoHeader sums what RFC 8200, section 8.1, and its counterpart of IPv4
// put before a message.
func pseudoHeader(p Path, size int) uint32 {
	sum := uint32(Protocol + size)
	for _, addr := range []netip.Addr{p.Source, p.Destination} {
		sum = add(sum, addr.Unmap().AsSlice())
	}
	return sum
}
