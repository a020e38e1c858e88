package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RedisConfig sets up a [Redis] check.
type RedisConfig struct {
	// Username and Password log in first (AUTH); an empty Password does not.
	// An empty Username is the server's default user.
	Username, Password string
	// Database is selected before the question (SELECT); 0 is the one that
	// each connection has.
	Database int
	// Role is what the server must be: "master", "slave" (a replica, in the
	// words of the protocol) or "sentinel". Empty asks PING instead.
	Role string
	// TLS verifies and encrypts; nil means plain text.
	TLS *TLSConfig
	// Dial says how to connect. AnswerTimeout is that of each answer.
	Dial
}

// Redis asks a Redis or Valkey server with PING, or for its role with ROLE. A
// server that loads its data or has lost its master fails; one that wants a
// password which we were not given is alive, and so OK for a check without a
// role. It is safe for concurrent use.
type Redis struct {
	ch   channel
	cfg  RedisConfig
	name string
}

// redisRoles are the first elements of an answer to ROLE.
var redisRoles = []string{"master", "slave", "sentinel"}

// NewRedis returns a Redis check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewRedis(cfg *RedisConfig) (*Redis, error) {
	c := &Redis{}
	if cfg != nil {
		c.cfg = *cfg
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, false)
	if c.cfg.Role != "" && !slices.Contains(redisRoles, c.cfg.Role) {
		err = errors.Join(err, fmt.Errorf("role %q: want one of %s, or none", c.cfg.Role, strings.Join(redisRoles, ", ")))
	}
	if c.cfg.Database < 0 {
		err = errors.Join(err, fmt.Errorf("database %d: want 0 or more", c.cfg.Database))
	}
	if c.cfg.Username != "" && c.cfg.Password == "" {
		err = errors.Join(err, fmt.Errorf("username %q without a password", c.cfg.Username))
	}
	if err != nil {
		return nil, fmt.Errorf("redis check: %w", err)
	}
	c.name = fmt.Sprintf("redis user=%q password=%s database=%d role=%q%s", c.cfg.Username, fingerprint(c.cfg.Password), c.cfg.Database, c.cfg.Role, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *Redis) Identity() string { return c.name }

// Check logs in if it is to, and asks.
func (c *Redis) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		if c.cfg.Password != "" {
			words := []string{"AUTH", c.cfg.Password}
			if c.cfg.Username != "" {
				words = []string{"AUTH", c.cfg.Username, c.cfg.Password}
			}
			l, err := s.redis("auth", words...)
			if err != nil {
				return "", err
			}
			if l != "+OK" {
				return "", unwanted("the server refuses user and password: %s", clip([]byte(l)))
			}
		}
		if c.cfg.Database != 0 {
			l, err := s.redis("select", "SELECT", strconv.Itoa(c.cfg.Database))
			if err != nil {
				return "", err
			}
			if l != "+OK" && (c.cfg.Password != "" || !strings.HasPrefix(l, "-NOAUTH")) {
				return "", unwanted("database %d: %s", c.cfg.Database, clip([]byte(l)))
			}
		}
		if c.cfg.Role != "" {
			return c.role(s)
		}
		l, err := s.redis("ping", "PING")
		switch {
		case err != nil:
			return "", err
		case l == "+PONG":
			return "PONG", nil
		case c.cfg.Password == "" && (strings.HasPrefix(l, "-NOAUTH") || strings.HasPrefix(l, "-NOPERM")):
			return "alive, wants a password", nil
		}
		return "", unwanted("answer %s, expected +PONG", clip([]byte(l)))
	})
}

// role reads the beginning of the answer to ROLE: an array whose first
// element is the name.
func (c *Redis) role(s *session) (string, error) {
	l, err := s.redis("role", "ROLE")
	if err != nil {
		return "", err
	}
	if n, ok := respLength(l, '*'); !ok || n < 1 {
		return "", unwanted("answer %s to ROLE, expected an array", clip([]byte(l)))
	}
	if l, err = s.line(); err != nil {
		return "", err
	}
	n, ok := respLength(l, '$')
	if !ok || n > 64 {
		return "", unwanted("answer %s to ROLE, expected a name", clip([]byte(l)))
	}
	name, err := s.full(n)
	if err != nil {
		return "", err
	}
	if string(name) != c.cfg.Role {
		return "", unwanted("role %s, expected %s", clip(name), c.cfg.Role)
	}
	return "role " + c.cfg.Role, nil
}

// redis sends a command in the form that takes any bytes (RESP: an array of
// bulk strings) and reads the first line of the answer.
func (s *session) redis(phase string, words ...string) (string, error) {
	s.step(phase)
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if err := s.write(b.String()); err != nil {
		return "", err
	}
	return s.line()
}

// respLength reads the length in the first line of an array ('*') or of a bulk
// string ('$') of RESP.
func respLength(line string, kind byte) (int, bool) {
	if line == "" || line[0] != kind {
		return 0, false
	}
	n, err := strconv.Atoi(line[1:])
	return n, err == nil && n >= 0
}
