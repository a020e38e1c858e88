package health

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Bounds of an [HTTP] check.
const (
	// DefaultMaxBody is how much of a body is searched by default.
	DefaultMaxBody = 64 << 10
	// maxMaxBody is the most that may be read of one.
	maxMaxBody = 16 << 20
	// maxHeader bounds the status line and the headers of an answer,
	// interim answers (1xx) included.
	maxHeader = 64 << 10
)

// StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct{ Min, Max int }

// String returns "200-299", or "200" for a range of one.
func (r StatusRange) String() string {
	if r.Min == r.Max {
		return fmt.Sprint(r.Min)
	}
	return fmt.Sprintf("%d-%d", r.Min, r.Max)
}

// HTTPConfig sets up an [HTTP] check.
type HTTPConfig struct {
	// Method is the request method; empty means GET.
	Method string
	// Path is the path with an optional query; empty means "/".
	Path string
	// Host is the Host header; empty means the target's address and port.
	Host string
	// Header are further headers. User-Agent defaults to "lvskit-health".
	// Values are not in the identity where the name speaks of a secret
	// (auth, cookie, key, token, secret, password).
	Header http.Header
	// Status are the codes that are OK; empty means 200..299.
	Status []StatusRange
	// Body must occur in the body; empty means any body.
	Body string
	// BodyRegex must match the body (RE2 syntax); empty means any body.
	BodyRegex string
	// Digest is that of the whole body, without headers, in hexadecimal: 64
	// digits are SHA-256, 32 are MD5, which keepalived uses and which proves
	// no more than that the page is the usual one. Empty means any body.
	Digest string
	// JSON are values that the body, a JSON text, must have; all of them, at
	// most MaxMatches.
	JSON []JSONMatch
	// ExpectHeader are headers that the answer must have; all of them, at
	// most MaxMatches.
	ExpectHeader []HeaderMatch
	// Redirects is how many redirects are followed, at most MaxRedirects, as
	// long as they stay at the same scheme and Host; each is a connection of
	// its own to the target. 0 follows none, and Status says whether a
	// redirect is OK; a status within Status is never followed.
	Redirects int
	// MaxBody is how many bytes of the body are read, at most 16 MiB; 0 means
	// DefaultMaxBody. A longer body is searched as far as that, and fails
	// where a Digest or JSON needs all of it.
	MaxBody int
	// HTTP2 speaks HTTP/2 (RFC 9113): over TLS by the protocol h2, which the
	// server must choose, in clear from the first byte (prior knowledge).
	HTTP2 bool
	// HTTP10 speaks HTTP/1.0 (RFC 1945), for servers that treat it apart. The
	// Host header is sent all the same.
	HTTP10 bool
	// TLS makes it HTTPS; nil means plain HTTP.
	TLS *TLSConfig
	// Dial says how to connect.
	Dial
}

// HTTP asks with one request, of HTTP/1.1 unless told otherwise, on a
// connection of its own: no keep-alive, no proxy, no environment, and no
// redirects unless told otherwise. It is safe for concurrent use.
type HTTP struct {
	cfg      HTTPConfig
	match    httpMatch
	tls      *tls.Config
	url      url.URL
	identity string
	// load finds a load in the body, and has the check fail where there is
	// none; nil where none is wanted.
	load func(body []byte) (Load, error)
}

// NewHTTP returns an HTTP check, or an error that names every field that
// cannot be used. A nil cfg means the defaults: GET / and a status of 2xx.
func NewHTTP(cfg *HTTPConfig) (*HTTP, error) {
	c := &HTTP{}
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.Method == "" {
		c.cfg.Method = http.MethodGet
	}
	if c.cfg.Path == "" {
		c.cfg.Path = "/"
	}
	if len(c.cfg.Status) == 0 {
		c.cfg.Status = []StatusRange{{200, 299}}
	}
	c.cfg.Status = slices.Clone(c.cfg.Status)
	if c.cfg.MaxBody == 0 {
		c.cfg.MaxBody = DefaultMaxBody
	}
	header := make(http.Header, len(c.cfg.Header)+1)
	for _, k := range slices.Sorted(maps.Keys(c.cfg.Header)) { // of one name there may be several spellings
		name := http.CanonicalHeaderKey(k)
		header[name] = append(header[name], c.cfg.Header[k]...)
	}
	if _, own := header["User-Agent"]; !own {
		header.Set("User-Agent", "lvskit-health")
	}
	c.cfg.Header = header
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("http check: %w", err)
	}
	c.identity = c.describe()
	return c, nil
}

// validate checks the fields and derives from them what Check needs.
func (c *HTTP) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !isToken(c.cfg.Method) {
		bad("method %q is no HTTP method", c.cfg.Method)
	}
	u, err := url.ParseRequestURI(c.cfg.Path)
	switch {
	case !strings.HasPrefix(c.cfg.Path, "/") || strings.HasPrefix(c.cfg.Path, "//"):
		bad("path %q must begin with one slash", c.cfg.Path)
	case err != nil:
		bad("path: %w", err)
	default:
		c.url = *u
	}
	if strings.ContainsFunc(c.cfg.Host, isControl) || strings.ContainsAny(c.cfg.Host, "/@?# \t") {
		bad("host %q cannot stand in a Host header", c.cfg.Host)
	}
	for k, vs := range c.cfg.Header {
		if !isToken(k) {
			bad("header name %q is not valid", k)
		}
		if k == "Host" {
			bad("header Host: give it as host")
		}
		for _, v := range vs {
			if strings.ContainsFunc(v, isControl) {
				bad("header %s: value %q is not valid", k, v)
			}
		}
	}
	for _, r := range c.cfg.Status {
		if r.Min < 200 || r.Max > 999 || r.Min > r.Max {
			bad("status %v: want a range within 200-999", r)
		}
	}
	if c.cfg.MaxBody < 0 || c.cfg.MaxBody > maxMaxBody {
		bad("max body %d: want 0 for %d, or up to %d bytes", c.cfg.MaxBody, DefaultMaxBody, maxMaxBody)
	}
	if c.cfg.Redirects < 0 || c.cfg.Redirects > MaxRedirects {
		bad("redirects %d: want 0 for none, or up to %d", c.cfg.Redirects, MaxRedirects)
	}
	if c.cfg.HTTP2 && c.cfg.HTTP10 {
		bad("HTTP/2 and HTTP/1.0: want one of them")
	}
	if c.match, err = newHTTPMatch(&c.cfg); err != nil {
		bad("%w", err)
	}
	if t := c.cfg.TLS; t != nil {
		protocol := "http/1.1"
		if c.cfg.HTTP2 {
			protocol = "h2"
		}
		if c.tls, err = t.client(hostOnly(c.cfg.Host), protocol); err != nil {
			bad("%w", err)
		}
	}
	if err := c.cfg.Dial.validate(); err != nil {
		bad("%w", err)
	}
	return errors.Join(errs...)
}

// isToken tells whether s may be a method or a header name (RFC 9110, section
// 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isControl tells whether r may not stand in a header value (RFC 9110,
// section 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

func (c *HTTP) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "http %s %q host=%q status=%v", c.cfg.Method, c.cfg.Path, c.cfg.Host, c.cfg.Status)
	for _, k := range slices.Sorted(maps.Keys(c.cfg.Header)) {
		values := c.cfg.Header[k]
		if isSecretHeader(k) {
			values = []string{fingerprint(strings.Join(values, "\x00"))}
		}
		fmt.Fprintf(&b, " header=%q:%q", k, values)
	}
	b.WriteString(c.match.identity(c.cfg.MaxBody))
	if c.cfg.Redirects > 0 {
		fmt.Fprintf(&b, " redirects=%d", c.cfg.Redirects)
	}
	if c.cfg.HTTP2 {
		b.WriteString(" http2")
	}
	if c.cfg.HTTP10 {
		b.WriteString(" http1.0")
	}
	if t := c.cfg.TLS; t != nil {
		b.WriteString(t.identity(c.tls.ServerName))
	}
	b.WriteString(c.cfg.Dial.identity())
	return b.String()
}

// isSecretHeader tells whether a header is likely to hold what only the server
// should know, such as Authorization, Cookie, X-Api-Key or Private-Token.
func isSecretHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "cookie", "key", "token", "secret", "password"}, func(part string) bool {
		return strings.Contains(name, part)
	})
}

// Identity names the kind and the parameters of the check.
func (c *HTTP) Identity() string { return c.identity }

// Check asks once, and once more for each redirect that it follows.
func (c *HTTP) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	q := &httpQuestion{method: c.cfg.Method, url: c.url, host: c.cfg.Host}
	if q.host == "" {
		q.host = t.host()
	}
	for {
		if r, next := c.once(a, q); next == nil {
			return r
		} else {
			q = next
		}
	}
}

// httpQuestion is one request of a check.
type httpQuestion struct {
	method string
	url    url.URL
	host   string
	hops   int // redirects that led here
}

// once asks one question. It returns the next one if the answer is a redirect
// that is to be followed.
//
// It writes the request and reads the answer itself rather than through an
// http.Transport: a transport keeps two goroutines for each connection and
// hides where the time went.
func (c *HTTP) once(a *attempt, q *httpQuestion) (Result, *httpQuestion) {
	raw, err := a.open("tcp", &c.cfg.Dial)
	if err != nil {
		return a.failed("connect", err), nil
	}
	defer closeConn(raw, c.cfg.Graceful)
	defer guard(a.ctx, raw)()
	a.done("connect")

	conn := net.Conn(raw)
	if c.tls != nil {
		if conn, err = a.secure(raw, c.tls, &c.cfg.Dial); err != nil {
			return a.failed("tls", err), nil
		}
	}

	if c.cfg.HTTP2 {
		return c.overHTTP2(a, conn, q)
	}
	req := &http.Request{
		Method: q.method, URL: &q.url, Host: q.host, Header: c.cfg.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: true,
	}
	a.allow(raw, c.cfg.AnswerTimeout)
	if err := c.send(conn, req); err != nil {
		return a.failed("send", err), nil
	}
	a.done("send")
	return c.answer(a, conn, q, req)
}

// send writes the request. Package net/http writes HTTP/1.1 whatever the
// request says; a URL has no blanks, so the first version is that of the
// request line.
func (c *HTTP) send(conn net.Conn, req *http.Request) error {
	if !c.cfg.HTTP10 {
		return req.Write(conn)
	}
	var text bytes.Buffer
	if err := req.Write(&text); err != nil {
		return err
	}
	_, err := conn.Write(bytes.Replace(text.Bytes(), []byte(" HTTP/1.1\r\n"), []byte(" HTTP/1.0\r\n"), 1))
	return err
}

// answer reads the status, and the body where it matters.
func (c *HTTP) answer(a *attempt, conn net.Conn, q *httpQuestion, req *http.Request) (Result, *httpQuestion) {
	heard := &noted{Reader: conn}
	limit := &io.LimitedReader{R: heard, N: maxHeader}
	in := bufio.NewReader(limit)
	// A server of HTTP/2 begins with its settings, whatever it is asked: a
	// frame of type 4 on stream 0 (RFC 9113, sections 3.4 and 6.5).
	if first, _ := in.Peek(9); len(first) == 9 && first[0] == 0 && string(first[3:]) == "\x04\x00\x00\x00\x00\x00" {
		return a.wrong("read", "the server answers in HTTP/2: ask it in HTTP/2"), nil
	}
	resp, err := http.ReadResponse(in, req)
	// Interim answers come before the real one; the header bound limits them.
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(in, req)
	}
	if err != nil {
		if limit.N <= 0 {
			return a.wrong("read", "more than %d bytes of headers", maxHeader), nil
		}
		if heard.err != nil && heard.err != io.EOF {
			err = heard.err // half a line is not a malformed one
		}
		return a.failed("read", err), nil
	}
	return c.judge(a, q, resp, func() ([]byte, error) {
		// Room for the chunk framing of a body in small chunks.
		limit.N = int64(c.readLimit())*8 + maxHeader
		return io.ReadAll(io.LimitReader(resp.Body, int64(c.readLimit())))
	})
}

// noted is a reader that remembers how it ended: parsers take what had come
// before the end for all.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	got, err := n.Reader.Read(p)
	if err != nil {
		n.err = err
	}
	return got, err
}

// wantsBody tells whether the body matters.
func (c *HTTP) wantsBody() bool { return c.match.wantsBody() || c.load != nil }

// readLimit is how much of a body is read: one byte more than is compared,
// where it matters whether that was all.
func (c *HTTP) readLimit() int {
	if c.match.wantsAll() || c.load != nil {
		return c.cfg.MaxBody + 1
	}
	return c.cfg.MaxBody
}

// judge compares the status, the headers, and the body where it matters.
func (c *HTTP) judge(a *attempt, q *httpQuestion, resp *http.Response, readBody func() ([]byte, error)) (Result, *httpQuestion) {
	code, status := resp.StatusCode, clipText(resp.Status)
	a.see([]byte(resp.Proto + " " + resp.Status))
	if !slices.ContainsFunc(c.cfg.Status, func(r StatusRange) bool {
		return r.Min <= code && code <= r.Max
	}) {
		if c.cfg.Redirects == 0 || !isRedirect(code) {
			return a.wrong("read", "status %s, expected %s", status, statusText(c.cfg.Status)), nil
		}
		method, to, err := c.redirect(q.method, &q.url, q.host, resp.Header.Get("Location"), code)
		if err == nil && q.hops == c.cfg.Redirects {
			err = unwanted("status %s to %s, after %d redirects already", status, clip([]byte(to.RequestURI())), q.hops)
		}
		if err != nil {
			return a.wrong("read", "%v", err), nil
		}
		a.done("read")
		a.see([]byte(" "))
		return Result{}, &httpQuestion{method, *to, q.host, q.hops + 1}
	}
	if err := c.match.header(resp.Header); err != nil {
		return a.wrong("read", "status %d, but %v", code, err), nil
	}
	if !c.wantsBody() {
		return a.ok("read", "status "+status), nil
	}
	body, err := readBody()
	a.see([]byte(" "))
	a.see(body)
	if err != nil {
		return a.failed("read", err), nil
	}
	if err := c.match.content(body, c.cfg.MaxBody); err != nil {
		return a.wrong("read", "status %d, but %v", code, err), nil
	}
	if c.load != nil {
		l, err := c.load(body)
		if err != nil {
			return a.failedOr("read", err), nil
		}
		return a.loaded("read", l, ""), nil
	}
	return a.ok("read", "status "+status+", body as expected"), nil
}

// clipText quotes what a server says in words: as much as its usual
// complaints need.
func clipText(s string) string { return oneLine(s, 120) }

func statusText(ranges []StatusRange) string {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}
