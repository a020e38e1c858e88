package health_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// overTLS serves connections after a handshake.
func overTLS(cfg *tls.Config, serve func(net.Conn)) healthtest.Behavior {
	return func(ctx context.Context, c net.Conn) {
		conn := tls.Server(c, cfg)
		if conn.HandshakeContext(ctx) == nil {
			serve(conn)
		}
	}
}

func TestTLS(t *testing.T) {
	server, roots := certificate()
	server.NextProtos = []string{"h2"}
	leaf := server.Certificates[0].Leaf
	if leaf == nil {
		t.Fatal("the certificate is not parsed")
	}
	pin := fmt.Sprintf("%X", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	days := int(time.Until(leaf.NotAfter) / (24 * time.Hour))
	trust := health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}
	serve := overTLS(server, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	type cfg = health.TLSCheckConfig
	for name, tt := range map[string]struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		"chain and name":   {cfg{TLS: trust}, health.OK, "tls: TLS 1.3, the certificate is good for "},
		"address as name":  {cfg{TLS: health.TLSConfig{RootsPEM: roots}}, health.OK, ""},
		"wrong name":       {cfg{TLS: health.TLSConfig{RootsPEM: roots, ServerName: "other.example"}}, health.Fail, "other.example"},
		"unknown issuer":   {cfg{}, health.Fail, "tls: "},
		"anything":         {cfg{TLS: health.TLSConfig{SkipVerify: true}}, health.OK, ""},
		"pin":              {cfg{Pins: []string{strings.Repeat("00", 32), pin}}, health.OK, ""},
		"wrong pin":        {cfg{TLS: trust, Pins: []string{strings.Repeat("00", 32)}}, health.Fail, "tls: no key of the certificate is pinned; that of the server is " + strings.ToLower(pin)},
		"protocol":         {cfg{TLS: trust, ALPN: []string{"h3", "h2"}}, health.OK, "TLS 1.3, h2, "},
		"another protocol": {cfg{TLS: trust, ALPN: []string{"spdy"}}, health.Fail, "tls: "},
		"ends soon":        {cfg{TLS: trust, ExpiryDays: days + 2}, health.OK, fmt.Sprintf("WARNING: the certificate ends in %d days", days)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := check(t, must(health.NewTLS(&tt.cfg)), healthtest.NewServer(t, serve).Addr(), short)
			want(t, r, tt.want, tt.reason)
			warn := tt.cfg.ExpiryDays
			if warn == 0 {
				warn = health.DefaultExpiryDays
			}
			perf := []health.Perfdatum{{Label: "days_to_expiry", Value: float64(days), Warn: fmt.Sprintf("%d:", warn), Critical: "0:"}}
			if tt.want != health.OK {
				perf = nil
			}
			if diff := cmp.Diff(perf, r.Perf); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
	without, _ := certificate()
	s := healthtest.NewServer(t, overTLS(without, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }))
	want(t, check(t, must(health.NewTLS(&cfg{TLS: health.TLSConfig{SkipVerify: true}, ALPN: []string{"h2"}})), s.Addr(), short), health.Fail, "chooses none of the protocols h2")
	_, err := health.NewTLS(&cfg{Pins: []string{"abc"}, ALPN: []string{""}, ExpiryDays: -1})
	for _, part := range []string{`pin "abc"`, `alpn ""`, "expiry days -1"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
}

// single is a listener that has one connection to give.
type single struct {
	net.Conn
	taken bool
}

func (l *single) Accept() (net.Conn, error) {
	if l.taken {
		return nil, net.ErrClosed
	}
	l.taken = true
	return l.Conn, nil
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.LocalAddr() }

// grpcServer answers every call with a handler, over HTTP/2 from the first byte
// or over TLS.
func grpcServer(cfg *tls.Config, h http.HandlerFunc) healthtest.Behavior {
	return func(_ context.Context, c net.Conn) {
		conn := net.Conn(c)
		if cfg != nil {
			conn = tls.Server(c, cfg)
		}
		closed := make(chan struct{})
		s := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(closed)
			}
		}}
		s.Protocols.SetUnencryptedHTTP2(true)
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetHTTP2(true)
		_ = s.Serve(&single{Conn: conn})
		<-closed // the client is gone, or the test has ended
		_ = s.Close()
	}
}

// A server may go on showing a certificate that nobody needs any more, as those
// did whose issuer was once signed by another one that has ended since.
func TestTLSWithAnOldCertificateBeside(t *testing.T) {
	server, roots := certificate()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	old := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, old, old, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own := server.Certificates[0]
	own.Certificate = append(slices.Clone(own.Certificate), der)
	server.Certificates = []tls.Certificate{own}
	s := healthtest.NewServer(t, overTLS(server, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }))
	for skip, reason := range map[bool]string{false: "the certificate is good for ", true: "WARNING: the certificate ended on 2001-09-09"} {
		c := must(health.NewTLS(&health.TLSCheckConfig{TLS: health.TLSConfig{RootsPEM: roots, ServerName: "example.com", SkipVerify: skip}}))
		want(t, check(t, c, s.Addr(), short), health.OK, reason)
	}
}

func TestGRPC(t *testing.T) {
	// say answers as a gRPC server does, status in a trailer.
	say := func(body, status, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "POST" || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
				w.WriteHeader(400)
				return
			}
			w.Header().Set("Content-Type", "application/grpc")
			if body != "" {
				_, _ = w.Write([]byte(body))
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", message)
		}
	}
	const serving = "\x00\x00\x00\x00\x02\x08\x01"
	whole := must(health.NewGRPC(nil))
	named := must(health.NewGRPC(&health.GRPCConfig{Service: "shop.Cart", Authority: "shop.example"}))
	server, roots := certificate()
	server.NextProtos = []string{"h2"}
	play(t, map[string]conversation{
		"serving":     {whole, grpcServer(nil, say(serving, "0", "")), health.OK, "read: SERVING"},
		"not serving": {whole, grpcServer(nil, say("\x00\x00\x00\x00\x02\x08\x02", "0", "")), health.Fail, "read: NOT_SERVING"},
		"unknown":     {whole, grpcServer(nil, say("\x00\x00\x00\x00\x00", "0", "")), health.Fail, "UNKNOWN"},
		"new fields":  {whole, grpcServer(nil, say("\x00\x00\x00\x00\x0d\x12\x02hi\x08\x01\x18\x07\x1d1234", "0", "")), health.OK, "SERVING"},
		"cut off":     {whole, grpcServer(nil, say("\x00\x00\x00\x00\x09\x08\x01", "0", "")), health.Fail, "cannot be read"},
		"not known":   {named, grpcServer(nil, say("", "5", "unknown service")), health.Fail, `does not know the service "shop.Cart"`},
		"no health":   {whole, grpcServer(nil, say("", "12", "")), health.Fail, "no health service"},
		"overloaded":  {whole, grpcServer(nil, say("", "14", "try%20later")), health.Fail, "grpc-status 14 try later"},
		"a web page":  {whole, grpcServer(nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }), health.Fail, "no grpc-status"},
		"an error":    {whole, grpcServer(nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), health.Fail, "status 503 Service Unavailable"},
		"floods":      {whole, grpcServer(nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }), health.Fail, "no grpc-status"},
		"the question": {named, grpcServer(nil, func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, 100)
			n, _ := r.Body.Read(b)
			if string(b[:n]) == "\x00\x00\x00\x00\x0b\x0a\x09shop.Cart" && r.Host == "shop.example" {
				say(serving, "0", "")(w, r)
			}
		}), health.OK, "SERVING"},
		"over tls":              {must(health.NewGRPC(&health.GRPCConfig{TLS: &health.TLSConfig{RootsPEM: roots}})), grpcServer(server, say(serving, "0", "")), health.OK, "SERVING"},
		"HTTP/1.1":              {whole, healthtest.Say("HTTP/1.1 400 Bad Request\r\n\r\n"), health.Fail, "read: "},
		"settings, then closed": {whole, healthtest.SayAndClose("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), health.Fail, "by the server"},
		"goes away":             {whole, healthtest.Say("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b"), health.Fail, "ends the connection: ENHANCE_YOUR_CALM"},
		"resets the request":    {whole, healthtest.Say("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"), health.Fail, "ends the request: REFUSED_STREAM"},
	})
	_, err := health.NewGRPC(&health.GRPCConfig{Service: "\xff", Authority: "a b"})
	if err == nil || !strings.Contains(err.Error(), `authority "a b"`) || !strings.Contains(err.Error(), "service: want") {
		t.Errorf("error %v", err)
	}
}

func TestHTTP2(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Host != "www.example.com" || r.Header.Get("X-Check") != "yes" || r.UserAgent() != "lvskit-health" {
			w.WriteHeader(400)
			return
		}
		if r.URL.RequestURI() != "/up?deep=1" {
			w.WriteHeader(404)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("all is well ", 20_000))
	}
	server, roots := certificate()
	server.NextProtos = []string{"h2"}
	old, _ := certificate()
	ask := func(path, body string, secure *health.TLSConfig) health.Checker {
		return must(health.NewHTTP(&health.HTTPConfig{
			HTTP2: true, Path: path, Body: body, Host: "www.example.com", Header: http.Header{"X-Check": {"yes"}}, TLS: secure, MaxBody: 200_000,
		}))
	}
	trust := &health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}
	play(t, map[string]conversation{
		"in clear":       {ask("/up?deep=1", "", nil), grpcServer(nil, page), health.OK, "read: status 200 OK"},
		"body":           {ask("/up?deep=1", "well all", nil), grpcServer(nil, page), health.OK, "body as expected"},
		"wrong body":     {ask("/up?deep=1", "not well", nil), grpcServer(nil, page), health.Fail, `"not well" is not in the first 200000 bytes`},
		"not found":      {ask("/", "", nil), grpcServer(nil, page), health.Fail, "status 404 Not Found, expected 200-299"},
		"over tls":       {ask("/up?deep=1", "well", trust), grpcServer(server, page), health.OK, "body as expected"},
		"without h2":     {ask("/", "", &health.TLSConfig{SkipVerify: true}), overTLS(old, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), health.Fail, "tls: the server does not choose the protocol h2"},
		"HTTP/1.1 alone": {ask("/", "", nil), healthtest.Answer("HTTP/1.1 400 Bad Request\r\n\r\n"), health.Fail, `read: the server answers in HTTP/1, "HTTP/1.1 400 Bad Request"`},
		"not asked for":  {must(health.NewHTTP(nil)), healthtest.Say("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"), health.Fail, "read: the server answers in HTTP/2: ask it in HTTP/2"},
		"no tls at all":  {ask("/", "", trust), func(_ context.Context, c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, health.Fail, "tls: closed by the server during the handshake; does it speak TLS on this port?"},
	})
}

func TestDialogue(t *testing.T) {
	type steps = []health.DialogueStep
	of := func(s ...health.DialogueStep) health.Checker {
		return must(health.NewDialogue(health.DialogueConfig{Steps: s, Dial: health.Dial{AnswerTimeout: time.Second}}))
	}
	redis := of(
		health.DialogueStep{Send: "AUTH secret\r\n", Expect: "+OK"},
		health.DialogueStep{Send: "info replication\r\n", Expect: `role:(master|slave)\r\n`, Regex: true},
		health.DialogueStep{Send: "QUIT\r\n", Expect: "+OK"},
	)
	if strings.Contains(redis.Identity(), "secret") {
		t.Errorf("identity %s shows what is sent", redis.Identity())
	}
	info := healthtest.Dialogue(
		step{Hear: "AUTH secret\r\n", Say: "+OK\r\n"}, step{Hear: "info replication\r\n", Say: "$30\r\n# Replication\r\nrole:ma"}, step{Say: "ster\r\n"},
		step{Hear: "QUIT\r\n", Say: "+OK\r\n"},
	)
	hello := of(health.DialogueStep{Expect: "hello"}, health.DialogueStep{Send: "bye"})
	play(t, map[string]conversation{
		"redis":               {redis, info, health.OK, "step 3: all steps taken"},
		"text in the midst":   {hello, healthtest.Say("oh hello there"), health.OK, "step 2: all steps taken"},
		"a match counts once": {of(health.DialogueStep{Expect: "a"}, health.DialogueStep{Expect: "a"}), healthtest.SayAndClose("a"), health.Fail, "step 2: "},
		"two in one piece":    {of(health.DialogueStep{Expect: "a"}, health.DialogueStep{Expect: "a"}), healthtest.SayAndClose("aa"), health.OK, ""},
		"wrong, closed":       {hello, healthtest.SayAndClose("help"), health.Fail, `step 1: closed by the server after "help", expected "hello"`},
		"wrong, waits":        {hello, healthtest.Say("help"), health.Fail, `step 1: no answer in time, only "help" had come, expected "hello"`},
		"silent":              {hello, healthtest.Hang(), health.Fail, "step 1: no answer within"},
	})
	_, err := health.NewDialogue(health.DialogueConfig{Steps: steps{{}, {Expect: "(", Regex: true}}})
	if err == nil || !strings.Contains(err.Error(), "step 1: want something") || !strings.Contains(err.Error(), "step 2: expect: ") {
		t.Errorf("error %v", err)
	}
	if _, err := health.NewDialogue(health.DialogueConfig{}); err == nil {
		t.Error("a dialogue without steps is taken")
	}
}
