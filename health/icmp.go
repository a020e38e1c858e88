package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// ICMPConfig sets up an [ICMP] check.
type ICMPConfig struct {
	// Size is how many bytes of data the request has, 16..1472; 0 means 56.
	Size int
	// Dial says how to send. Its ConnectTimeout and TLSTimeout have no use.
	Dial
}

// ICMP sends an echo request and waits for its reply (RFC 792, RFC 4443). It
// proves that the host is there, and nothing of its services; the port of a
// target does not matter.
//
// It needs no privilege where net.ipv4.ping_group_range (icmp(7)) allows
// datagram sockets of ICMP, which it tries first; elsewhere CAP_NET_RAW. A
// socket that it is not allowed is no result. It is safe for concurrent use.
type ICMP struct {
	size int
	dial Dial
	// open is openEcho; tests choose.
	open func(a *attempt, d *Dial) (c net.Conn, raw bool, err error)
}

// NewICMP returns an echo check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewICMP(cfg *ICMPConfig) (*ICMP, error) {
	if cfg == nil {
		cfg = &ICMPConfig{}
	}
	c := &ICMP{size: cfg.Size, dial: cfg.Dial, open: openEcho}
	if c.size == 0 {
		c.size = 56
	}
	if c.size < echoCookie || c.size > 1472 {
		return nil, fmt.Errorf("icmp check: size %d: want %d..1472, or 0 for 56", cfg.Size, echoCookie)
	}
	if err := cfg.Dial.validate(); err != nil {
		return nil, fmt.Errorf("icmp check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *ICMP) Identity() string { return fmt.Sprintf("icmp size=%d%s", c.size, c.dial.identity()) }

const (
	echoHeader = 8  // type, code, checksum, id, sequence
	echoCookie = 16 // random data by which we know our reply
)

// Check asks once.
func (c *ICMP) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	a.dial = &c.dial
	conn, raw, err := c.open(a, &c.dial)
	if err != nil {
		return a.failed("connect", err)
	}
	defer conn.Close()
	defer guard(a.ctx, conn)()
	a.done("connect")
	a.allow(conn, c.dial.AnswerTimeout)
	question := echoRequest(t.Addr.Addr().Unmap().Is6(), c.size)
	if _, err := conn.Write(question); err != nil {
		return a.failed("send", err)
	}
	a.done("send")
	return a.answer(conn, func(b []byte) (string, error) {
		// A raw socket of IPv4 hears every host's packets of ICMP, with
		// their headers.
		if raw && len(b) > 0 && b[0]>>4 == 4 {
			b = b[min(int(b[0]&15)*4, len(b)):]
		}
		if !isEchoReply(question, b) {
			return "", errOther
		}
		return "echo reply", nil
	})
}

// echoRequest makes a request with a random number and random data.
func echoRequest(v6 bool, size int) []byte {
	b := make([]byte, echoHeader+size)
	b[0] = 8
	if v6 {
		b[0] = 128
	}
	binary.BigEndian.PutUint16(b[4:], uint16(rand.Uint32())) // a datagram socket puts its own there
	binary.BigEndian.PutUint16(b[6:], uint16(rand.Uint32()))
	binary.BigEndian.PutUint64(b[echoHeader:], rand.Uint64())
	binary.BigEndian.PutUint64(b[echoHeader+8:], rand.Uint64())
	if !v6 { // of version 6 the kernel counts in the addresses, and does it itself
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// isEchoReply tells whether b is the reply to a question: its kind, number in
// the sequence and data. The id is left out: the kernel chooses that of a
// datagram socket, and the data says enough.
func isEchoReply(question, b []byte) bool {
	kind := byte(0)
	if question[0] == 128 {
		kind = 129
	}
	return len(b) >= echoHeader && b[0] == kind && b[1] == 0 && bytes.Equal(b[6:], question[6:])
}

// checksum is that of the Internet (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// openRaw opens a raw socket, which needs a privilege.
func openRaw(a *attempt, d *Dial) (net.Conn, bool, error) {
	to, network := a.target.Addr.Addr().Unmap(), "ip4:icmp"
	if to.Is6() {
		network = "ip6:ipv6-icmp"
	}
	dialer := net.Dialer{Control: d.control()}
	c, err := within(d.Namespace, func() (net.Conn, error) {
		if d.Source.IsValid() {
			from := zoned(netip.AddrPortFrom(d.Source, 0), d.Namespace).Addr()
			dialer.LocalAddr = &net.IPAddr{IP: from.AsSlice(), Zone: from.Zone()}
		}
		at := zoned(netip.AddrPortFrom(to, 0), d.Namespace)
		return dialer.DialContext(a.ctx, network, at.Addr().String())
	})
	if isForbidden(err) {
		err = &socketError{"send echo requests", fmt.Errorf("%w; allow it by net.ipv4.ping_group_range, or give this program CAP_NET_RAW", err)}
	}
	if err == nil {
		readErrors(c)
	}
	return c, true, err
}
