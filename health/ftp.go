package health

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// FTPConfig sets up an [FTP] check.
type FTPConfig struct {
	// User and Password log in (USER, PASS); an empty User does not. Without TLS both
	// travel in clear.
	User, Password string
	// TLS verifies and encrypts; nil means plain text. Alone it is FTP over
	// TLS from the first byte (port 990).
	TLS *TLSConfig
	// StartTLS begins in plain text and turns to TLS by the command AUTH TLS
	// (RFC 4217, section 4); it needs TLS.
	StartTLS bool
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// FTP greets a file server and takes leave (RFC 959): the greeting must be
// 220, after a 120 ("ready in some minutes") too. It logs in if it is told to,
// and is safe for concurrent use.
type FTP struct {
	ch    channel
	login login
}

// NewFTP returns an FTP check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewFTP(cfg *FTPConfig) (*FTP, error) {
	if cfg == nil {
		cfg = &FTPConfig{}
	}
	c := &FTP{login: login{cfg.User, cfg.Password}}
	var err error
	c.ch, err = newChannel(cfg.Dial, cfg.TLS, cfg.StartTLS)
	if err := errors.Join(c.login.validate(), err); err != nil {
		return nil, fmt.Errorf("ftp check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *FTP) Identity() string { return "ftp" + c.login.identity() + c.ch.identity }

// Check greets and quits.
func (c *FTP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("greeting")
		code, lines, err := s.reply()
		if err == nil && code == 120 {
			code, lines, err = s.reply()
		}
		switch {
		case err != nil:
			return "", err
		case code != 220:
			return "", unwanted("answer %d %s, expected 220", code, clipText(lines[len(lines)-1]))
		}
		if c.ch.startTLS {
			_, err := s.ask("auth", "AUTH TLS", 234)
			var bad unexpected
			switch {
			case errors.As(err, &bad): // often "please log in" where TLS is off
				return "", unwanted("the server does not agree to TLS: %s", string(bad))
			case err != nil:
				return "", err
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		if c.login.user != "" {
			if err := c.login.ftp(s); err != nil {
				return "", err
			}
		}
		// Some servers answer nothing to QUIT and close: they were alive.
		if _, err := s.ask("quit", "QUIT", 221); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return c.login.done(), nil
	})
}
