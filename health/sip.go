package health

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// SIPConfig sets up a [SIP] check.
type SIPConfig struct {
	// URI is the address in the request; empty means "sip:" and the target's
	// address and port.
	URI string
	// From is the address of the asker; empty means
	// "sip:lvskit-health@invalid.invalid".
	From string
	// Status are the codes that are OK; empty means 200 alone.
	Status []StatusRange
	// TCP asks over TCP rather than UDP.
	TCP bool
	// TLS asks over TCP and TLS; nil means in clear.
	TLS *TLSConfig
	// Dial says how to connect. Over TCP the connection is always closed with
	// a FIN, as servers log a RST as an error.
	Dial
}

// SIP sends an OPTIONS request to a SIP server (RFC 3261, section 11) and
// judges the first answer that is final. It is safe for concurrent use.
type SIP struct {
	ch   channel
	cfg  SIPConfig
	name string
}

// NewSIP returns a SIP check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewSIP(cfg *SIPConfig) (*SIP, error) {
	c := &SIP{}
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.From == "" {
		c.cfg.From = "sip:lvskit-health@invalid.invalid"
	}
	c.cfg.Status = slices.Clone(c.cfg.Status)
	if len(c.cfg.Status) == 0 {
		c.cfg.Status = []StatusRange{{200, 200}}
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, false)
	for _, f := range []struct{ name, value string }{{"uri", c.cfg.URI}, {"from", c.cfg.From}} {
		if !oneWord(f.value) || strings.ContainsAny(f.value, "<>\"") || len(f.value) > 255 {
			err = errors.Join(err, fmt.Errorf("%s %q: want an address such as sip:ping@example.com, of at most 255 bytes", f.name, f.value))
		}
	}
	for _, r := range c.cfg.Status {
		if r.Min < 200 || r.Max > 699 || r.Min > r.Max {
			err = errors.Join(err, fmt.Errorf("status %v: want a range within 200-699", r))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sip check: %w", err)
	}
	c.name = fmt.Sprintf("sip uri=%q from=%q status=%v tcp=%t%s", c.cfg.URI, c.cfg.From, c.cfg.Status, c.cfg.TCP, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *SIP) Identity() string { return c.name }

// Check asks once.
func (c *SIP) Check(ctx context.Context, t Target) Result {
	call := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	switch {
	case c.cfg.TLS != nil:
		return c.stream(ctx, t, call, "TLS")
	case c.cfg.TCP:
		return c.stream(ctx, t, call, "TCP")
	}
	return exchange(ctx, t, &c.cfg.Dial, []byte(c.request(t, call, "UDP")), func(answer []byte) (string, error) {
		code, reason, id, err := parseSIP(answer)
		if err != nil {
			return "", err
		}
		if id != call || code < 200 { // a provisional answer: more comes
			return "", errOther
		}
		return c.judge(code, reason)
	})
}

func (c *SIP) stream(ctx context.Context, t Target, call, transport string) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.graceful = true
		s.step("read")
		if err := s.write(c.request(t, call, transport)); err != nil {
			return "", err
		}
		for {
			var head bytes.Buffer
			for {
				l, err := s.line()
				if err != nil {
					return "", err
				}
				if l == "" && head.Len() == 0 {
					continue // an answer to a keep-alive
				}
				head.WriteString(l + "\r\n")
				if l == "" {
					break
				}
				if head.Len() == len(l)+2 && !strings.HasPrefix(l, "SIP/2.0 ") {
					return "", unwanted("answer %s is no SIP", clip([]byte(l)))
				}
			}
			code, reason, id, err := parseSIP(head.Bytes())
			switch {
			case err != nil:
				return "", err
			case id != call:
				return "", unwanted("the server answers another request")
			case code >= 200:
				return c.judge(code, reason)
			}
		}
	})
}

func (c *SIP) judge(code int, reason string) (string, error) {
	if !slices.ContainsFunc(c.cfg.Status, func(r StatusRange) bool { return r.Min <= code && code <= r.Max }) {
		return "", unwanted("status %d %s, expected %s", code, clipText(reason), statusText(c.cfg.Status))
	}
	return fmt.Sprintf("status %d %s", code, clipText(reason)), nil
}

// request is the smallest complete request (RFC 3261, section 8.1.1). The name
// in Via does not matter: rport (RFC 3581) has the answer sent to where the
// request came from.
func (c *SIP) request(t Target, call, transport string) string {
	uri := c.cfg.URI
	if uri == "" {
		uri = "sip:" + t.host()
	}
	return "OPTIONS " + uri + " SIP/2.0\r\n" +
		"Via: SIP/2.0/" + transport + " invalid.invalid;branch=z9hG4bK" + call[:16] + ";rport\r\n" +
		"Max-Forwards: 70\r\n" +
		"From: <" + c.cfg.From + ">;tag=" + call[16:] + "\r\n" +
		"To: <" + uri + ">\r\n" +
		"Call-ID: " + call + "\r\n" +
		"CSeq: 1 OPTIONS\r\n" +
		"Contact: <" + c.cfg.From + ">\r\n" +
		"User-Agent: lvskit-health\r\n" +
		"Accept: application/sdp\r\n" +
		"Content-Length: 0\r\n\r\n"
}

// parseSIP reads the status line and the Call-ID of an answer.
func parseSIP(b []byte) (code int, reason, call string, err error) {
	in := textproto.NewReader(bufio.NewReader(bytes.NewReader(b)))
	first, err := in.ReadLine()
	rest, ok := strings.CutPrefix(first, "SIP/2.0 ")
	if err != nil || !ok {
		return 0, "", "", unwanted("answer %s is no SIP", clip(b))
	}
	number, reason, _ := strings.Cut(rest, " ")
	if code, err = strconv.Atoi(number); err != nil || code < 100 || code > 699 {
		return 0, "", "", unwanted("answer %s has no status", clip(b))
	}
	header, err := in.ReadMIMEHeader()
	if err != nil {
		return 0, "", "", unwanted("the headers of answer %s cannot be read", clip(b))
	}
	if call = header.Get("Call-ID"); call == "" {
		call = header.Get("i") // its short form
	}
	return code, reason, call, nil
}
