package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SMTPConfig sets up an [SMTP] check.
type SMTPConfig struct {
	// Hello is the name given with EHLO, a host name or an address in
	// brackets; empty means "lvskit-health.invalid".
	Hello string
	// TLS verifies and encrypts; nil means plain text. Alone it is SMTP over
	// TLS from the first byte (port 465).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the command of that
	// name (RFC 3207); it needs TLS. A server that does not offer it fails.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// SMTP greets a mail server and takes leave (RFC 5321): the greeting must be
// 220, EHLO must give 250. A server that knows no EHLO (500, 502) is asked
// with HELO. It is safe for concurrent use.
type SMTP struct {
	ch    channel
	hello string
}

// NewSMTP returns a mail server check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewSMTP(cfg *SMTPConfig) (*SMTP, error) {
	if cfg == nil {
		cfg = &SMTPConfig{}
	}
	c := &SMTP{hello: cfg.Hello}
	if c.hello == "" {
		c.hello = "lvskit-health.invalid"
	}
	var err error
	c.ch, err = newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if !oneWord(c.hello) {
		err = errors.Join(err, fmt.Errorf("hello %q: want one word, the name of this host", c.hello))
	}
	if err != nil {
		return nil, fmt.Errorf("smtp check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *SMTP) Identity() string { return fmt.Sprintf("smtp hello=%q%s", c.hello, c.ch.identity) }

// Check greets and quits.
func (c *SMTP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		if _, err := s.ask("greeting", "", 220); err != nil {
			return "", err
		}
		offers, err := c.greet(s)
		if err != nil {
			return "", err
		}
		if c.ch.startTLS {
			if !offered(offers, "STARTTLS") {
				return "", unwanted("the server does not offer STARTTLS")
			}
			if _, err := s.ask("starttls", "STARTTLS", 220); err != nil {
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
			if _, err := c.greet(s); err != nil {
				return "", err
			}
		}
		// 421 is as good: the server was about to leave by itself.
		if _, err := s.ask("quit", "QUIT", 221, 421); err != nil {
			return "", err
		}
		return "greeted, and left", nil
	})
}

func (c *SMTP) greet(s *session) (offers []string, err error) {
	s.step("ehlo")
	if err := s.write("EHLO " + c.hello + "\r\n"); err != nil {
		return nil, err
	}
	code, lines, err := s.reply()
	switch {
	case err != nil:
		return nil, err
	case code == 250:
		return lines[1:], nil
	case code == 500 || code == 502:
		_, err := s.ask("helo", "HELO "+c.hello, 250)
		return nil, err
	}
	return nil, unwanted("answer %d %s to EHLO, expected 250", code, clipText(lines[len(lines)-1]))
}

// offered tells whether a line begins with the word, in any case.
func offered(lines []string, word string) bool {
	for _, l := range lines {
		first, _, _ := strings.Cut(l, " ")
		if strings.EqualFold(first, word) {
			return true
		}
	}
	return false
}
