package health

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxIdleFrames is how many frames may come that are no body: settings and
// pings, each of which we have to answer, and interim answers.
const maxIdleFrames = 100

// h2Answer is an answer over HTTP/2.
type h2Answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    []byte
}

// h2 asks one request over HTTP/2 (RFC 9113) and reads the answer to its end,
// or until maxBody bytes of the body have come; with 0 to the end of the
// headers. It speaks in frames rather than through a transport, which would
// leave a goroutine behind.
func h2(conn io.ReadWriter, header []hpack.HeaderField, body []byte, maxBody int) (*h2Answer, error) {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	for _, f := range header {
		if err := encode.WriteField(f); err != nil {
			return nil, err
		}
	}
	// In one write: the question is ready before the server's settings are
	// known, whose defaults it keeps to.
	w := http2.NewFramer(&out, nil)
	err := errors.Join(
		w.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(maxBody) + 1<<16},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader},
		),
		w.WriteWindowUpdate(0, uint32(maxBody)+1),
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: body == nil, EndHeaders: true}),
	)
	if body != nil {
		err = errors.Join(err, w.WriteData(1, true, body))
	}
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return nil, err
	}
	limit := &io.LimitedReader{R: conn, N: int64(maxBody)*2 + 2*maxHeader}
	in := bufio.NewReader(limit)
	const old = "HTTP/1."
	if first, _ := in.Peek(len(old)); string(first) == old {
		line, _ := in.Peek(in.Buffered())
		line, _, _ = bytes.Cut(line, []byte("\r\n"))
		return nil, unwanted("the server answers in HTTP/1, %s", clip(line))
	}
	r := http2.NewFramer(conn, in)
	r.SetMaxReadFrameSize(1 << 14)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.MaxHeaderListSize = maxHeader
	a := &h2Answer{}
	idle := 0
	for {
		f, err := r.ReadFrame()
		if err == nil {
			err = stray(f)
		}
		if _, ok := f.(*http2.DataFrame); !ok && err == nil {
			if idle++; idle > maxIdleFrames {
				err = unwanted("more than %d frames, and no answer", maxIdleFrames)
			}
		}
		if err == nil {
			var end bool
			if end, err = a.take(r, f, maxBody); end {
				return a, err
			}
		}
		var ce http2.ConnectionError
		var se http2.StreamError
		switch {
		case err == nil:
		case limit.N <= 0:
			return nil, unwanted("more than %d bytes, and no end of the answer", int64(maxBody)*2+2*maxHeader)
		case errors.Is(err, http2.ErrFrameTooLarge), errors.As(err, &ce), errors.As(err, &se):
			return nil, unwanted("the answer is no HTTP/2: %v", err)
		default:
			return nil, err
		}
	}
}

// stray refuses frames of requests that we have not made: ours has the number 1,
// and 0 is the connection as a whole (RFC 9113, section 5.1.1). We have told the
// server that we want no pushes.
func stray(f http2.Frame) error {
	if id := f.Header().StreamID; id > 1 {
		return unwanted("the server answers request %d, which was not made", id)
	}
	if f.Header().Type == http2.FramePushPromise {
		return unwanted("the server pushes, though it is not to")
	}
	return nil
}

// take handles one frame and tells whether the answer is complete.
func (a *h2Answer) take(w *http2.Framer, f http2.Frame, maxBody int) (end bool, err error) {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, w.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, w.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < 1 {
			return true, unwanted("the server ends the connection: %v %s", f.ErrCode, clipText(string(f.DebugData())))
		}
	case *http2.RSTStreamFrame:
		// After a complete answer it would be a wish to hear no more of us.
		return true, unwanted("the server ends the request: %v", f.ErrCode)
	case *http2.MetaHeadersFrame:
		if f.Truncated {
			return true, unwanted("more than %d bytes of headers", maxHeader)
		}
		fields := http.Header{}
		for _, h := range f.RegularFields() {
			fields.Add(h.Name, h.Value)
		}
		if a.status < 200 {
			status, err := strconv.Atoi(f.PseudoValue("status"))
			if err != nil || status < 100 || status > 999 {
				return true, unwanted("the answer has no status")
			}
			a.status, a.header = status, fields
		} else {
			a.trailer = fields
		}
		return f.StreamEnded() || maxBody == 0 && a.status >= 200, nil
	case *http2.DataFrame:
		if a.status < 200 {
			return true, unwanted("the answer has a body, but no headers before it")
		}
		a.body = append(a.body, f.Data()[:min(len(f.Data()), maxBody-len(a.body))]...)
		return f.StreamEnded() || len(a.body) >= maxBody, nil
	}
	return false, nil
}

// statusLine is the status for people.
func (a *h2Answer) statusLine() string {
	return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
}

// overHTTP2 asks an [HTTP] check's question over HTTP/2.
func (c *HTTP) overHTTP2(a *attempt, conn net.Conn, q *httpQuestion) (Result, *httpQuestion) {
	scheme := "http"
	if secure, ok := conn.(*tls.Conn); ok {
		scheme = "https"
		if secure.ConnectionState().NegotiatedProtocol != "h2" {
			return a.wrong("tls", "the server does not choose the protocol h2"), nil
		}
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: q.method},
		{Name: ":scheme", Value: scheme},
		{Name: ":path", Value: q.url.RequestURI()},
		{Name: ":authority", Value: q.host},
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Header)) {
		for _, value := range c.cfg.Header[name] {
			fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	a.allow(conn, c.cfg.AnswerTimeout)
	limit := c.readLimit()
	if !c.wantsBody() {
		limit = 0 // as over HTTP/1.1: a body without an end is no fault
	}
	answer, err := h2(conn, fields, nil, limit)
	var bad unexpected
	switch {
	case errors.As(err, &bad):
		return a.wrong("read", "%s", string(bad)), nil
	case err != nil:
		return a.failed("read", err), nil
	}
	resp := &http.Response{Proto: "HTTP/2", StatusCode: answer.status, Status: answer.statusLine(), Header: answer.header}
	return c.judge(a, q, resp, func() ([]byte, error) { return answer.body, nil })
}
