package ipvs

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// The encoder appends to the caller's buffer and allocates only when that has
// to grow. Integers are in the machine's byte order unless the kernel's header
// says otherwise. It never writes what Validate refuses, because a length that
// is wrong makes the kernel drop the rest of a batch without a word.

// appendMessage starts a generic netlink message; endMessage completes it.
func appendMessage(b []byte, family uint16, cmd, version uint8, flags uint16, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, 0) // length, by endMessage
	b = binary.NativeEndian.AppendUint16(b, family)
	b = binary.NativeEndian.AppendUint16(b, flags|nlRequest)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // port: the kernel knows ours
	return append(b, cmd, version, 0, 0)
}

func endMessage(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// setAck asks for an answer to the message at start even if it succeeds.
func setAck(b []byte, start int) {
	flags := binary.NativeEndian.Uint16(b[start+6:])
	binary.NativeEndian.PutUint16(b[start+6:], flags|nlAck)
}

func appendNest(b []byte, typ uint16) []byte {
	b = binary.NativeEndian.AppendUint16(b, 0) // length, by endNest
	return binary.NativeEndian.AppendUint16(b, typ|nlaNested)
}

func endNest(b []byte, start int) []byte {
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// appendHeader writes an attribute's header for a payload of n bytes.
func appendHeader(b []byte, typ uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+n))
	return binary.NativeEndian.AppendUint16(b, typ)
}

func appendUint8(b []byte, typ uint16, v uint8) []byte {
	return append(appendHeader(b, typ, 1), v, 0, 0, 0)
}

func appendUint16(b []byte, typ uint16, v uint16) []byte {
	b = binary.NativeEndian.AppendUint16(appendHeader(b, typ, 2), v)
	return append(b, 0, 0)
}

func appendPort(b []byte, typ uint16, v uint16) []byte {
	b = binary.BigEndian.AppendUint16(appendHeader(b, typ, 2), v)
	return append(b, 0, 0)
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	return binary.NativeEndian.AppendUint32(appendHeader(b, typ, 4), v)
}

func appendString(b []byte, typ uint16, s string) []byte {
	b = append(appendHeader(b, typ, len(s)+1), s...)
	b = append(b, 0)
	for len(b)%4 != 0 { // messages start aligned, so this aligns the attribute
		b = append(b, 0)
	}
	return b
}

// appendAddr writes 16 bytes for both families, as the kernel does.
func appendAddr(b []byte, typ uint16, a netip.Addr) []byte {
	b = appendHeader(b, typ, 16)
	if a.Is4() {
		a4 := a.As4()
		b = append(b, a4[:]...)
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	a16 := a.As16()
	return append(b, a16[:]...)
}

func familyOf(is6 bool) uint16 {
	if is6 {
		return afInet6
	}
	return afInet
}

// appendServiceKey writes what identifies a service, into an open nest.
func appendServiceKey(b []byte, k ServiceKey) []byte {
	b = appendUint16(b, svcFamily, familyOf(k.Is6()))
	if k.IsMark() {
		return appendUint32(b, svcMark, k.Mark)
	}
	b = appendUint16(b, svcProtocol, uint16(k.Protocol))
	b = appendAddr(b, svcAddr, k.Addr.Addr())
	return appendPort(b, svcPort, k.Addr.Port())
}

func appendKeyNest(b []byte, k ServiceKey) []byte {
	start := len(b)
	b = appendServiceKey(appendNest(b, attrService), k)
	return endNest(b, start)
}

// allFlags makes a service end with the flags that were asked for, whatever it
// had: all bits are ours, unset ones too, but the kernel's own.
const allFlags = ^flagHashed

// appendService writes a full service; it must be valid and normalized.
func appendService(b []byte, s *Service) []byte { return appendServiceMasked(b, s, allFlags) }

// appendServiceMasked writes a full service of which only the flags in mask
// count.
func appendServiceMasked(b []byte, s *Service, mask ServiceFlags) []byte {
	start := len(b)
	b = appendServiceKey(appendNest(b, attrService), s.Key)
	b = appendString(b, svcScheduler, s.Scheduler)
	flags := s.Flags
	if s.Persistence > 0 {
		flags |= flagPersistent
	}
	b = appendHeader(b, svcFlags, 8)
	b = binary.NativeEndian.AppendUint32(b, uint32(flags))
	b = binary.NativeEndian.AppendUint32(b, uint32(mask))
	b = appendUint32(b, svcTimeout, uint32(s.Persistence/time.Second))
	b = appendNetmask(b, s)
	if s.Engine != "" {
		b = appendString(b, svcEngine, s.Engine)
	}
	return endNest(b, start)
}

// appendNetmask writes the one attribute that has two encodings: a mask in
// network order for IPv4, a prefix length in machine order for IPv6.
func appendNetmask(b []byte, s *Service) []byte {
	n := s.PersistencePrefix
	if n == 0 {
		n = s.fullPrefix()
	}
	if s.Key.Is6() {
		return appendUint32(b, svcNetmask, uint32(n))
	}
	b = appendHeader(b, svcNetmask, 4)
	return binary.BigEndian.AppendUint32(b, ^uint32(0)<<(32-n))
}

// appendDestinationKey writes what identifies a destination, into an open
// nest. The family is left out when it is the service's: kernels before 3.18
// do not know it.
func appendDestinationKey(b []byte, of ServiceKey, k DestinationKey) []byte {
	b = appendAddr(b, dstAddr, k.Addr())
	b = appendPort(b, dstPort, k.Port())
	if is6 := k.Addr().Is6(); is6 != of.Is6() {
		b = appendUint16(b, dstFamily, familyOf(is6))
	}
	return b
}

// appendDestination writes a full destination; it must be valid and normalized.
func appendDestination(b []byte, of ServiceKey, d *Destination) []byte {
	start := len(b)
	b = appendDestinationKey(appendNest(b, attrDest), of, d.Key)
	b = appendUint32(b, dstForward, uint32(d.Forward))
	b = appendUint32(b, dstWeight, uint32(d.Weight))
	b = appendUint32(b, dstUpper, d.UpperThreshold)
	b = appendUint32(b, dstLower, d.LowerThreshold)
	// What is left out becomes zero, which is plain IPIP; older kernels do
	// not know these.
	if d.Tunnel != (TunnelOptions{}) {
		b = appendUint8(b, dstTunType, uint8(d.Tunnel.Type))
		b = appendPort(b, dstTunPort, d.Tunnel.Port)
		b = appendUint16(b, dstTunFlags, d.Tunnel.Flags)
	}
	return endNest(b, start)
}

var changeCommands = [...]uint8{
	OpAddService:     cmdNewService,
	OpSetService:     cmdSetService,
	OpDelService:     cmdDelService,
	OpAddDestination: cmdNewDest,
	OpSetDestination: cmdSetDest,
	OpDelDestination: cmdDelDest,
}

// appendChange writes the whole message of a change, without asking for an
// acknowledgement. On an error b comes back as it was.
func appendChange(b []byte, family uint16, seq uint32, c *Change) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return b, err
	}
	start := len(b)
	b = appendMessage(b, family, changeCommands[c.Op], familyVersion, 0, seq)
	switch c.Op {
	case OpAddService, OpSetService:
		s := c.Service.Normalized()
		b = appendService(b, &s)
	case OpDelService:
		b = appendKeyNest(b, c.Service.Key)
	case OpAddDestination, OpSetDestination:
		d := c.Destination.Normalized()
		b = appendKeyNest(b, c.Service.Key)
		b = appendDestination(b, c.Service.Key, &d)
	case OpDelDestination:
		b = appendKeyNest(b, c.Service.Key)
		nest := len(b)
		b = appendDestinationKey(appendNest(b, attrDest), c.Service.Key, c.Destination.Key)
		b = endNest(b, nest)
	}
	return endMessage(b, start), nil
}

// appendSyncDaemon writes a full sync daemon; it must be valid. What is left
// out gets the kernel's default, and old kernels do not know it.
func appendSyncDaemon(b []byte, d *SyncDaemon) []byte {
	start := len(b)
	b = appendUint32(appendNest(b, attrDaemon), dmnState, uint32(d.Role))
	b = appendString(b, dmnInterface, d.Interface)
	b = appendUint32(b, dmnSyncID, d.SyncID)
	if d.MaxLength != 0 {
		b = appendUint16(b, dmnMaxLength, d.MaxLength)
	}
	switch {
	case d.Group.Is4():
		group := d.Group.As4()
		b = append(appendHeader(b, dmnGroup, 4), group[:]...)
	case d.Group.Is6():
		b = appendAddr(b, dmnGroup6, d.Group)
	}
	if d.Port != 0 {
		b = appendUint16(b, dmnPort, d.Port)
	}
	if d.TTL != 0 {
		b = appendUint8(b, dmnTTL, d.TTL)
	}
	return endNest(b, start)
}

// appendSyncRole writes what identifies a sync daemon.
func appendSyncRole(b []byte, r SyncRole) []byte {
	start := len(b)
	b = appendUint32(appendNest(b, attrDaemon), dmnState, uint32(r))
	return endNest(b, start)
}

func appendTimeouts(b []byte, t Timeouts) []byte {
	for _, a := range [...]struct {
		typ uint16
		d   time.Duration
	}{{attrTimeoutTCP, t.TCP}, {attrTimeoutTCPFin, t.TCPFin}, {attrTimeoutUDP, t.UDP}} {
		if a.d > 0 {
			b = appendUint32(b, a.typ, uint32(seconds(a.d)))
		}
	}
	return b
}

// appendFamilyRequest asks the controller for our family's number.
func appendFamilyRequest(b []byte, seq uint32) []byte {
	start := len(b)
	b = appendMessage(b, ctrlFamily, ctrlGetFamily, ctrlVersion, 0, seq)
	b = appendString(b, ctrlAttrFamilyNam, familyName)
	return endMessage(b, start)
}
