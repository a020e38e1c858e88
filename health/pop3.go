package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// POP3Config sets up a [POP3] check.
type POP3Config struct {
	// User and Password log in (USER, PASS); an empty User does not. Without TLS both
	// travel in clear.
	User, Password string
	// TLS verifies and encrypts; nil means plain text. Alone it is POP3 over
	// TLS from the first byte (port 995).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the command STLS
	// (RFC 2595, section 4); it needs TLS.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// POP3 greets a POP3 server and takes leave (RFC 1939): each answer must be
// +OK. It logs in if it is told to. It is safe for concurrent use.
type POP3 struct {
	ch    channel
	login login
}

// NewPOP3 returns a POP3 check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewPOP3(cfg *POP3Config) (*POP3, error) {
	if cfg == nil {
		cfg = &POP3Config{}
	}
	c := &POP3{login: login{cfg.User, cfg.Password}}
	var err error
	c.ch, err = newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if err := errors.Join(c.login.validate(), err); err != nil {
		return nil, fmt.Errorf("pop3 check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *POP3) Identity() string { return "pop3" + c.login.identity() + c.ch.identity }

// Check greets and quits.
func (c *POP3) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		if err := s.popOK("greeting", ""); err != nil {
			return "", err
		}
		if c.ch.startTLS {
			if err := s.popOK("stls", "STLS\r\n"); err != nil {
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		if c.login.user != "" {
			if err := c.login.pop3(s); err != nil {
				return "", err
			}
		}
		if err := s.popOK("quit", "QUIT\r\n"); err != nil {
			return "", err
		}
		return c.login.done(), nil
	})
}

func (s *session) popOK(phase, command string) error {
	s.step(phase)
	if command != "" {
		if err := s.write(command); err != nil {
			return err
		}
	}
	l, err := s.line()
	if err != nil {
		return err
	}
	if first, _, _ := strings.Cut(l, " "); first != "+OK" {
		return unwanted("answer %s, expected +OK", clip([]byte(l)))
	}
	return nil
}
