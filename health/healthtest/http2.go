package healthtest

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2Misbehaviors are servers that begin well in HTTP/2 (RFC 9113) and then
// go wrong, by their names: no check may find any of them OK. Over TLS use them
// with [OverTLS] and the protocol h2.
func HTTP2Misbehaviors() map[string]Behavior {
	endless := func(say func(*http2.Framer) error) Behavior {
		return frames(func(f *http2.Framer) error {
			for {
				if err := say(f); err != nil {
					return err
				}
			}
		})
	}
	headers := func(stream uint32, end bool, fields ...string) func(*http2.Framer) error {
		block := headerBlock(fields...)
		return func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: end})
		}
	}
	return map[string]Behavior{
		"settles and says nothing":   frames(func(*http2.Framer) error { return nil }),
		"settles and closes":         frames(func(*http2.Framer) error { return io.EOF }),
		"pings for ever":             endless(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1}) }),
		"settles for ever":           endless(func(f *http2.Framer) error { return f.WriteSettings() }),
		"opens the window for ever":  endless(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }),
		"interim answers for ever":   endless(headers(1, false, ":status", "103", "link", "</x>")),
		"data without headers":       endless(func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1<<14)) }),
		"answers a request not made": frames(headers(3, true, ":status", "200", "grpc-status", "0")),
		"headers without a status":   frames(headers(1, true, "grpc-status", "0")),
		"pushes": frames(func(f *http2.Framer) error {
			return f.WriteRawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, append([]byte{0, 0, 0, 2}, headerBlock(":method", "GET")...))
		}),
		"sends the client away": frames(func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too many")) }),
		"ends the request":      frames(func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeInternal) }),
		"a frame of 16 MiB":     raw("\xff\xff\xff\x00\x00\x00\x00\x00\x01"),
		"drips a frame":         Slowly(time.Second, frames(headers(1, true, ":status", "200", "grpc-status", "0"))),
		"a header without an end": frames(func(f *http2.Framer) error {
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock(":status", "200")})
			for more := headerBlock("x", "yyyyyyyyyyyyyyyy"); err == nil; {
				err = f.WriteContinuation(1, false, more)
			}
			return err
		}),
		// A field of 4000 bytes is told once and then named 16,000 times by a
		// byte each (RFC 7541, section 7.3).
		"a bomb of headers": frames(func(f *http2.Framer) error {
			block := append(headerBlock(":status", "200", "x", strings.Repeat("y", 4000)), bytes.Repeat([]byte{0x80 | 62}, 1<<13)...)
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		}),
	}
}

// frames reads the preface of a client, sends settings, and waits after say
// until the client is gone, unless say returns an error.
func frames(say func(*http2.Framer) error) Behavior {
	return func(_ context.Context, c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, nil)
		if f.WriteSettings() == nil && say(f) == nil {
			waitGone(c)
		}
	}
}

// raw says bytes instead of frames.
func raw(text string) Behavior {
	return func(_ context.Context, c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		if _, err := io.WriteString(c, text); err == nil {
			waitGone(c)
		}
	}
}

// headerBlock encodes names and values in turn.
func headerBlock(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		// Into a buffer, so it cannot fail.
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}
