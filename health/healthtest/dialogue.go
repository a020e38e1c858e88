package healthtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
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
	return func(ctx context.Context, conn net.Conn) {
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

// Replies answers each request that ends with the given bytes.
func Replies(end string, answer func(request []byte) []byte) Behavior {
	return func(_ context.Context, c net.Conn) {
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
	return func(_ context.Context, c net.Conn) {
		if cfg != nil {
			c = tls.Server(c, cfg)
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
