package healthtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Step is one exchange of a [Dialogue].
type Step struct {
	// Hear is what must come from the client, anywhere in what it sends
	// after what the last step heard; empty waits for nothing.
	Hear string
	// Say is sent then; empty sends nothing.
	Say string
	// TLS turns the connection to TLS after Say; nil leaves it as it is.
	TLS *tls.Config
}

// Dialogue plays the part of a server in a conversation, step by step, and
// then waits until the client is gone. A client that never says what a step
// waits for waits for its answer in vain.
func Dialogue(steps ...Step) Behavior {
	return func(ctx context.Context, raw *net.TCPConn) {
		conn := net.Conn(raw)
		buf := make([]byte, 4096)
		var heard []byte
		for _, step := range steps {
			for !bytes.Contains(heard, []byte(step.Hear)) {
				n, err := conn.Read(buf)
				if heard = append(heard, buf[:n]...); err != nil || len(heard) > 1<<20 {
					return
				}
			}
			_, heard, _ = bytes.Cut(heard, []byte(step.Hear))
			if _, err := conn.Write([]byte(step.Say)); err != nil {
				return
			}
			if step.TLS != nil {
				secure := tls.Server(&ahead{conn, bytes.NewReader(heard)}, step.TLS)
				if secure.HandshakeContext(ctx) != nil {
					return
				}
				conn, heard = secure, nil
			}
		}
		waitGone(conn)
	}
}

// ahead is a connection from which something has been read already.
type ahead struct {
	net.Conn
	read *bytes.Reader
}

func (a *ahead) Read(p []byte) (int, error) {
	if a.read.Len() > 0 {
		return a.read.Read(p)
	}
	return a.Conn.Read(p)
}

// Flood sends bytes without an end, line or no line, until the client is gone.
func Flood(text string) Behavior {
	block := bytes.Repeat([]byte(text), 64<<10/len(text))
	return func(_ context.Context, c *net.TCPConn) {
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
// names: no check of more than a connection may find any of them OK.
func Misbehaviors() map[string]Behavior {
	return map[string]Behavior{
		"accepts and says nothing": Hang(),
		"drips a byte a second":    Drip("220 +OK * OK 0123456789", time.Second),
		"closes at once":           Close(),
		"resets at once":           Reset(),
		"hears and closes":         Answer(""),
		"floods without lines":     Flood("x"),
		"floods with lines":        Flood("250-more\r\n"),
		"floods with zeros":        Flood("\x00"),
		"says garbage":             Say(garbage),
		"answers with garbage":     Answer(garbage),
		"says garbage and closes":  SayAndClose(garbage),
	}
}

// Replies answers each request that ends with the given bytes.
func Replies(end string, answer func(request []byte) []byte) Behavior {
	return func(_ context.Context, c *net.TCPConn) {
		var heard []byte
		buf := make([]byte, 4096)
		for len(heard) < 1<<20 {
			n, err := c.Read(buf)
			heard = append(heard, buf[:n]...)
			for {
				request, rest, ok := bytes.Cut(heard, []byte(end))
				if !ok {
					break
				}
				if _, err := c.Write(answer(append(bytes.Clone(request), end...))); err != nil {
					return
				}
				heard = rest
			}
			if err != nil {
				return
			}
		}
	}
}

// Framed answers messages that have their length in two bytes before them, as
// those of DNS over TCP; with a config it does so over TLS.
func Framed(cfg *tls.Config, answer func(request []byte) []byte) Behavior {
	return func(_ context.Context, raw *net.TCPConn) {
		c := net.Conn(raw)
		if cfg != nil {
			c = tls.Server(raw, cfg)
		}
		head := make([]byte, 2)
		for {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			request := make([]byte, binary.BigEndian.Uint16(head))
			if _, err := io.ReadFull(c, request); err != nil {
				return
			}
			reply := answer(request)
			if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
				return
			}
		}
	}
}
