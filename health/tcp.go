package health

import "context"

// TCPConfig sets up a [TCP] check.
type TCPConfig struct {
	// Graceful closes with a FIN. The zero value closes with a RST, which
	// leaves no TIME_WAIT behind; some servers log each RST.
	Graceful bool
}

// TCP asks whether a TCP connection can be opened. A server that resets it at
// once may still be OK: the kernel, not the program, completes the handshake.
// It is safe for concurrent use.
type TCP struct {
	graceful bool
	identity string
}

// NewTCP returns a connect check. A nil cfg means the defaults.
func NewTCP(cfg *TCPConfig) *TCP {
	if cfg == nil {
		cfg = &TCPConfig{}
	}
	return &TCP{graceful: cfg.Graceful, identity: "tcp" + gracefulMark(cfg.Graceful)}
}

func gracefulMark(graceful bool) string {
	if graceful {
		return " graceful"
	}
	return ""
}

// Identity names the kind and the parameters of the check.
func (c *TCP) Identity() string { return c.identity }

// Check connects and closes.
func (c *TCP) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	conn, err := a.dial("tcp")
	if err != nil {
		return a.failed("connect", err)
	}
	closeConn(conn, c.graceful)
	return a.ok("connect", "accepted")
}
