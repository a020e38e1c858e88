package userspace

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// Defaults of [Config].
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultFinTimeout     = 120 * time.Second
	DefaultUDPTimeout     = 300 * time.Second
	DefaultMaxConnections = 16384
	DefaultMaxSessions    = 4096
	DefaultMaxTemplates   = 65536
)

// Config adjusts a [Balancer]. The zero value of each field is a default;
// negative values are refused by [New].
type Config struct {
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// Rules is the generation of kernels whose schedulers are followed.
	Rules sched.Rules
	// ConnectTimeout bounds one attempt to connect to a destination; there
	// are at most two for a client. Zero is [DefaultConnectTimeout].
	ConnectTimeout time.Duration
	// IdleTimeout resets a TCP connection on which nothing moved in either
	// direction for so long. Zero never does: TCP keep-alive alone finds
	// dead peers. Progress of bulk transfers is noticed in pieces of up to
	// 1 MiB, so it should be generous; that holds for FinTimeout too.
	IdleTimeout time.Duration
	// LifeTimeout resets a TCP connection that is older than this, busy or
	// not. Zero never does.
	LifeTimeout time.Duration
	// FinTimeout resets a TCP connection that one side has closed and on
	// which nothing moved for so long, so that a server that forgets its
	// connections does not hold ours. A connection that both sides have
	// closed counts as inactive of its destination for so long, for wlc, lc
	// and thresholds as in the kernel. Zero is [DefaultFinTimeout], IPVS's
	// own.
	FinTimeout time.Duration
	// UDPTimeout ends a UDP session on which nothing moved for so long.
	// Zero is [DefaultUDPTimeout], IPVS's own.
	UDPTimeout time.Duration
	// MaxConnections bounds the TCP connections of all services together;
	// further clients are reset at once. Each takes two descriptors, so the
	// limit of the process (RLIMIT_NOFILE) should allow twice as many: it is
	// a bound too. Zero is [DefaultMaxConnections].
	MaxConnections int
	// MaxSessions bounds the sessions of one UDP service; for a further
	// client the session idle for longest ends, of those on the same socket
	// if the service has several; a socket without any takes one more. Each
	// session takes a descriptor. Zero is [DefaultMaxSessions].
	MaxSessions int
	// MaxTemplates bounds the clients that one persistent service
	// remembers; the one gone for longest is forgotten first. Zero is
	// [DefaultMaxTemplates].
	MaxTemplates int
	// Services tells of services what their table entries do not, by their
	// keys; a service without an entry has the zero value.
	// [Balancer.Configure] changes it later.
	Services map[ipvs.ServiceKey]ServiceConfig
}

// withDefaults returns a copy with all fields set.
func (c *Config) withDefaults() (Config, error) {
	var out Config
	if c != nil {
		out = *c
	}
	var errs []error
	duration := func(name string, d *time.Duration, def time.Duration) {
		if *d < 0 {
			errs = append(errs, fmt.Errorf("%s %v: want 0 for the default or more", name, *d))
		} else if *d == 0 {
			*d = def
		}
	}
	number := func(name string, n *int, def int) {
		if *n < 0 {
			errs = append(errs, fmt.Errorf("%s %d: want 0 for the default or more", name, *n))
		} else if *n == 0 {
			*n = def
		}
	}
	duration("ConnectTimeout", &out.ConnectTimeout, DefaultConnectTimeout)
	duration("IdleTimeout", &out.IdleTimeout, 0)
	duration("LifeTimeout", &out.LifeTimeout, 0)
	duration("FinTimeout", &out.FinTimeout, DefaultFinTimeout)
	duration("UDPTimeout", &out.UDPTimeout, DefaultUDPTimeout)
	number("MaxConnections", &out.MaxConnections, DefaultMaxConnections)
	number("MaxSessions", &out.MaxSessions, DefaultMaxSessions)
	number("MaxTemplates", &out.MaxTemplates, DefaultMaxTemplates)
	if _, err := out.Rules.MarshalText(); err != nil {
		errs = append(errs, err)
	}
	for key, s := range out.Services {
		if err := s.validate(); err != nil {
			errs = append(errs, fmt.Errorf("service %v: %w", key, err))
		}
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, errors.Join(errs...)
}
