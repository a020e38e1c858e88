package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"regexp/syntax"
	"syscall"
	"time"
)

// Transport is the protocol a check speaks over.
type Transport uint8

// The transports.
const (
	// OverTCP opens a connection; the zero value.
	OverTCP Transport = iota
	// OverUDP sends one datagram.
	OverUDP
)

var transportNames = [...]string{OverTCP: "tcp", OverUDP: "udp"}

// String returns "tcp", "udp", or "transport(N)" for an unknown number.
func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return fmt.Sprintf("transport(%d)", uint8(t))
}

// MarshalText writes the same text as String.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *Transport) UnmarshalText(text []byte) error {
	n, err := parseEnum(string(text), transportNames[:], "transport")
	if err == nil {
		*t = Transport(n)
	}
	return err
}

// Bounds of a [SendExpect] check.
const (
	// RegexWindow is how many bytes of an answer a regular expression is
	// searched in, the number that nanny used.
	RegexWindow = 254
	// MaxText is the longest Send or Expect in bytes, after conversion; a
	// Send over UDP has room for maxDatagramSent only.
	MaxText = 64 << 10
	// maxDatagramSent is the longest datagram over IPv4 (RFC 768, RFC 791).
	maxDatagramSent = 65535 - 20 - 8
)

// SendExpectConfig sets up a [SendExpect] check.
type SendExpectConfig struct {
	// Transport is TCP (the zero value) or UDP.
	Transport Transport
	// Send is sent once after connecting; empty sends nothing. Over UDP
	// empty sends one empty datagram.
	Send string
	// Expect is what the answer must begin with. "*" alone accepts any byte.
	// Empty accepts silence over TCP. Over UDP, empty with a Send accepts
	// any answer; empty without a Send accepts everything but a refusal.
	Expect string
	// Regex makes Expect a POSIX extended regular expression, searched for
	// in the first RegexWindow bytes of the answer as far as it has come.
	// Like regcomp(3) without flags: a dot matches a newline, ^ and $ stand
	// for the ends of the answer only. GNU's own additions (\w, \b, back
	// references) are refused.
	Regex bool
	// Literal takes Send and Expect as they are. The zero value converts
	// their escapes; see [Unescape].
	Literal bool
	// Dial says how to connect.
	Dial
}

// SendExpect sends a text and compares the answer: the text check of
// Piranha's nanny. Unlike nanny it does not take the first piece of an answer
// for the whole: it reads on until it can tell, the target closes, or the
// time is over. It is safe for concurrent use.
type SendExpect struct {
	transport Transport
	send      []byte
	expect    string
	regex     *regexp.Regexp
	any       bool
	dial      Dial
	identity  string
}

// NewSendExpect returns a text check, or an error that names the field that
// cannot be used. A nil cfg means the defaults: connect only.
func NewSendExpect(cfg *SendExpectConfig) (*SendExpect, error) {
	if cfg == nil {
		cfg = &SendExpectConfig{}
	}
	if cfg.Transport > OverUDP {
		return nil, fmt.Errorf("send/expect check: unknown %v: want tcp or udp", cfg.Transport)
	}
	if err := cfg.Dial.validate(); err != nil {
		return nil, fmt.Errorf("send/expect check: %w", err)
	}
	send, expect := cfg.Send, cfg.Expect
	if !cfg.Literal {
		send, expect = Unescape(send), Unescape(expect)
	}
	if len(send) > MaxText || len(expect) > MaxText {
		return nil, fmt.Errorf("send/expect check: send and expect may have %d bytes at most, not %d and %d", MaxText, len(send), len(expect))
	}
	if cfg.Transport == OverUDP && len(send) > maxDatagramSent {
		return nil, fmt.Errorf("send/expect check: send may have %d bytes at most over UDP, not %d", maxDatagramSent, len(send))
	}
	c := &SendExpect{
		transport: cfg.Transport, send: []byte(send), expect: expect, any: cfg.Expect == "*", dial: cfg.Dial,
		identity: fmt.Sprintf("send-expect %v send=%q expect=%q", cfg.Transport, send, expect),
	}
	if cfg.Regex && expect != "" && !c.any {
		var err error
		if c.regex, err = compilePOSIX(expect); err != nil {
			return nil, fmt.Errorf("send/expect check: expect %q is no POSIX extended regular expression: %w", expect, err)
		}
		c.identity += " regex"
	}
	c.identity += cfg.Dial.identity()
	return c, nil
}

// compilePOSIX compiles a POSIX extended regular expression with the meaning
// of regcomp(3) without REG_NEWLINE. regexp.CompilePOSIX differs there: it
// means egrep, line by line. So parse with the flags wanted, and compile the
// printed form, which carries them.
func compilePOSIX(expr string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.MatchNL|syntax.OneLine)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(tree.String())
}

// Identity names the kind and the parameters of the check.
func (c *SendExpect) Identity() string { return c.identity }

// Check sends and compares.
func (c *SendExpect) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	conn, err := a.open(c.transport.String(), &c.dial)
	if err != nil {
		return a.failed("connect", err)
	}
	defer closeConn(conn, c.dial.Graceful)
	defer guard(a.ctx, conn)()
	if c.transport == OverTCP && len(c.send) == 0 && c.expect == "" {
		return a.ok("connect", "accepted")
	}
	if c.transport == OverUDP {
		readErrors(conn)
	}
	a.done("connect")
	a.allow(conn, c.dial.AnswerTimeout)
	if len(c.send) > 0 || c.transport == OverUDP {
		if _, err := conn.Write(c.send); err != nil {
			return a.failed("send", err)
		}
		if c.transport == OverTCP && c.expect == "" {
			return a.ok("send", "taken")
		}
		a.done("send")
	}
	if c.transport == OverUDP && len(c.send) == 0 && c.expect == "" {
		return c.notRefused(a, conn)
	}
	return c.read(a, conn)
}

// read collects the answer until compare can tell.
func (c *SendExpect) read(a *attempt, conn net.Conn) Result {
	size := len(c.expect)
	switch {
	case c.transport == OverUDP:
		size = max(size, RegexWindow) // the rest of a datagram is lost
	case c.regex != nil:
		size = RegexWindow
	}
	answer := make([]byte, 0, max(size, 1))
	for {
		n, err := conn.Read(answer[len(answer):cap(answer)])
		a.see(answer[len(answer) : len(answer)+n])
		answer = answer[:len(answer)+n]
		verdict := c.compare(answer)
		if verdict == NoResult && c.transport == OverUDP && err == nil && n > 0 {
			verdict = Fail // a datagram is a whole answer
		}
		switch {
		case verdict == OK:
			return a.ok("read", "answer as expected")
		case verdict == Fail:
			return a.wrong("read", "answer begins with %s, expected %s", clip(answer), c.want())
		case errors.Is(err, io.EOF) && len(answer) > 0:
			return a.wrong("read", "closed by the server after %s, expected %s", clip(answer), c.want())
		case err != nil && len(answer) > 0:
			r := a.failed("read", err)
			r.Reason = oneLine(fmt.Sprintf("%s, only %s had come, expected %s", r.Reason, clip(answer), c.want()), MaxReason)
			return r
		case err != nil:
			return a.failed("read", err)
		}
	}
}

// compare tells whether the answer so far is right (OK), wrong (Fail), or
// too short to tell (NoResult).
func (c *SendExpect) compare(answer []byte) Verdict {
	switch {
	case c.any || c.expect == "":
		if len(answer) > 0 {
			return OK
		}
		return NoResult
	case c.regex != nil:
		window := answer[:min(len(answer), RegexWindow)]
		if c.regex.Match(window) {
			return OK
		}
		if len(window) == RegexWindow {
			return Fail
		}
		return NoResult
	}
	n := min(len(answer), len(c.expect))
	switch {
	case string(answer[:n]) != c.expect[:n]:
		return Fail
	case n == len(c.expect):
		return OK
	}
	return NoResult
}

func (c *SendExpect) want() string {
	switch {
	case c.any || c.expect == "":
		return "any byte"
	case c.regex != nil:
		return fmt.Sprintf("a match of regex %s", clip([]byte(c.expect)))
	}
	return clip([]byte(c.expect))
}

// clip quotes the beginning of b for a reason.
func clip(b []byte) string {
	const most = 60
	if len(b) == 0 {
		return "nothing"
	}
	if len(b) <= most {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q...", b[:most])
}

// udpPatience is how long a UDP check that expects no answer waits for an
// ICMP refusal: at most this, and at most half of the time there is.
const udpPatience = time.Second

// notRefused accepts silence: the weakest of checks, all that is left when
// there is neither a text to send nor one to expect.
func (c *SendExpect) notRefused(a *attempt, conn net.Conn) Result {
	wait := udpPatience
	if d, ok := a.ctx.Deadline(); ok {
		wait = min(wait, time.Until(d)/2)
	}
	// Not by a read deadline of conn: that one belongs to guard.
	timer := time.AfterFunc(wait, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer timer.Stop()
	buf := make([]byte, RegexWindow)
	n, err := conn.Read(buf)
	a.see(buf[:n])
	var timeout net.Error
	switch {
	case err == nil:
		return a.ok("read", "answered")
	case a.ctx.Err() == nil && errors.As(err, &timeout) && timeout.Timeout():
		return a.ok("read", "not refused (no answer was asked for)")
	case errors.Is(err, syscall.ECONNREFUSED):
		return a.wrong("read", "refused; nothing listens there")
	}
	return a.failed("read", err)
}
