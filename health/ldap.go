package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// LDAPConfig sets up an [LDAP] check.
type LDAPConfig struct {
	// BindDN and Password bind as this object; both empty bind as nobody. A
	// Password is needed for a BindDN: servers take a DN without one for
	// nobody (RFC 4513, section 5.1.2).
	BindDN, Password string
	// Base is an object that must be found after the bind, by its name; empty
	// asks for none.
	Base string
	// TLS verifies and encrypts; nil means plain text. Alone it is LDAP over
	// TLS from the first byte (port 636).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the extended
	// operation of that name (RFC 4511, section 4.14); it needs TLS.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// LDAP binds to a directory server, which must succeed, looks an object up if it
// is told to, and unbinds. It is safe for concurrent use.
type LDAP struct {
	ch   channel
	bind string
	base string
	name string
}

// NewLDAP returns a directory check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewLDAP(cfg *LDAPConfig) (*LDAP, error) {
	if cfg == nil {
		cfg = &LDAPConfig{}
	}
	ch, err := newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if (cfg.BindDN == "") != (cfg.Password == "") {
		err = errors.Join(err, errors.New("bind DN, password: want both or none"))
	}
	if len(cfg.BindDN)+len(cfg.Password) > maxLine {
		err = errors.Join(err, fmt.Errorf("bind DN, password: want at most %d bytes together", maxLine))
	}
	if len(cfg.Base) > 1024 {
		err = errors.Join(err, errors.New("base: want at most 1024 bytes"))
	}
	if err != nil {
		return nil, fmt.Errorf("ldap check: %w", err)
	}
	base := ""
	if cfg.Base != "" {
		base = fmt.Sprintf(" base=%q", cfg.Base)
	}
	return &LDAP{
		ch: ch,
		// version 3, the name, simple authentication
		bind: ber(0x60, ber(0x02, "\x03")+ber(0x04, cfg.BindDN)+ber(0x80, cfg.Password)),
		base: cfg.Base,
		name: fmt.Sprintf("ldap dn=%q password=%s%s%s", cfg.BindDN, fingerprint(cfg.Password), base, ch.identity),
	}, nil
}

// Identity names the kind and the parameters of the check.
func (c *LDAP) Identity() string { return c.name }

// Tags of operations (RFC 4511, appendix B).
const (
	ldapBindResponse     = 0x61
	ldapExtendedResponse = 0x78
)

// Check binds, searches and unbinds.
func (c *LDAP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		if c.ch.startTLS {
			const oid = "1.3.6.1.4.1.1466.20037"
			if err := s.ldap("starttls", 2, ber(0x77, ber(0x80, oid)), ldapExtendedResponse); err != nil {
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		if err := s.ldap("bind", 1, c.bind, ldapBindResponse); err != nil {
			return "", err
		}
		what := "bound"
		if c.base != "" {
			if err := s.ldapSearch(c.base); err != nil {
				return "", err
			}
			what = "bound, the entry is there"
		}
		// Best effort: the answer has come.
		_ = s.write(ber(0x30, ber(0x02, "\x03")+"\x42\x00"))
		return what, nil
	})
}

// ldap sends one operation and wants its answer to be a success.
func (s *session) ldap(phase string, id byte, operation string, want byte) error {
	s.step(phase)
	if err := s.write(ber(0x30, ber(0x02, string([]byte{id}))+operation)); err != nil {
		return err
	}
	body, err := s.ldapMessage()
	if err != nil {
		return err
	}
	return ldapWants(body, id, want)
}

// ldapMessage reads the inside of one message.
func (s *session) ldapMessage() ([]byte, error) {
	head, err := s.full(2)
	if err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, unwanted("answer %s is no LDAP message", clip(head))
	}
	n := int(head[1])
	if n == 0x80 || n > 0x84 { // section 5.1: definite lengths only
		return nil, unwanted("answer %s is no LDAP message", clip(head))
	}
	if n > 0x80 {
		long, err := s.full(n - 0x80)
		if err != nil {
			return nil, err
		}
		n = 0
		for _, b := range long {
			if n = n<<8 | int(b); n > maxLine {
				return nil, unwanted("an answer of more than %d bytes", maxLine)
			}
		}
	}
	return s.full(n)
}

// ldapWants judges an answer that must be a success.
func ldapWants(body []byte, id, want byte) error {
	got, op, code, text, ok := parseLDAP(body)
	switch {
	case !ok:
		return unwanted("answer %s is no result of LDAP", clip(body))
	case got == 0: // a notice of disconnection (section 4.4.1)
		return unwanted("the server disconnects: %s", ldapResult(code, text))
	case got != int(id) || op != want:
		return unwanted("message %d with tag %#x, expected %d with %#x", got, op, id, want)
	case code != 0:
		return unwanted("%s", ldapResult(code, text))
	}
	return nil
}

// ldapResults names the codes that a bind gives (RFC 4511, section 4.1.9).
var ldapResults = map[int]string{
	1: "operations error", 2: "protocol error", 7: "authentication method not supported", 8: "stronger authentication required",
	10: "referral", 13: "confidentiality required", 32: "no such object", 34: "invalid DN", 48: "inappropriate authentication (does it forbid anonymous binds?)",
	49: "invalid credentials", 50: "insufficient access rights", 51: "busy", 52: "unavailable", 53: "unwilling to perform", 80: "other",
}

func ldapResult(code int, text string) string {
	out := fmt.Sprintf("result %d", code)
	if name, ok := ldapResults[code]; ok {
		out += " " + name
	}
	if text != "" {
		out += ": " + clipText(text)
	}
	return out
}

// parseLDAP reads the inside of an LDAPMessage that holds an LDAPResult.
func parseLDAP(b []byte) (id int, op byte, code int, text string, ok bool) {
	number := func(b []byte) (n int, ok bool) {
		if len(b) == 0 || len(b) > 4 {
			return 0, false
		}
		for _, c := range b {
			n = n<<8 | int(c)
		}
		return n, true
	}
	tag, value, rest, ok := cutBER(b)
	if !ok || tag != 0x02 {
		return 0, 0, 0, "", false
	}
	if id, ok = number(value); !ok {
		return 0, 0, 0, "", false
	}
	if op, value, _, ok = cutBER(rest); !ok {
		return 0, 0, 0, "", false
	}
	tag, value, rest, ok = cutBER(value)
	if !ok || tag != 0x0a {
		return 0, 0, 0, "", false
	}
	if code, ok = number(value); !ok {
		return 0, 0, 0, "", false
	}
	if _, _, rest, ok = cutBER(rest); ok { // the matched DN
		if _, value, _, ok = cutBER(rest); ok {
			text = strings.ToValidUTF8(string(value), ".")
		}
	}
	return id, op, code, text, true
}

// cutBER takes one element off the beginning of b (X.690, definite lengths).
func cutBER(b []byte) (tag byte, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag, n, b := b[0], int(b[1]), b[2:]
	if n >= 0x80 {
		octets := n - 0x80
		if octets == 0 || octets > 4 || octets > len(b) {
			return 0, nil, nil, false
		}
		n = 0
		for _, c := range b[:octets] {
			n = n<<8 | int(c)
		}
		b = b[octets:]
	}
	if n < 0 || n > len(b) {
		return 0, nil, nil, false
	}
	return tag, b[:n], b[n:], true
}

// ber makes one element of less than 64 KiB.
func ber(tag byte, value string) string {
	switch n := len(value); {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + value
	case n < 0x100:
		return string([]byte{tag, 0x81, byte(n)}) + value
	default:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + value
	}
}
