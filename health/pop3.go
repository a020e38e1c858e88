package health

import (
	"context"
	"fmt"
	"strings"
)

// POP3Config sets up a [POP3] check.
type POP3Config struct {
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
// +OK. It does not log in. It is safe for concurrent use.
type POP3 struct{ ch channel }

// NewPOP3 returns a POP3 check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewPOP3(cfg *POP3Config) (*POP3, error) {
	if cfg == nil {
		cfg = &POP3Config{}
	}
	ch, err := newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if err != nil {
		return nil, fmt.Errorf("pop3 check: %w", err)
	}
	return &POP3{ch}, nil
}

// Identity names the kind and the parameters of the check.
func (c *POP3) Identity() string { return "pop3" + c.ch.identity }

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
		if err := s.popOK("quit", "QUIT\r\n"); err != nil {
			return "", err
		}
		return "greeted, and left", nil
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
