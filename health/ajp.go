package health

import (
	"context"
	"fmt"
)

// AJPConfig sets up an [AJP] check.
type AJPConfig struct {
	// Dial says how to connect.
	Dial
}

// AJP sends a CPing to a servlet container (Apache JServ Protocol 1.3) and
// wants a CPong. It is safe for concurrent use.
type AJP struct{ ch channel }

// NewAJP returns an AJP check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewAJP(cfg *AJPConfig) (*AJP, error) {
	if cfg == nil {
		cfg = &AJPConfig{}
	}
	ch, err := newChannel(cfg.Dial, nil, false)
	if err != nil {
		return nil, fmt.Errorf("ajp check: %w", err)
	}
	return &AJP{ch}, nil
}

// Identity names the kind and the parameters of the check.
func (c *AJP) Identity() string { return "ajp" + c.ch.identity }

// Packets to a container begin with 12 34, those from it with AB; then come
// the length and the code: 10 is CPing, 9 is CPong.
const (
	ajpPing = "\x12\x34\x00\x01\x0a"
	ajpPong = "AB\x00\x01\x09"
)

// Check sends a CPing.
func (c *AJP) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("ping")
		if err := s.write(ajpPing); err != nil {
			return "", err
		}
		b, err := s.full(len(ajpPong))
		if err != nil {
			return "", err
		}
		if string(b) != ajpPong {
			return "", unwanted("answer %s, expected a CPong", clip(b))
		}
		return "CPong", nil
	})
}
