package health

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// DefaultKeepalive is how often the Watch of a [GRPC] check proves by default
// that the server still answers.
const DefaultKeepalive = 5 * time.Second

// Bounds of a Watch.
const (
	// grpcWindow is how much the server may send before we have taken it, of
	// each call and of all.
	grpcWindow = 1 << 16
	// grpcRush is how many changes a server may report in a second, and
	// grpcFlood how many frames of any kind it may send.
	grpcRush  = 100
	grpcFlood = 10_000
	// grpcStream is the number of the Watch; the calls after it count on.
	grpcStream = 1
)

var _ Standing = (*GRPC)(nil)

// Stand calls Watch of grpc.health.v1.Health, whose answer comes in messages
// for as long as the connection stands: a server that begins to drain says so
// within the time of one packet.
//
// Every Keepalive it calls Check over the same connection, and a call that is
// not answered before the next ends the session; so a server that is dead or
// stuck is noticed within twice that time. A PING would prove less, and
// servers of gRPC count pings that come more often than every five minutes as
// an attack (ENHANCE_YOUR_CALM). What Check says counts, too, for servers
// whose Watch forgets to tell.
//
// It returns [ErrNoSession] when the server has no Watch (grpc-status 12), and
// when [GRPCConfig].Watch is not set.
func (c *GRPC) Stand(ctx context.Context, t Target, report func(Result)) error {
	if !c.cfg.Watch {
		return fmt.Errorf("grpc check: Watch is not set: %w", ErrNoSession)
	}
	err := c.stand(ctx, t, report)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("grpc watch of %v: %w", t, err)
}

func (c *GRPC) stand(ctx context.Context, t Target, report func(Result)) error {
	start, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	a, cancelAttempt := begin(start, t)
	defer cancelAttempt()
	raw, err := a.open("tcp", &c.ch.dial)
	if err != nil {
		return err
	}
	defer closeConn(raw, c.ch.dial.Graceful)
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	a.done("connect")
	conn := net.Conn(raw)
	if c.ch.tls != nil {
		if conn, err = a.secure(raw, c.ch.tls, &c.ch.dial); err != nil {
			return err
		}
	}
	w := newGRPCWatch(c, t, conn, report)
	w.first = a
	w.until = func(end time.Time) {
		_ = raw.SetDeadline(end)
		if ctx.Err() != nil { // it may have come before that
			_ = raw.SetDeadline(time.Unix(1, 0))
		}
	}
	return w.run()
}

// grpcWatch is one session. It is of one goroutine.
type grpcWatch struct {
	check  *GRPC
	target Target
	report func(Result)
	until  func(time.Time) // sets the deadline of the connection
	first  *attempt        // of the first answer, nil after it

	in     *bufio.Reader
	out    io.Writer
	frames *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder

	status  int    // of the Watch, 0 before its headers
	message []byte // what has come of the next message
	taken   uint32 // bytes that the server may not send again yet
	call    uint32 // number of the last call
	answer  *h2Answer

	last    string // the newest report
	second  time.Time
	changes int // since second
	flood   int // frames since second
}

func newGRPCWatch(c *GRPC, t Target, conn io.ReadWriter, report func(Result)) *grpcWatch {
	w := &grpcWatch{check: c, target: t, report: report, out: conn, call: grpcStream}
	w.in = bufio.NewReaderSize(conn, maxLine) // one for each session, and states are short
	w.frames = http2.NewFramer(conn, w.in)
	w.frames.SetMaxReadFrameSize(maxFrame)
	w.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.frames.MaxHeaderListSize = maxHeader
	w.encode = hpack.NewEncoder(&w.block)
	w.encode.SetMaxDynamicTableSize(0) // whatever size the server allows
	return w
}

// Sizes of frames (RFC 9113, sections 4.1 and 4.2).
const (
	frameHeader = 9
	maxFrame    = 1 << 14
)

// run opens the Watch and reads until the session ends.
func (w *grpcWatch) run() error {
	keepalive := w.check.cfg.Keepalive
	turn := time.Now().Add(max(keepalive, DefaultTimeout)) // for the first answer
	w.until(turn)
	var hello bytes.Buffer
	hello.WriteString(http2.ClientPreface)
	if err := http2.NewFramer(&hello, nil).WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: grpcWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader},
	); err != nil {
		return err
	}
	if err := w.open(&hello, grpcStream, "Watch"); err != nil {
		return err
	}
	for {
		f, err := w.frame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && w.first != nil:
			return unwanted("no answer within %v", time.Since(w.first.start).Round(time.Millisecond))
		case errors.Is(err, os.ErrDeadlineExceeded) && w.answer != nil:
			return unwanted("no answer to a Check within %v", keepalive)
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Until(turn) > 0:
			return err // cancelled
		case errors.Is(err, os.ErrDeadlineExceeded):
			turn = time.Now().Add(keepalive)
			w.until(turn)
			if err := w.ask(); err != nil {
				return err
			}
			continue
		case err != nil:
			return w.broken(err)
		}
		w.tick(time.Now())
		if w.flood++; w.flood > grpcFlood {
			return unwanted("more than %d frames in a second", grpcFlood)
		}
		opening := w.first != nil
		if err := w.take(f); err != nil {
			return err
		}
		if opening && w.first == nil {
			turn = time.Now().Add(keepalive)
			w.until(turn)
		}
	}
}

// tick begins to count anew with each second.
func (w *grpcWatch) tick(now time.Time) {
	if now.Sub(w.second) >= time.Second {
		w.second, w.changes, w.flood = now, 0, 0
	}
}

// frame reads the next frame. It awaits one of usual size whole before it
// takes any of it, so that a deadline in the middle of it loses nothing.
func (w *grpcWatch) frame() (http2.Frame, error) {
	head, err := w.in.Peek(frameHeader)
	if err != nil {
		return nil, err
	}
	if whole := frameHeader + (int(head[0])<<16 | int(head[1])<<8 | int(head[2])); whole <= w.in.Size() {
		if _, err := w.in.Peek(whole); err != nil {
			return nil, err
		}
	}
	f, err := w.frames.ReadFrame()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, unwanted("no more than a part of an answer within %v", w.check.cfg.Keepalive)
	}
	return f, err
}

// broken says what ended the connection.
func (w *grpcWatch) broken(err error) error {
	var ce http2.ConnectionError
	var se http2.StreamError
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge), errors.As(err, &ce), errors.As(err, &se):
		return unwanted("the answer is no HTTP/2: %v", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return unwanted("closed by the server")
	}
	return err
}

// open begins a call, after what is in out already.
func (w *grpcWatch) open(out *bytes.Buffer, stream uint32, method string) error {
	w.block.Reset()
	for _, f := range w.check.header(w.target, method) {
		if err := w.encode.WriteField(f); err != nil {
			return err
		}
	}
	f := http2.NewFramer(out, nil)
	if err := errors.Join(
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.block.Bytes(), EndHeaders: true}),
		f.WriteData(stream, true, grpcRequest(w.check.cfg.Service)),
	); err != nil {
		return err
	}
	return w.write(out.Bytes())
}

func (w *grpcWatch) write(b []byte) error {
	// The deadline is the same as that of reading.
	_, err := w.out.Write(b)
	return err
}

// ask calls Check.
func (w *grpcWatch) ask() error {
	w.call += 2
	if w.call >= 1<<31 {
		return unwanted("the connection has no more numbers for calls")
	}
	w.answer = &h2Answer{}
	return w.open(&bytes.Buffer{}, w.call, "Check")
}

// take handles one frame; an error ends the session.
func (w *grpcWatch) take(f http2.Frame) error {
	if data, ok := f.(*http2.DataFrame); ok {
		if err := w.give(data.Header().Length, data.StreamEnded()); err != nil {
			return err
		}
	}
	switch f := f.(type) {
	case *http2.GoAwayFrame:
		return unwanted("the server ends the connection: %v %s", f.ErrCode, clipText(string(f.DebugData())))
	case *http2.SettingsFrame, *http2.PingFrame:
		_, err := (&h2Answer{}).take(w.frames, f, 0)
		return err
	}
	switch id := f.Header().StreamID; {
	case id == grpcStream:
		return w.watched(f)
	case id == w.call && w.answer != nil:
		return w.answered(f)
	}
	return nil
}

// give lets the server send as much again as it has sent.
func (w *grpcWatch) give(n uint32, ended bool) error {
	if w.taken += n; w.taken < grpcWindow/4 {
		return nil
	}
	n, w.taken = w.taken, 0
	err := w.frames.WriteWindowUpdate(0, n)
	if !ended && err == nil {
		// Only the Watch comes to that much; an answer to Check is short.
		err = w.frames.WriteWindowUpdate(grpcStream, n)
	}
	return err
}

// watched handles a frame of the Watch.
func (w *grpcWatch) watched(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		return unwanted("the server ends the request: %v", f.ErrCode)
	case *http2.MetaHeadersFrame:
		fields := http.Header{}
		for _, h := range f.RegularFields() {
			fields.Add(h.Name, h.Value)
		}
		if w.status < 200 {
			status, err := strconv.Atoi(f.PseudoValue("status"))
			if err != nil || status < 100 || status > 999 {
				return unwanted("the answer has no status")
			}
			if w.status = status; status > 200 {
				return unwanted("status %d %s, expected 200", status, http.StatusText(status))
			}
		}
		if !f.StreamEnded() {
			return nil
		}
		if fields.Get("Grpc-Status") == grpcUnimplemented {
			return fmt.Errorf("the server has no Watch (grpc-status 12): %w", ErrNoSession)
		}
		if err := grpcStatus(fields, w.check.cfg.Service); err != nil {
			return err
		}
		return unwanted("the server ends the Watch")
	case *http2.DataFrame:
		if err := w.messages(f.Data()); err != nil {
			return err
		}
		if f.StreamEnded() {
			return unwanted("the server ends the Watch without a status")
		}
	}
	return nil
}

// messages takes the messages apart of which a piece has come.
func (w *grpcWatch) messages(piece []byte) error {
	w.message = append(w.message, piece...)
	for len(w.message) >= 5 {
		n := binary.BigEndian.Uint32(w.message[1:])
		if n > maxLine {
			return unwanted("a message of %d bytes, more than a state has", n)
		}
		whole := 5 + int(n)
		if len(w.message) < whole {
			return nil
		}
		text, err := grpcState(w.message[:whole], w.check.cfg.Service)
		if err := w.tell(w.message[:whole], text, err); err != nil {
			return err
		}
		w.message = w.message[whole:]
	}
	if len(w.message) == 0 {
		w.message = nil
	}
	return nil
}

// answered handles a frame of a Check.
func (w *grpcWatch) answered(f http2.Frame) error {
	if _, ok := f.(*http2.RSTStreamFrame); ok {
		w.answer = nil // it does not want the call now, and yet is alive
		return nil
	}
	end, err := w.answer.take(w.frames, f, maxLine)
	if err != nil || !end {
		return err
	}
	text, err := judgeGRPC(w.answer, w.check.cfg.Service)
	body := w.answer.body
	w.answer = nil
	if w.first != nil {
		return nil // the Watch speaks first
	}
	return w.tell(body, text, err)
}

// tell reports a state if it is news.
func (w *grpcWatch) tell(message []byte, text string, bad error) error {
	if bad != nil {
		text = bad.Error()
	}
	if w.first == nil && text == w.last {
		return nil
	}
	now := time.Now()
	if w.changes++; w.changes > grpcRush {
		return unwanted("more than %d changes in a second", grpcRush)
	}
	a := w.first
	if a == nil {
		a = &attempt{ctx: context.Background(), target: w.target, start: now, mark: now}
	}
	w.first, w.last = nil, text
	a.see(message)
	if bad != nil {
		w.report(a.wrong("watch", "%s", text))
	} else {
		w.report(a.ok("watch", text))
	}
	return nil
}
