package ipvsadm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// AppendTable appends the table as rule text: what `ipvsadm -S -n` writes, in
// numbers, one command a line. It differs from the real program where that
// loses something:
//
//   - The destinations of a service are written last one first. A kernel lists
//     the newest first, so `ipvsadm -R` or [Table] of the text leads to the
//     order of t again, and to the same choices of the schedulers. `ipvsadm -S`
//     sorts them by address.
//   - Thresholds (-x and -y), all scheduler flags and marks above 2147483647
//     are written, which `ipvsadm -S` leaves out or writes as no -R reads it.
//
// Services keep the order of t. What the language has no words for is left out
// and reported: the error joins one for each, and the text holds the rest, so
// that it can be restored. (There is no comment in its place: the real program
// ends at one.) These are forwarding methods other than the
// three of -g, -i and -m, bits of flags without a name, tunnel types and
// flags without an option, a persistence above 31 days or with a netmask that
// has gaps, one-packet scheduling of TCP and SCTP, port 0 without
// persistence, protocols other than TCP, UDP and SCTP; and what no kernel
// would take back.
func AppendTable(b []byte, t ipvs.Table) ([]byte, error) {
	var errs []error
	add := func(c ipvs.Change) error {
		var err error
		if b, err = AppendChange(b, c); err != nil {
			errs = append(errs, err)
		}
		return err
	}
	for i := range t {
		s := t[i].Service
		err := add(ipvs.Change{Op: ipvs.OpAddService, Service: s})
		for _, d := range slices.Backward(t[i].Destinations) {
			c := ipvs.Change{Op: ipvs.OpAddDestination, Service: ipvs.Service{Key: s.Key}, Destination: d}
			if err == nil {
				_ = add(c) // it is in errs
				continue
			}
			errs = append(errs, fmt.Errorf("rule text cannot say %q: its service is left out", c.String()))
		}
	}
	return b, errors.Join(errs...)
}

// appendComment appends a line of comment, whatever is in err.
func appendComment(b []byte, err error) []byte {
	b = append(b, "# "...)
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		b = append(b, string(r)...)
	}
	return append(b, '\n')
}

// AppendChange appends one change as a line of rule text. If the language has
// no words for it (see [AppendTable]) nothing is appended and the error says
// why.
func AppendChange(b []byte, c ipvs.Change) ([]byte, error) {
	var f *fault
	s, d := c.Service.Normalized(), c.Destination.Normalized()
	switch c.Op {
	case ipvs.OpAddService, ipvs.OpSetService:
		f = checkService(s)
	case ipvs.OpAddDestination, ipvs.OpSetDestination:
		if f = checkKey(s.Key); f == nil {
			f = checkDestination(s.Key, d)
		}
	case ipvs.OpDelService, ipvs.OpDelDestination:
		if f = checkKey(s.Key); f != nil {
			break
		}
		if err := c.Validate(); err != nil {
			f = &fault{err: err}
		}
	default:
		f = &fault{err: fmt.Errorf("%v is no change of a table", c.Op)}
	}
	if f != nil {
		return b, fmt.Errorf("rule text cannot say %q: %w", c.String(), f.err)
	}
	b = append(b, '-', letterOf(c.Op))
	b = appendKey(b, s.Key)
	switch c.Op {
	case ipvs.OpAddService, ipvs.OpSetService:
		b = appendService(b, s)
	case ipvs.OpDelDestination:
		b = appendServer(b, d.Key)
	case ipvs.OpAddDestination, ipvs.OpSetDestination:
		b = appendDestination(b, d)
	}
	return append(b, '\n'), nil
}

// Line returns the change as arguments of ipvsadm, for a dry run: without the
// name of the program and without an end of line. A change that rule text has
// no words for is a comment that says so.
func Line(c ipvs.Change) string {
	b, err := AppendChange(nil, c)
	if err != nil {
		b = appendComment(b, err)
	}
	return string(b[:len(b)-1])
}

// letterOf returns the short option of a change.
func letterOf(op ipvs.Op) byte {
	for v := AddService; v <= DeleteServer; v++ {
		if v.Op() == op {
			return v.option().short
		}
	}
	return 0
}

func appendKey(b []byte, k ipvs.ServiceKey) []byte {
	switch {
	case k.IsMark():
		b = append(b, " -f "...)
		b = strconv.AppendUint(b, uint64(k.Mark), 10)
		if k.Mark6 {
			b = append(b, " -6"...)
		}
		return b
	case k.Protocol == ipvs.UDP:
		b = append(b, " -u "...)
	case k.Protocol == ipvs.SCTP:
		b = append(b, " --sctp-service "...)
	default:
		b = append(b, " -t "...)
	}
	return appendAddr(b, k.Addr)
}

// appendAddr writes an address as the C library does: the last 32 bits of an
// IPv6 address that has nothing but zeros before them are written as IPv4.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr()
	if !ip.Is6() {
		return a.AppendTo(b)
	}
	x := ip.As16()
	if [12]byte(x[:12]) != [12]byte{} || x[12]|x[13] == 0 {
		return a.AppendTo(b)
	}
	b = append(b, "[::"...)
	b = netip.AddrFrom4([4]byte(x[12:])).AppendTo(b)
	b = append(b, "]:"...)
	return strconv.AppendUint(b, uint64(a.Port()), 10)
}

func appendService(b []byte, s ipvs.Service) []byte {
	b = append(b, " -s "...)
	b = append(b, s.Scheduler...)
	if s.Persistence > 0 {
		b = append(b, " -p "...)
		b = strconv.AppendInt(b, int64(s.Persistence/time.Second), 10)
	}
	if s.PersistencePrefix > 0 {
		b = append(b, " -M "...)
		b = appendMask(b, s)
	}
	if s.Engine != "" {
		b = append(b, " --pe "...)
		b = append(b, s.Engine...)
	}
	if s.Flags&ipvs.OnePacket != 0 {
		b = append(b, " -o"...)
	}
	if s.Flags&anySched != 0 {
		b = append(b, " -b "...)
		b = appendSchedFlags(b, s.Flags, s.Scheduler)
	}
	return b
}

func appendMask(b []byte, s ipvs.Service) []byte {
	if s.Key.Is6() {
		return strconv.AppendInt(b, int64(s.PersistencePrefix), 10)
	}
	return append(b, maskText(s.PersistencePrefix)...)
}

func appendServer(b []byte, k ipvs.DestinationKey) []byte {
	return appendAddr(append(b, " -r "...), k)
}

func appendDestination(b []byte, d ipvs.Destination) []byte {
	b = appendServer(b, d.Key)
	switch d.Forward {
	case ipvs.Masquerade:
		b = append(b, " -m"...)
	case ipvs.Tunnel:
		b = append(b, " -i"...)
	default:
		b = append(b, " -g"...)
	}
	b = append(b, " -w "...)
	b = strconv.AppendInt(b, int64(d.Weight), 10)
	if d.UpperThreshold > 0 {
		b = append(b, " -x "...)
		b = strconv.AppendUint(b, uint64(d.UpperThreshold), 10)
	}
	if d.LowerThreshold > 0 {
		b = append(b, " -y "...)
		b = strconv.AppendUint(b, uint64(d.LowerThreshold), 10)
	}
	if d.Forward != ipvs.Tunnel {
		return b
	}
	b = append(b, " --tun-type "...)
	b = append(b, d.Tunnel.Type.String()...)
	if d.Tunnel.Port > 0 {
		b = append(b, " --tun-port "...)
		b = strconv.AppendUint(b, uint64(d.Tunnel.Port), 10)
	}
	if d.Tunnel.Type == ipvs.IPIP {
		return b
	}
	switch d.Tunnel.Flags {
	case noChecksum:
		b = append(b, " --tun-nocsum"...)
	case checksum:
		b = append(b, " --tun-csum"...)
	case remoteChecksum:
		b = append(b, " --tun-remcsum"...)
	}
	return b
}

// AppendTimeouts appends the line that sets the timeouts. Values above 31
// days or below zero, which no such line takes, are an error.
func AppendTimeouts(b []byte, t ipvs.Timeouts) ([]byte, error) {
	line := []byte("--set")
	for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		n := int64((d + time.Second - 1) / time.Second)
		if d < 0 || n > maxSeconds {
			return b, fmt.Errorf("rule text cannot say the timeout %v: want 0..31 days", d)
		}
		line = append(line, ' ')
		line = strconv.AppendInt(line, n, 10)
	}
	return append(append(b, line...), '\n'), nil
}

// AppendDaemon appends the line that starts a sync daemon; zero values are
// left out.
func AppendDaemon(b []byte, d ipvs.SyncDaemon) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return b, fmt.Errorf("rule text cannot say this daemon: %w", err)
	}
	for i := range len(d.Interface) {
		if c := d.Interface[i]; isSpace(c) || !plain(c) || c < ' ' || c == '#' && i == 0 || c == '-' && i == 0 {
			return b, fmt.Errorf("rule text cannot say the interface %q", d.Interface)
		}
	}
	if d.MaxLength > maxSyncLen {
		return b, fmt.Errorf("rule text cannot say the length %d: want at most %d", d.MaxLength, maxSyncLen)
	}
	b = append(b, "--start-daemon "...)
	b = append(b, d.Role.String()...)
	b = append(b, " --mcast-interface "...)
	b = append(b, d.Interface...)
	for _, n := range []struct {
		option string
		value  uint64
	}{{" --syncid ", uint64(d.SyncID)}, {" --sync-maxlen ", uint64(d.MaxLength)}} {
		if n.value != 0 {
			b = strconv.AppendUint(append(b, n.option...), n.value, 10)
		}
	}
	if d.Group.IsValid() {
		b = d.Group.AppendTo(append(b, " --mcast-group "...))
	}
	if d.Port != 0 {
		b = strconv.AppendUint(append(b, " --mcast-port "...), uint64(d.Port), 10)
	}
	if d.TTL != 0 {
		b = strconv.AppendUint(append(b, " --mcast-ttl "...), uint64(d.TTL), 10)
	}
	return append(b, '\n'), nil
}
