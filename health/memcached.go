package health

import (
	"context"
	"fmt"
	"strings"
)

// MemcachedConfig sets up a [Memcached] check.
type MemcachedConfig struct {
	// TLS verifies and encrypts; nil means plain text.
	TLS *TLSConfig
	// Dial says how to connect.
	Dial
}

// Memcached asks a memcached server for its version, in the text protocol. It
// is safe for concurrent use.
type Memcached struct{ ch channel }

// NewMemcached returns a memcached check, or an error that names every field
// that cannot be used. A nil cfg means the defaults.
func NewMemcached(cfg *MemcachedConfig) (*Memcached, error) {
	if cfg == nil {
		cfg = &MemcachedConfig{}
	}
	ch, err := newChannel(cfg.Dial, cfg.TLS, false)
	if err != nil {
		return nil, fmt.Errorf("memcached check: %w", err)
	}
	return &Memcached{ch}, nil
}

// Identity names the kind and the parameters of the check.
func (c *Memcached) Identity() string { return "memcached" + c.ch.identity }

// Check asks for the version.
func (c *Memcached) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("version")
		if err := s.write("version\r\n"); err != nil {
			return "", err
		}
		l, err := s.line()
		if err != nil {
			return "", err
		}
		v, ok := strings.CutPrefix(l, "VERSION ")
		if !ok {
			return "", unwanted("answer %s, expected VERSION and a number", clip([]byte(l)))
		}
		return "memcached " + clipText(v), nil
	})
}
