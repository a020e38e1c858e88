package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// SYNConfig sets up a [SYN] check.
type SYNConfig struct {
	// Dial says how to send. ConnectTimeout bounds the wait for the answer;
	// the other time-outs and Graceful have no use.
	Dial
}

// SYN asks whether a TCP connection could be opened, and opens none: it sends
// the first packet of one by hand, and what the server's kernel answers
// decides. A SYN/ACK is OK, a reset is Fail, and so is "unreachable". The
// answer meets no socket on this machine, so the kernel resets the half-open
// connection at once (RFC 9293, section 3.10.7.1), and the server's program
// never hears of it. A server whose queue of connections to accept is full
// does not answer.
//
// It proves the listening socket and nothing of the program behind it. It
// needs CAP_NET_RAW, and no firewall on this machine that drops the reset;
// without the privilege it has no result. Each check has two sockets while it
// runs: a raw one that hears its target alone, and one that keeps its local
// port from others. Linux. It is safe for concurrent use.
type SYN struct{ dial Dial }

// NewSYN returns a half-open check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewSYN(cfg *SYNConfig) (*SYN, error) {
	if cfg == nil {
		cfg = &SYNConfig{}
	}
	if err := cfg.Dial.validate(); err != nil {
		return nil, fmt.Errorf("syn check: %w", err)
	}
	return &SYN{dial: cfg.Dial}, nil
}

// Identity names the kind and the parameters of the check.
func (c *SYN) Identity() string { return "syn" + c.dial.identity() }

const (
	// synAgain is the first pause before a SYN that got no answer is sent
	// again; each further one is twice as long (RFC 6298).
	synAgain = time.Second
	// synWindow and synMSS are what a usual client would offer.
	synWindow = 64240
	synMSS    = 1460
	// maxSYNAnswers bounds the packets that are read for one answer. The
	// kernel filters what comes by port, so there are few.
	maxSYNAnswers = 256
)

// synSocket is the open end of a half-open check.
type synSocket struct {
	net.Conn // raw; reads and writes segments
	from, to netip.AddrPort
	// quoted returns the next error of the network with the beginning of the
	// segment that it is about; false if there is none.
	quoted func() (errno syscall.Errno, segment []byte, ok bool)
	close  func()
}

// Check asks once.
func (c *SYN) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	a.dial = &c.dial
	s, err := openSYN(a, &c.dial)
	if err != nil {
		return a.failed("connect", err)
	}
	defer s.close()
	defer guard(a.ctx, s)()
	what, err := c.ask(a, s)
	var bad unexpected
	switch {
	case err == nil:
		return a.ok("connect", what)
	case errors.As(err, &bad):
		return a.wrong("connect", "%s", string(bad))
	}
	return a.failed("connect", err)
}

// ask sends the SYN until there is an answer.
func (c *SYN) ask(a *attempt, s *synSocket) (string, error) {
	seq := rand.Uint32()
	segment := synSegment(s.from, s.to, seq)
	end, _ := a.ctx.Deadline()
	if d := c.dial.ConnectTimeout; d > 0 && time.Until(end) > d {
		end = time.Now().Add(d)
	}
	var next time.Time // when to send again
	pause := synAgain
	buf := make([]byte, 256) // a header and all its options
	for range maxSYNAnswers {
		if now := time.Now(); !now.Before(next) && now.Before(end) {
			a.allow(s, time.Until(end))
			_, err := s.Write(segment)
			if err != nil && s.unreachable(err, seq) == nil {
				_, err = s.Write(segment) // the error was that of a packet of others
			}
			if err != nil {
				return "", err
			}
			next, pause = now.Add(pause), 2*pause
		}
		until := end
		if next.Before(end) {
			until = next
		}
		a.allow(s, max(time.Until(until), time.Microsecond))
		n, err := s.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if a.ctx.Err() != nil || !time.Now().Before(end) {
				return "", err
			}
			continue
		case err != nil:
			if err := s.unreachable(err, seq); err != nil {
				return "", err
			}
			continue
		}
		switch segment := segmentOf(buf[:n], s.to.Addr(), s.from.Addr()); answerToSYN(segment, s.to, s.from, seq) {
		case synOpen:
			a.see(segment)
			return "SYN/ACK; nothing was opened", nil
		case synRefused:
			a.see(segment)
			return "", unexpected("refused; nothing listens there")
		}
	}
	return "", unexpected(fmt.Sprintf("%d packets came and none answers ours", maxSYNAnswers))
}

// unreachable returns the error of a read or a write if it is about our SYN,
// nil if it is about a packet of others: a raw socket is told of all that go
// to its target. Errors of this machine itself have no packet.
func (s *synSocket) unreachable(err error, seq uint32) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	strangers := 0
	for range maxSYNAnswers {
		errno, segment, ok := s.quoted()
		if !ok {
			break
		}
		if isOurs(segment, s.from, s.to, seq) {
			return errno
		}
		strangers++
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, syscall.EMSGSIZE, syscall.EPROTO:
		return nil // what a packet can cause, and ours did not
	}
	if strangers > 0 {
		return nil
	}
	return err
}

// The flags of a segment (RFC 9293, section 3.1).
const (
	tcpHeader = 20
	flagSYN   = 0x02
	flagRST   = 0x04
	flagACK   = 0x10
)

// synSegment is the first segment of a connection.
func synSegment(from, to netip.AddrPort, seq uint32) []byte {
	b := make([]byte, tcpHeader+4)
	binary.BigEndian.PutUint16(b, from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12] = byte(len(b) / 4 << 4)
	b[13] = flagSYN
	binary.BigEndian.PutUint16(b[14:], synWindow)
	b[20], b[21] = 2, 4 // the option "maximum segment size"
	binary.BigEndian.PutUint16(b[22:], synMSS)
	binary.BigEndian.PutUint16(b[16:], checksum(append(pseudoHeader(from.Addr(), to.Addr(), len(b)), b...)))
	return b
}

// pseudoHeader is what the checksum of TCP covers beside the segment (RFC
// 9293, section 3.1; RFC 8200, section 8.1).
func pseudoHeader(from, to netip.Addr, length int) []byte {
	b := append(from.AsSlice(), to.AsSlice()...)
	if from.Is4() {
		return append(b, 0, syscall.IPPROTO_TCP, byte(length>>8), byte(length))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, syscall.IPPROTO_TCP)
}

// segmentOf returns the segment of what a raw socket read: of IPv4 that has
// the IP header before it. It is nil if it is not between these addresses.
func segmentOf(b []byte, from, to netip.Addr) []byte {
	if !from.Is4() {
		return b
	}
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != syscall.IPPROTO_TCP ||
		netip.AddrFrom4([4]byte(b[12:])) != from || netip.AddrFrom4([4]byte(b[16:])) != to {
		return nil
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || header > len(b) || total < header {
		return nil
	}
	// What follows the packet is padding of its frame.
	return b[header:min(total, len(b))]
}

// synAnswer is what a segment says to our SYN.
type synAnswer uint8

const (
	synOther synAnswer = iota // nothing
	synOpen
	synRefused
)

// answerToSYN judges a segment that came: it must be from the port that was
// asked to ours, with a right checksum, and acknowledge our number. Then a
// SYN/ACK is an open port and a reset a closed one (RFC 9293, section
// 3.10.7.3).
func answerToSYN(b []byte, from, to netip.AddrPort, seq uint32) synAnswer {
	if len(b) < tcpHeader || int(b[12]>>4)*4 < tcpHeader || int(b[12]>>4)*4 > len(b) ||
		binary.BigEndian.Uint16(b) != from.Port() || binary.BigEndian.Uint16(b[2:]) != to.Port() ||
		binary.BigEndian.Uint32(b[8:]) != seq+1 || b[13]&flagACK == 0 || !rightChecksum(b, from.Addr(), to.Addr()) {
		return synOther
	}
	switch {
	case b[13]&flagRST != 0:
		return synRefused
	case b[13]&flagSYN != 0:
		return synOpen
	}
	return synOther
}

// rightChecksum tells whether the checksum of a segment is right. One that
// has not left this machine, or has come from its host's, may have that of
// the pseudo header alone: the kernel leaves the rest to a network card that
// never saw it (CHECKSUM_PARTIAL, include/linux/skbuff.h).
func rightChecksum(b []byte, from, to netip.Addr) bool {
	pseudo := pseudoHeader(from, to, len(b))
	return checksum(append(pseudo, b...)) == 0 || binary.BigEndian.Uint16(b[16:]) == ^checksum(pseudo)
}

// isOurs tells whether a quoted segment, of which there may be no more than 8
// bytes (RFC 792), is our SYN.
func isOurs(b []byte, from, to netip.AddrPort, seq uint32) bool {
	return len(b) >= 8 && binary.BigEndian.Uint16(b) == from.Port() && binary.BigEndian.Uint16(b[2:]) == to.Port() &&
		binary.BigEndian.Uint32(b[4:]) == seq
}
