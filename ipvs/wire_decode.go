package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"
)

// The decoder reads in place and allocates nothing but names that it has
// never heard of. It knows nothing of the order of attributes, passes over
// those it does not know, and takes longer integers than it needs: newer
// kernels may send both.

var (
	errMalformed = errors.New("malformed message from the kernel")
	// errNoKey tells of a service of another program that no ServiceKey can
	// name, and that so cannot be one of ours. The kernel takes any 16-bit
	// protocol over netlink (ip_vs_genl_parse_service in ip_vs_ctl.c).
	errNoKey = errors.New("no key can name this service")
)

// message is one netlink message of a datagram.
type message struct {
	typ   uint16
	flags uint16
	seq   uint32
	body  []byte // after the netlink header
}

// nextMessage splits the first message off a datagram.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < nlHeaderLen {
		return m, nil, fmt.Errorf("%w: %d bytes are no header", errMalformed, len(b))
	}
	n := int64(binary.NativeEndian.Uint32(b))
	if n < nlHeaderLen || n > int64(len(b)) {
		return m, nil, fmt.Errorf("%w: length %d of %d bytes", errMalformed, n, len(b))
	}
	m = message{
		typ:   binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		body:  b[nlHeaderLen:n],
	}
	return m, b[min((n+3)&^3, int64(len(b))):], nil
}

// errno returns the code of an error or done message: zero or a negative
// number of Linux. A done message may lack it.
func (m *message) errno() (int32, error) {
	if len(m.body) < 4 {
		if m.typ == nlDone {
			return 0, nil
		}
		return 0, fmt.Errorf("%w: error message without a code", errMalformed)
	}
	return int32(binary.NativeEndian.Uint32(m.body)), nil
}

// attributes returns what follows the generic netlink header.
func (m *message) attributes() (attributes, error) {
	if len(m.body) < genlHeaderLen {
		return attributes{}, fmt.Errorf("%w: no generic header", errMalformed)
	}
	return attributes{b: m.body[genlHeaderLen:]}, nil
}

// attributes walks over encoded attributes.
type attributes struct {
	b   []byte
	err error
}

// next returns the next attribute; ok is false at the end or after an error.
// Fewer bytes than a header are padding.
func (a *attributes) next() (typ uint16, v []byte, ok bool) {
	if a.err != nil || len(a.b) < 4 {
		return 0, nil, false
	}
	n := int(binary.NativeEndian.Uint16(a.b))
	if n < 4 || n > len(a.b) {
		a.err = fmt.Errorf("%w: attribute of %d bytes in %d", errMalformed, n, len(a.b))
		return 0, nil, false
	}
	typ = binary.NativeEndian.Uint16(a.b[2:]) & nlaTypeMask
	v = a.b[4:n]
	a.b = a.b[min((n+3)&^3, len(a.b)):]
	return typ, v, true
}

// short notes an attribute that has fewer than n bytes.
func (a *attributes) short(v []byte, n int) bool {
	if len(v) >= n {
		return false
	}
	if a.err == nil {
		a.err = fmt.Errorf("%w: attribute of %d bytes, want %d", errMalformed, len(v), n)
	}
	return true
}

func (a *attributes) uint8(v []byte) uint8 {
	if a.short(v, 1) {
		return 0
	}
	return v[0]
}

func (a *attributes) uint16(v []byte) uint16 {
	if a.short(v, 2) {
		return 0
	}
	return binary.NativeEndian.Uint16(v)
}

func (a *attributes) port(v []byte) uint16 {
	if a.short(v, 2) {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

func (a *attributes) uint32(v []byte) uint32 {
	if a.short(v, 4) {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

// find returns the value of the one attribute of a message that is wanted.
func (m *message) find(want uint16) ([]byte, error) {
	a, err := m.attributes()
	if err != nil {
		return nil, err
	}
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		if typ == want {
			return v, nil
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return nil, fmt.Errorf("%w: attribute %d is missing", errMalformed, want)
}

func decodeAddr(family uint16, v []byte) (netip.Addr, error) {
	switch {
	case family == afInet && len(v) >= 4:
		return netip.AddrFrom4([4]byte(v)), nil
	case family == afInet6 && len(v) >= 16:
		return netip.AddrFrom16([16]byte(v)), nil
	}
	return netip.Addr{}, fmt.Errorf("%w: address of %d bytes in family %d", errMalformed, len(v), family)
}

// decodeName returns the text up to the first NUL. The names that kernels
// have are constants here, so that a listing does not copy them.
func decodeName(v []byte) string {
	for i, c := range v {
		if c == 0 {
			v = v[:i]
			break
		}
	}
	switch string(v) {
	case "wlc":
		return "wlc"
	case "rr":
		return "rr"
	case "wrr":
		return "wrr"
	case "lc":
		return "lc"
	case "lblc":
		return "lblc"
	case "lblcr":
		return "lblcr"
	case "dh":
		return "dh"
	case "sh":
		return "sh"
	case "sed":
		return "sed"
	case "nq":
		return "nq"
	case "fo":
		return "fo"
	case "ovf":
		return "ovf"
	case "mh":
		return "mh"
	case "twos":
		return "twos"
	case "none":
		return "none"
	case "sip":
		return "sip"
	}
	return string(v)
}

// decodeService reads the contents of a service nest. The error is errNoKey,
// or errMalformed.
func decodeService(b []byte, s *ServiceState) error {
	*s = ServiceState{}
	var (
		family, protocol, port uint16
		addr, netmask          []byte
		timeout                uint32
		stats                  rawStats
	)
	a := attributes{b: b}
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		switch typ {
		case svcFamily:
			family = a.uint16(v)
		case svcProtocol:
			protocol = a.uint16(v)
		case svcAddr:
			addr = v
		case svcPort:
			port = a.port(v)
		case svcMark:
			s.Key.Mark = a.uint32(v)
		case svcScheduler:
			s.Scheduler = decodeName(v)
		case svcFlags:
			s.Flags = ServiceFlags(a.uint32(v)) &^ flagHashed
		case svcTimeout:
			timeout = a.uint32(v)
		case svcNetmask:
			if !a.short(v, 4) {
				netmask = v
			}
		case svcEngine:
			s.Engine = decodeName(v)
		case svcStats:
			stats.note(v, false)
		case svcStats64:
			stats.note(v, true)
		}
	}
	if a.err != nil {
		return fmt.Errorf("service: %w", a.err)
	}
	if err := stats.decode(&s.Stats); err != nil {
		return err
	}
	switch family {
	case afInet, afInet6:
	case 0:
		return fmt.Errorf("service: %w: no address family", errMalformed)
	default:
		return fmt.Errorf("service: %w: address family %d", errNoKey, family)
	}
	if s.Key.Mark != 0 {
		s.Key.Mark6 = family == afInet6
	} else {
		ip, err := decodeAddr(family, addr)
		if err != nil {
			return fmt.Errorf("service: %w", err)
		}
		if protocol > 255 {
			return fmt.Errorf("service: %w: protocol %d", errNoKey, protocol)
		}
		s.Key.Protocol = Protocol(protocol)
		s.Key.Addr = netip.AddrPortFrom(ip, port)
	}
	if s.Flags&flagPersistent != 0 && timeout > 0 {
		// A persistent service without a time keeps its bit, so that it does
		// not look like one that is not persistent.
		s.Flags &^= flagPersistent
		s.Persistence = time.Duration(timeout) * time.Second
	}
	if netmask != nil {
		s.PersistencePrefix = decodeNetmask(family, netmask)
	}
	return nil
}

// decodeNetmask returns 0 for a full mask and -1 for one that is no prefix of
// at least one bit.
func decodeNetmask(family uint16, v []byte) int {
	n, full := 0, 128
	if family == afInet6 {
		n = int(min(binary.NativeEndian.Uint32(v), 1<<16))
	} else {
		full = 32
		mask := binary.BigEndian.Uint32(v)
		n = bits.LeadingZeros32(^mask)
		if mask != ^uint32(0) && mask<<n != 0 {
			return -1
		}
	}
	switch {
	case n == full:
		return 0
	case n == 0 || n > full:
		return -1
	}
	return n
}

// decodeDestination reads the contents of a destination nest; is6 is the
// family of its service, which holds when the destination names none.
func decodeDestination(b []byte, is6 bool, d *DestinationState) error {
	*d = DestinationState{}
	var (
		family = familyOf(is6)
		port   uint16
		addr   []byte
		stats  rawStats
	)
	a := attributes{b: b}
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		switch typ {
		case dstAddr:
			addr = v
		case dstPort:
			port = a.port(v)
		case dstForward:
			d.Forward = ForwardMethod(a.uint32(v) & maxForward)
		case dstWeight:
			d.Weight = int(min(a.uint32(v), MaxWeight))
		case dstUpper:
			d.UpperThreshold = a.uint32(v)
		case dstLower:
			d.LowerThreshold = a.uint32(v)
		case dstActive:
			d.Active = a.uint32(v)
		case dstInactive:
			d.Inactive = a.uint32(v)
		case dstPersistent:
			d.Persistent = a.uint32(v)
		case dstFamily:
			if f := a.uint16(v); f != 0 {
				family = f
			}
		case dstTunType:
			d.Tunnel.Type = TunnelType(a.uint8(v))
		case dstTunPort:
			d.Tunnel.Port = a.port(v)
		case dstTunFlags:
			d.Tunnel.Flags = a.uint16(v)
		case dstStats:
			stats.note(v, false)
		case dstStats64:
			stats.note(v, true)
		}
	}
	if a.err != nil {
		return fmt.Errorf("destination: %w", a.err)
	}
	if err := stats.decode(&d.Stats); err != nil {
		return err
	}
	ip, err := decodeAddr(family, addr)
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	d.Key = netip.AddrPortFrom(ip, port)
	return nil
}

// rawStats is the counters of a message before they are read. Kernels since
// 4.1 send them twice: in 64 bits, and cut to 32, which is not worth reading.
type rawStats struct {
	b     []byte
	all64 bool
}

func (r *rawStats) note(v []byte, all64 bool) {
	if all64 || !r.all64 {
		r.b, r.all64 = v, all64
	}
}

func (r *rawStats) decode(s *Stats) error {
	if r.b == nil {
		return nil
	}
	return decodeStats(r.b, s, r.all64)
}

// decodeStats reads either form of the counters: all of 64 bits, or bytes of
// 64 and the rest of 32. Nine tenths of the attributes of a listing are here,
// so it walks by itself.
func decodeStats(b []byte, s *Stats, all64 bool) error {
	var counters [statOutBPS + 1]uint64
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		typ := binary.NativeEndian.Uint16(b[2:]) & nlaTypeMask
		if n < 4 || n > len(b) {
			return fmt.Errorf("counters: %w: attribute of %d bytes in %d", errMalformed, n, len(b))
		}
		if typ >= statConns && typ <= statOutBPS { // else padding, or newer than we are
			v := b[4:n]
			switch {
			case all64 || typ == statInBytes || typ == statOutBytes:
				if len(v) < 8 {
					return fmt.Errorf("counters: %w: attribute of %d bytes, want 8", errMalformed, len(v))
				}
				counters[typ] = binary.NativeEndian.Uint64(v)
			case len(v) < 4:
				return fmt.Errorf("counters: %w: attribute of %d bytes, want 4", errMalformed, len(v))
			default:
				counters[typ] = uint64(binary.NativeEndian.Uint32(v))
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	*s = Stats{
		Connections: counters[statConns],
		InPackets:   counters[statInPkts],
		OutPackets:  counters[statOutPkts],
		InBytes:     counters[statInBytes],
		OutBytes:    counters[statOutBytes],
		CPS:         counters[statCPS],
		InPPS:       counters[statInPPS],
		OutPPS:      counters[statOutPPS],
		InBPS:       counters[statInBPS],
		OutBPS:      counters[statOutBPS],
	}
	return nil
}

func decodeTimeouts(m *message) (Timeouts, error) {
	a, err := m.attributes()
	if err != nil {
		return Timeouts{}, err
	}
	var t Timeouts
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		switch typ {
		case attrTimeoutTCP:
			t.TCP = time.Duration(a.uint32(v)) * time.Second
		case attrTimeoutTCPFin:
			t.TCPFin = time.Duration(a.uint32(v)) * time.Second
		case attrTimeoutUDP:
			t.UDP = time.Duration(a.uint32(v)) * time.Second
		}
	}
	return t, a.err
}

func decodeInfo(m *message) (Info, error) {
	a, err := m.attributes()
	if err != nil {
		return Info{}, err
	}
	var i Info
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		switch typ {
		case infoVersion:
			i.Version = Version(a.uint32(v))
		case infoConnTableSize:
			i.ConnTableSize = a.uint32(v)
		}
	}
	return i, a.err
}

// decodeSyncDaemon reads the contents of a daemon nest.
func decodeSyncDaemon(b []byte, d *SyncDaemon) error {
	*d = SyncDaemon{}
	a := attributes{b: b}
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		switch typ {
		case dmnState:
			d.Role = SyncRole(min(a.uint32(v), 255))
		case dmnInterface:
			d.Interface = decodeName(v)
		case dmnSyncID:
			d.SyncID = a.uint32(v)
		case dmnMaxLength:
			d.MaxLength = a.uint16(v)
		case dmnGroup:
			if !a.short(v, 4) {
				d.Group = netip.AddrFrom4([4]byte(v))
			}
		case dmnGroup6:
			if !a.short(v, 16) {
				d.Group = netip.AddrFrom16([16]byte(v))
			}
		case dmnPort:
			d.Port = a.uint16(v)
		case dmnTTL:
			d.TTL = a.uint8(v)
		}
	}
	if a.err != nil {
		return fmt.Errorf("sync daemon: %w", a.err)
	}
	return nil
}
