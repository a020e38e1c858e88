package healthtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// Flood sends bytes without an end, line or no line, until the client is gone.
func Flood(text string) Behavior {
	block := bytes.Repeat([]byte(text), 64<<10/len(text))
	return func(_ context.Context, c net.Conn) {
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
}

// garbage is no answer in any protocol.
const garbage = "\x00\xfe\x80\x7f\x1bgarbage\xff\xff\xff\xff\n\x00\x01\r\n\r\n"

// Misbehaviors are the ways in which a server answers nothing of use, by their
// names: no check of more than a connection may find any of them OK. A client
// of TLS meets each of them both before the handshake and, by [OverTLS], after
// it.
func Misbehaviors() map[string]Behavior {
	return map[string]Behavior{
		"accepts and says nothing": Hang(),
		"drips a byte a second":    Drip("220 +OK * OK 0123456789", time.Second),
		"closes at once":           Close(),
		"resets at once":           Reset(),
		"hears and closes":         Answer(""),
		"floods without lines":     Flood("x"),
		"floods with lines":        Flood("250-more\r\n"),
		"floods with short lines":  Flood("\n"),
		"floods with zeros":        Flood("\x00"),
		"says garbage":             Say(garbage),
		"answers with garbage":     Answer(garbage),
		"says garbage and closes":  SayAndClose(garbage),
	}
}

// OverTLS has b served after a TLS handshake. The connection is closed without
// a farewell of TLS, as by a server that crashes.
func OverTLS(cfg *tls.Config, b Behavior) Behavior {
	return func(ctx context.Context, raw net.Conn) {
		if c := tls.Server(raw, cfg); c.Handshake() == nil {
			b(ctx, c)
		}
	}
}

// Slowly has everything that b says come byte by byte, one each interval: right
// answers, too late. Around [OverTLS] the handshake is as slow.
func Slowly(interval time.Duration, b Behavior) Behavior {
	return func(ctx context.Context, c net.Conn) {
		b(ctx, &filtered{c, func(p []byte) (n int, err error) {
			for n < len(p) {
				if _, err := c.Write(p[n : n+1]); err != nil {
					return n, err
				}
				n++
				if !sleep(ctx, interval) {
					return n, ctx.Err()
				}
			}
			return n, nil
		}})
	}
}

// CutAfter closes the connection after n bytes of what b says.
func CutAfter(n int, b Behavior) Behavior {
	return func(ctx context.Context, c net.Conn) {
		left := n
		b(ctx, &filtered{c, func(p []byte) (int, error) {
			said := min(left, len(p))
			left -= said
			if _, err := c.Write(p[:said]); err != nil || said == len(p) {
				return said, err
			}
			c.Close()
			return said, net.ErrClosed
		}})
	}
}

// Flapping takes turns with the behaviours, one for each connection.
func Flapping(turns ...Behavior) Behavior {
	var n atomic.Uint64
	return func(ctx context.Context, c net.Conn) {
		turns[(n.Add(1)-1)%uint64(len(turns))](ctx, c)
	}
}

// filtered is a connection that does something else with what is said.
type filtered struct {
	net.Conn
	write func(p []byte) (int, error)
}

func (f *filtered) Write(p []byte) (int, error) { return f.write(p) }

// NetConn is the connection beneath, as of a tls.Conn.
func (f *filtered) NetConn() net.Conn { return f.Conn }
