package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// NTPConfig sets up an [NTP] check.
type NTPConfig struct {
	// Dial says how to connect.
	Dial
}

// NTP asks a time server as a client of version 4 does (RFC 5905): the answer
// must be a server's, of stratum 1..15, and synchronized. Whether the time is
// right it does not judge. It is safe for concurrent use.
type NTP struct{ dial Dial }

// NewNTP returns a time server check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewNTP(cfg *NTPConfig) (*NTP, error) {
	if cfg == nil {
		cfg = &NTPConfig{}
	}
	if err := cfg.Dial.validate(); err != nil {
		return nil, fmt.Errorf("ntp check: %w", err)
	}
	return &NTP{cfg.Dial}, nil
}

// Identity names the kind and the parameters of the check.
func (c *NTP) Identity() string { return "ntp" + c.dial.identity() }

// Fields of an NTP packet.
const (
	ntpSize     = 48
	ntpOrigin   = 24 // the client's transmit time comes back here
	ntpTransmit = 40
)

// Check asks for the time once.
func (c *NTP) Check(ctx context.Context, t Target) Result {
	question := make([]byte, ntpSize)
	question[0] = 4<<3 | 3 // version 4, client
	// Not our time, which is nobody's business: a number to know the answer
	// by.
	binary.BigEndian.PutUint64(question[ntpTransmit:], rand.Uint64())
	return exchange(ctx, t, &c.dial, question, func(answer []byte) (string, error) {
		return judgeNTP(question, answer)
	})
}

// judgeNTP reads an answer (RFC 5905, section 7.3).
func judgeNTP(question, answer []byte) (string, error) {
	if len(answer) < ntpSize || !bytes.Equal(answer[ntpOrigin:ntpOrigin+8], question[ntpTransmit:ntpTransmit+8]) {
		return "", errOther
	}
	leap, mode, stratum := answer[0]>>6, answer[0]&7, answer[1]
	switch {
	case mode != 4:
		return "", unwanted("answer of mode %d, expected 4 (a server's)", mode)
	case stratum == 0 && isKiss(answer[12:16]):
		return "", unwanted("the server sends us away with %s", clip(bytes.TrimRight(answer[12:16], "\x00")))
	case leap == 3 || stratum == 0 || stratum > 15:
		return "", unwanted("the server is not synchronized (leap %d, stratum %d)", leap, stratum)
	}
	return fmt.Sprintf("stratum %d", stratum), nil
}

// isKiss tells whether a server of stratum 0 names a reason in place of its
// reference (the kiss-o'-death, section 7.4): letters, with zero bytes after
// them. Without one it only does not know the time.
func isKiss(reference []byte) bool {
	code := bytes.TrimRight(reference, "\x00")
	return len(code) > 0 && !bytes.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
