package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// IMAPConfig sets up an [IMAP] check.
type IMAPConfig struct {
	// User and Password log in (LOGIN); an empty User does not. Without TLS both
	// travel in clear.
	User, Password string
	// TLS verifies and encrypts; nil means plain text. Alone it is IMAP over
	// TLS from the first byte (port 993).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the command of that
	// name (RFC 9051, section 6.2.1); it needs TLS.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// IMAP greets an IMAP server and takes leave (RFC 9051): the greeting must be
// OK or PREAUTH, the command LOGOUT must end with OK. It logs in if it is told
// to, and is safe for concurrent use.
type IMAP struct {
	ch    channel
	login login
}

// NewIMAP returns an IMAP check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewIMAP(cfg *IMAPConfig) (*IMAP, error) {
	if cfg == nil {
		cfg = &IMAPConfig{}
	}
	c := &IMAP{login: login{cfg.User, cfg.Password}}
	var err error
	c.ch, err = newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if err := errors.Join(c.login.validate(), err); err != nil {
		return nil, fmt.Errorf("imap check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *IMAP) Identity() string { return "imap" + c.login.identity() + c.ch.identity }

// Check greets and logs out.
func (c *IMAP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("greeting")
		l, err := s.line()
		if err != nil {
			return "", err
		}
		tag, status := imapStatus(l)
		if tag != "*" || status != "OK" && status != "PREAUTH" {
			return "", unwanted("greeting %s, expected * OK or * PREAUTH", clip([]byte(l)))
		}
		if c.ch.startTLS {
			if err := s.imapOK("starttls", "a1", "STARTTLS"); err != nil {
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		// PREAUTH is a session that somebody else has logged in.
		if c.login.user != "" && status != "PREAUTH" {
			if err := c.login.imap(s); err != nil {
				return "", err
			}
		}
		if err := s.imapOK("logout", "a2", "LOGOUT"); err != nil {
			return "", err
		}
		return c.login.done(), nil
	})
}

// imapOK sends a command and reads to its tagged answer.
func (s *session) imapOK(phase, tag, command string) error {
	s.step(phase)
	if err := s.write(tag + " " + command + "\r\n"); err != nil {
		return err
	}
	for {
		l, err := s.line()
		if err != nil {
			return err
		}
		switch got, status := imapStatus(l); {
		case got == tag && status == "OK":
			return nil
		case got == "*":
			// Untagged: news, or the BYE before the answer to LOGOUT.
		default:
			return unwanted("answer %s to %s, expected %s OK", clip([]byte(l)), strings.ToUpper(phase), tag)
		}
	}
}

// imapStatus splits the tag and the word after it, in capitals, off a line.
func imapStatus(line string) (tag, status string) {
	tag, rest, _ := strings.Cut(line, " ")
	status, _, _ = strings.Cut(rest, " ")
	return tag, strings.ToUpper(status)
}
