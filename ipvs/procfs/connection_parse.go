package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
)

// ErrFormat is a file that is not what it should be: its heading is missing
// or another one.
var ErrFormat = errors.New("not a file of IPVS of this kind")

// ParseConnections reads the connection table in the form of
// /proc/net/ip_vs_conn or of /proc/net/ip_vs_conn_sync; the heading tells
// which. Memory does not grow with the table, and a row costs no allocation
// but the text of its persistence engine, if any.
//
// A row that cannot be read yields a [*LineError] and a zero Connection, and
// the iteration goes on behind it unless the caller breaks. Any other error
// is the last thing yielded: [ErrFormat], or the reader's own. A file that is
// cut off in a row ends with a *LineError that is [io.ErrUnexpectedEOF].
//
// The sequence reads r to its end, so it can be ranged over once.
func ParseConnections(r io.Reader) iter.Seq2[Connection, error] {
	return func(yield func(Connection, error) bool) {
		l := newLines(r)
		p, err := newRowParser(l)
		if err != nil {
			yield(Connection{}, err)
			return
		}
		for {
			line, err := l.next()
			if err == io.EOF {
				return
			}
			if err != nil && !isLineError(err) {
				yield(Connection{}, err)
				return
			}
			var c Connection
			if err == nil {
				if err = p.parse(line, &c); err != nil {
					c, err = Connection{}, l.fault(line, err)
				}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// rowParser reads the rows of one table. It keeps the names last seen that it
// has no constant for, so that equal ones are stored once.
type rowParser struct {
	synced bool // Origin before Expires
	state  State
	pe     string
}

func newRowParser(l *lines) (*rowParser, error) {
	line, err := l.next()
	switch {
	case err == io.EOF:
		return nil, fmt.Errorf("%w: it is empty, without the heading of the connection table", ErrFormat)
	case err != nil && !isLineError(err):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if first, _ := cutField(line); string(first) != "Pro" {
		return nil, fmt.Errorf("%w: want the heading of the connection table, which begins with \"Pro\", got %q", ErrFormat, quotable(line))
	}
	return &rowParser{synced: bytes.Contains(line, []byte("Origin"))}, nil
}

func (p *rowParser) parse(line []byte, c *Connection) (err error) {
	field, rest := cutField(line)
	if c.Protocol, err = parseProtocol(field); err != nil {
		return err
	}
	if c.Client, rest, err = parseEndpoint("client", rest); err != nil {
		return err
	}
	if c.Virtual, rest, err = parseEndpoint("virtual", rest); err != nil {
		return err
	}
	if c.Destination, rest, err = parseEndpoint("destination", rest); err != nil {
		return err
	}
	if c.Client.Addr().BitLen() != c.Virtual.Addr().BitLen() {
		return errors.New("client and virtual address are of two families")
	}
	if field, rest = cutField(rest); len(field) == 0 {
		return errors.New("no state")
	}
	c.State = p.parseState(field)
	if p.synced {
		field, rest = cutField(rest)
		switch string(field) {
		case string(OriginLocal):
			c.Origin = OriginLocal
		case string(OriginSync):
			c.Origin = OriginSync
		default:
			return fmt.Errorf("origin %q: want LOCAL or SYNC", field)
		}
	}
	field, rest = cutField(rest)
	seconds, ok := parseDecimal(field)
	if !ok {
		return fmt.Errorf("time left %q: want seconds", field)
	}
	c.Expires = expires(seconds)

	if field, rest = cutField(rest); len(field) == 0 {
		return nil
	}
	if p.synced {
		return fmt.Errorf("%q behind the last column", field)
	}
	if p.pe != string(field) {
		p.pe = string(field)
	}
	c.PEName = p.pe
	// An engine may write what it likes, white space too.
	c.PEData = string(bytes.TrimPrefix(rest, []byte(" ")))
	return nil
}

// parseProtocol reads the names that the kernel has for protocols
// (ip_vs_proto.c).
func parseProtocol(b []byte) (ipvs.Protocol, error) {
	switch string(b) {
	case "TCP":
		return ipvs.TCP, nil
	case "UDP":
		return ipvs.UDP, nil
	case "SCTP":
		return ipvs.SCTP, nil
	case "IP":
		return 0, nil
	case "ICMP":
		return 1, nil
	case "ICMPv6":
		return 58, nil
	case "":
		return 0, errors.New("nothing in it")
	}
	if number, ok := bytes.CutPrefix(b, []byte("IP_")); ok {
		if n, ok := parseDecimal(number); ok && n <= 255 {
			return ipvs.Protocol(n), nil
		}
	}
	return 0, fmt.Errorf("unknown protocol %q", b)
}

func (p *rowParser) parseState(b []byte) State {
	switch string(b) {
	case string(StateEstablished):
		return StateEstablished
	case string(StateUDP):
		return StateUDP
	case string(StateNone):
		return StateNone
	case string(StateSynSent):
		return StateSynSent
	case string(StateSynRecv):
		return StateSynRecv
	case string(StateFinWait):
		return StateFinWait
	case string(StateTimeWait):
		return StateTimeWait
	case string(StateClose):
		return StateClose
	case string(StateCloseWait):
		return StateCloseWait
	case string(StateLastAck):
		return StateLastAck
	case string(StateListen):
		return StateListen
	case string(StateSynAck):
		return StateSynAck
	case string(StateAssured):
		return StateAssured
	case string(StateInit1):
		return StateInit1
	case string(StateInit):
		return StateInit
	case string(StateCookieSent):
		return StateCookieSent
	case string(StateCookieReplied):
		return StateCookieReplied
	case string(StateCookieWait):
		return StateCookieWait
	case string(StateCookie):
		return StateCookie
	case string(StateCookieEchoed):
		return StateCookieEchoed
	case string(StateShutdownSent):
		return StateShutdownSent
	case string(StateShutdownRecv):
		return StateShutdownRecv
	case string(StateShutdownAckSent):
		return StateShutdownAckSent
	case string(StateRejected):
		return StateRejected
	case string(StateClosed):
		return StateClosed
	}
	if string(p.state) != string(b) {
		p.state = State(b)
	}
	return p.state
}

// parseEndpoint reads an address field and a port field.
func parseEndpoint(what string, b []byte) (a netip.AddrPort, rest []byte, err error) {
	addr, rest := cutField(b)
	ip, ok := parseAddr(addr)
	if !ok {
		return a, nil, fmt.Errorf("%s address %q: want 8 hexadecimal digits, or 8 groups of 4", what, addr)
	}
	port, rest := cutField(rest)
	n, ok := parseHex(port)
	if !ok || n > 0xffff {
		return a, nil, fmt.Errorf("%s port %q: want 4 hexadecimal digits", what, port)
	}
	return netip.AddrPortFrom(ip, uint16(n)), rest, nil
}

// parseAddr reads 0A000001 or 2001:0db8:0000:0000:0000:0000:0000:0001, always
// written in full.
func parseAddr(b []byte) (netip.Addr, bool) {
	const len4, len6 = 8, 39
	switch len(b) {
	case len4:
		v, ok := parseHex(b)
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), ok
	case len6:
		var a [16]byte
		var bad byte
		for group := range 8 {
			g := b[group*5:]
			if group < 7 && g[4] != ':' {
				return netip.Addr{}, false
			}
			d0, d1, d2, d3 := unhex(g[0]), unhex(g[1]), unhex(g[2]), unhex(g[3])
			bad |= d0 | d1 | d2 | d3
			a[group*2], a[group*2+1] = d0<<4|d1, d2<<4|d3
		}
		return netip.AddrFrom16(a), bad&notHex == 0
	}
	return netip.Addr{}, false
}
