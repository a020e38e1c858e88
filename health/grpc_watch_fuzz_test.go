package health

import (
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzGRPCWatch lets a server say anything: the session must end by itself,
// and every report be one that a server can cause.
func FuzzGRPCWatch(f *testing.F) {
	frames := func(write func(w *http2.Framer)) []byte {
		var b bytes.Buffer
		write(http2.NewFramer(&b, nil))
		return b.Bytes()
	}
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	_ = encode.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	status := bytes.Clone(block.Bytes())
	_ = encode.WriteField(hpack.HeaderField{Name: "grpc-status", Value: "12"})
	ends := bytes.Clone(block.Bytes())
	f.Add(frames(func(w *http2.Framer) {
		_ = w.WriteSettings()
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: status, EndHeaders: true})
		_ = w.WriteData(1, false, []byte("\x00\x00\x00\x00\x02\x08\x01\x00\x00\x00\x00\x02\x08\x02"))
		_ = w.WritePing(false, [8]byte{1})
		_ = w.WriteGoAway(1, 0, []byte("bye"))
	}))
	f.Add(frames(func(w *http2.Framer) {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: ends, EndHeaders: true, EndStream: true})
	}))
	f.Add(frames(func(w *http2.Framer) { _ = w.WriteRSTStream(1, 7) }))
	c, err := NewGRPC(&GRPCConfig{Watch: true})
	if err != nil {
		f.Fatal(err)
	}
	target := Target{Addr: netip.MustParseAddrPort("192.0.2.1:1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}
		reports := 0
		w := newGRPCWatch(c, target, conn, func(r Result) {
			if reports++; r.Verdict == NoResult || r.Reason == "" || len(r.Seen) > MaxSeen {
				t.Errorf("report %+v", r)
			}
		})
		w.until = func(time.Time) {}
		w.first = &attempt{ctx: t.Context(), target: target, start: time.Now(), mark: time.Now()}
		if err := w.run(); err == nil {
			t.Error("the session ended without an error")
		}
		if reports > len(b) || cap(w.message) > 4*maxFrame {
			t.Errorf("%d reports and %d bytes kept of %d", reports, cap(w.message), len(b))
		}
	})
}
