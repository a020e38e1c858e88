package health

import (
	"context"
	"fmt"
)

// TCPConfig sets up a [TCP] check.
type TCPConfig struct {
	// Dial says how to connect.
	Dial
}

// TCP asks whether a TCP connection can be opened. A server that resets it at
// once may still be OK: the kernel, not the program, completes the handshake.
// The zero value is the check with the defaults. It is safe for concurrent use.
type TCP struct{ dial Dial }

// NewTCP returns a connect check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewTCP(cfg *TCPConfig) (*TCP, error) {
	if cfg == nil {
		cfg = &TCPConfig{}
	}
	if err := cfg.Dial.validate(); err != nil {
		return nil, fmt.Errorf("tcp check: %w", err)
	}
	return &TCP{dial: cfg.Dial}, nil
}

// Identity names the kind and the parameters of the check.
func (c *TCP) Identity() string { return "tcp" + c.dial.identity() }

// Check connects and closes.
func (c *TCP) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	if err := a.connect(&c.dial); err != nil {
		return a.failed("connect", err)
	}
	return a.ok("connect", "accepted")
}

// connectByNet opens and closes a TCP connection by way of package net.
func (a *attempt) connectByNet(d *Dial) error {
	conn, err := a.open("tcp", d)
	if err == nil {
		closeConn(conn, d.Graceful)
	}
	return err
}
