package health

import (
	"context"
	"fmt"
)

// NNTPConfig sets up an [NNTP] check.
type NNTPConfig struct {
	// TLS verifies and encrypts; nil means plain text. Alone it is NNTP over
	// TLS from the first byte (port 563).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the command STARTTLS
	// (RFC 4642, section 2.2); it needs TLS.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// NNTP greets a news server and takes leave (RFC 3977, section 5.1): its
// greeting must be 200, or 201 where one may only read. It does not log in. It
// is safe for concurrent use.
type NNTP struct{ ch channel }

// NewNNTP returns an NNTP check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewNNTP(cfg *NNTPConfig) (*NNTP, error) {
	if cfg == nil {
		cfg = &NNTPConfig{}
	}
	ch, err := newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if err != nil {
		return nil, fmt.Errorf("nntp check: %w", err)
	}
	return &NNTP{ch}, nil
}

// Identity names the kind and the parameters of the check.
func (c *NNTP) Identity() string { return "nntp" + c.ch.identity }

// Check greets and quits.
func (c *NNTP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		if err := s.news("greeting", "", 200, 201); err != nil {
			return "", err
		}
		if c.ch.startTLS {
			if err := s.news("starttls", "STARTTLS", 382); err != nil {
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		if err := s.news("quit", "QUIT", 205); err != nil {
			return "", err
		}
		return "greeted, and left", nil
	})
}

// news is one step: a command, or nothing, and an answer of one line (RFC 3977,
// section 3.1; those of several lines end in another way than in FTP, and
// belong to none of our commands).
func (s *session) news(phase, command string, want ...int) error {
	s.step(phase)
	if command != "" {
		if err := s.write(command + "\r\n"); err != nil {
			return err
		}
	}
	l, err := s.line()
	if err != nil {
		return err
	}
	code, _, ok := parseReplyLine(l)
	for _, w := range want {
		if ok && code == w {
			return nil
		}
	}
	return unwanted("answer %s, expected %s", clip([]byte(l)), codes(want))
}
