package health

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Bounds of a conversation with a server, so that none can make us grow.
const (
	// maxLine is the longest line of an answer, its end included.
	maxLine = 4 << 10
	// maxConversation is how much is read from one connection altogether.
	maxConversation = 64 << 10
	// maxLines is how many lines of one answer are kept; the last one is.
	maxLines = 100
)

// unexpected is an answer that is not the wanted one: the target's fault, not
// that of the way to it.
type unexpected string

func (e unexpected) Error() string { return string(e) }

// unwanted returns an [unexpected] error.
func unwanted(format string, args ...any) error { return unexpected(fmt.Sprintf(format, args...)) }

// channel is how a check reaches its target when it holds a conversation over
// one TCP connection. It is made once and then only read.
type channel struct {
	dial     Dial
	tls      *tls.Config // nil is plain text
	startTLS bool        // TLS begins when the protocol says so
	identity string
}

// newChannel checks the fields that the conversations have in common.
func newChannel(d Dial, t *TLSConfig, startTLS bool, protocols ...string) (channel, error) {
	ch := channel{dial: d, startTLS: startTLS}
	err := d.validate()
	if t != nil {
		var bad error
		if ch.tls, bad = t.client("", protocols...); bad != nil {
			err = errors.Join(err, bad)
		}
		ch.identity = t.identity(t.ServerName)
	}
	if startTLS {
		ch.identity = " starttls" + ch.identity
		if t == nil {
			err = errors.Join(err, errors.New("StartTLS without TLS: set TLS too, an empty TLSConfig will do"))
		}
	}
	ch.identity += d.identity()
	return ch, err
}

// converse connects, lets talk hold the conversation and ends it. What talk
// returns is the second half of the reason.
func (ch *channel) converse(ctx context.Context, t Target, talk func(*session) (string, error)) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	raw, err := a.open("tcp", &ch.dial)
	if err != nil {
		return a.failed("connect", err)
	}
	s := &session{a: a, ch: ch, raw: raw, graceful: ch.dial.Graceful}
	defer func() { closeConn(raw, s.graceful) }()
	defer guard(a.ctx, raw)()
	a.done("connect")
	s.use(raw)
	if ch.tls != nil && !ch.startTLS {
		if err := s.secure(); err != nil {
			return s.end("", err)
		}
	}
	what, err := talk(s)
	return s.end(what, err)
}

// session is one connection of a check. Its reads and writes end when the
// attempt does.
type session struct {
	a        *attempt
	ch       *channel
	raw      net.Conn // beneath TLS
	conn     net.Conn
	in       *bufio.Reader
	limit    *io.LimitedReader
	phase    string
	graceful bool
	weight   *int
	perf     []Perfdatum
}

func (s *session) use(c net.Conn) {
	s.conn = c
	s.limit = &io.LimitedReader{R: c, N: maxConversation}
	s.in = bufio.NewReaderSize(s.limit, maxLine)
}

// step ends the phase that runs and begins the next one, which has the time
// of one answer.
func (s *session) step(phase string) {
	if s.phase != "" {
		s.a.done(s.phase)
	}
	s.phase = phase
	s.a.allow(s.raw, s.ch.dial.AnswerTimeout)
}

// secure turns the connection to TLS.
func (s *session) secure() error {
	if s.phase != "" {
		s.a.done(s.phase)
	}
	s.phase = "tls"
	if s.in.Buffered() > 0 {
		// Whatever came in clear before the handshake must not be taken for
		// something that was said under its protection.
		return unwanted("the server went on in plain text after it agreed to TLS")
	}
	c, err := s.a.secure(s.raw, s.ch.tls, &s.ch.dial)
	if err != nil {
		return err
	}
	s.phase = ""
	s.use(c)
	return nil
}

// end makes the result of what the conversation came to.
func (s *session) end(what string, err error) Result {
	if s.phase == "" {
		s.phase = "read"
	}
	var r Result
	var bad unexpected
	switch {
	case err == nil:
		r = s.a.ok(s.phase, what)
	case errors.As(err, &bad):
		r = s.a.wrong(s.phase, "%s", string(bad))
	default:
		r = s.a.failed(s.phase, err)
	}
	r.Weight, r.Perf = s.weight, s.perf
	return r
}

// write sends a text.
func (s *session) write(text string) error {
	_, err := io.WriteString(s.conn, text)
	return err
}

// line reads one line and takes its end off: LF, or CR LF.
func (s *session) line() (string, error) {
	b, err := s.in.ReadSlice('\n')
	s.a.see(b)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", unwanted("a line of more than %d bytes, it begins with %s", maxLine, clip(b))
	case err != nil && len(b) > 0:
		return "", s.broken(err, b)
	case err != nil:
		return "", s.broken(err, nil)
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

// full reads exactly n bytes, which must be less than maxConversation.
func (s *session) full(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(s.in, b)
	s.a.see(b[:got])
	if err != nil {
		return nil, s.broken(err, b[:got])
	}
	return b, nil
}

// broken tells why a read ended before the answer did.
func (s *session) broken(err error, got []byte) error {
	eof := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case eof && s.limit.N <= 0:
		return unwanted("more than %d bytes, and no end of the answer", maxConversation)
	case eof && len(got) > 0:
		return unwanted("closed by the server after %s", clip(got))
	}
	return err
}

// leaving is how long a server has to close after we took leave.
const leaving = 500 * time.Millisecond

// drain reads until the server closes, but not for long: for servers that
// count a connection which the client ends as aborted. How it ends does not
// matter any more.
func (s *session) drain() {
	s.a.allow(s.raw, leaving)
	buf := make([]byte, 512)
	for {
		if _, err := s.in.Read(buf); err != nil {
			return
		}
	}
}

// reply reads an answer of SMTP (RFC 5321, section 4.2.1) or FTP (RFC 959,
// section 4.2): lines with a code of three digits, the last of them with a
// blank after it.
func (s *session) reply() (code int, lines []string, err error) {
	for {
		text, err := s.line()
		if err != nil {
			return 0, nil, err
		}
		n, more, ok := parseReplyLine(text)
		switch {
		case code == 0 && !ok:
			return 0, nil, unwanted("answer %s has no code of three digits", clip([]byte(text)))
		case code == 0:
			code = n
		case !ok || n != code:
			more = true // FTP lets the lines between be anything
		}
		if ok && n == code {
			text = text[min(len(text), 4):]
		}
		if len(lines) == maxLines {
			lines = lines[:maxLines-1] // a server may send 64 Ki empty ones
		}
		lines = append(lines, text)
		if !more {
			return code, lines, nil
		}
	}
}

// parseReplyLine reads the code at the beginning of a line and whether lines
// follow.
func parseReplyLine(line string) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '1' || line[0] > '5' {
		return 0, false, false
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return 0, false, false
		}
		code = code*10 + int(line[i]-'0')
	}
	switch {
	case len(line) == 3 || line[3] == ' ':
		return code, false, true
	case line[3] == '-':
		return code, true, true
	}
	return 0, false, false
}

// ask is one step with an answer as in [session.reply]: it sends a command, or
// nothing, and wants one of the codes.
func (s *session) ask(phase, command string, want ...int) (lines []string, err error) {
	s.step(phase)
	if command != "" {
		if err := s.write(command + "\r\n"); err != nil {
			return nil, err
		}
	}
	code, lines, err := s.reply()
	if err != nil {
		return nil, err
	}
	for _, w := range want {
		if code == w {
			return lines, nil
		}
	}
	return nil, unwanted("answer %d %s, expected %s", code, clipText(lines[len(lines)-1]), codes(want))
}

func codes(want []int) string {
	texts := make([]string, len(want))
	for i, w := range want {
		texts[i] = fmt.Sprint(w)
	}
	return strings.Join(texts, " or ")
}

// fingerprint stands for a secret in an identity: the same for equal secrets,
// and of no use for anything else.
func fingerprint(secret string) string {
	if secret == "" {
		return "none"
	}
	sum := sha256.Sum256([]byte("lvskit health " + secret))
	return fmt.Sprintf("%x", sum[:16])
}

// oneWord tells whether s can stand in a command of a line protocol.
func oneWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
