package health_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func newHTTP(t *testing.T, cfg *health.HTTPConfig) *health.HTTP {
	t.Helper()
	c, err := health.NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHTTPFollowsTheServer(t *testing.T) {
	var web healthtest.Web
	s := healthtest.NewServer(t, web.Serve)
	c := newHTTP(t, nil)
	want(t, check(t, c, s.Addr(), short), health.OK, "read: status 200 OK", "connect", "send", "read")
	web.SetStatus(503)
	want(t, check(t, c, s.Addr(), short), health.Fail, "read: status 503 Service Unavailable, expected 200-299")
	web.SetStatus(301)
	web.SetHeader(http.Header{"Location": {"http://" + s.Addr().String() + "/other"}})
	want(t, check(t, c, s.Addr(), short), health.Fail, "status 301")
	web.SetStatus(204)
	web.SetDelay(short)
	want(t, check(t, c, s.Addr(), hang), health.Fail, "read: no answer within")
	s.Down()
	want(t, check(t, c, s.Addr(), short), health.Fail, "connect: refused", "connect")
	for _, r := range web.Requests() {
		if r.URL.Path != "/" {
			t.Errorf("followed a redirect to %v", r.URL)
		}
	}
}

func TestHTTPAsksAsTold(t *testing.T) {
	var web healthtest.Web
	s := healthtest.NewServer(t, web.Serve)
	c := newHTTP(t, &health.HTTPConfig{
		Method: "HEAD", Path: "/alive?deep=1", Host: "www.example.org",
		Header: http.Header{"X-Check": {"yes", "really"}, "user-agent": {"mine"}},
	})
	want(t, check(t, c, s.Addr(), short), health.OK, "")
	want(t, check(t, newHTTP(t, nil), s.Addr(), short), health.OK, "")
	want(t, check(t, newHTTP(t, &health.HTTPConfig{Path: "/old", HTTP10: true}), s.Addr(), short), health.OK, "")
	rs := web.Requests()
	if len(rs) != 3 {
		t.Fatalf("%d requests", len(rs))
	}
	type asked struct {
		Method, URI, Host, Agent, Proto string
		Check                           []string
		Close                           bool
	}
	var got []asked
	for _, r := range rs {
		got = append(got, asked{r.Method, r.RequestURI, r.Host, r.UserAgent(), r.Proto, r.Header["X-Check"], r.Close})
	}
	if diff := cmp.Diff([]asked{
		{"HEAD", "/alive?deep=1", "www.example.org", "mine", "HTTP/1.1", []string{"yes", "really"}, true},
		{"GET", "/", s.Addr().String(), "lvskit-health", "HTTP/1.1", nil, true},
		{"GET", "/old", s.Addr().String(), "lvskit-health", "HTTP/1.0", nil, true},
	}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestHTTPAnswers(t *testing.T) {
	type cfg = health.HTTPConfig
	const head = "HTTP/1.1 200 OK\r\n"
	flood := head + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 200) + "\r\n"
	for name, tt := range map[string]struct {
		cfg    cfg
		answer string
		want   health.Verdict
		reason string
	}{
		"another status set":          {cfg{Status: []health.StatusRange{{301, 302}, {404, 404}}}, "HTTP/1.1 404 Not Found\r\n\r\n", health.OK, "status 404"},
		"out of another set":          {cfg{Status: []health.StatusRange{{301, 302}, {404, 404}}}, head + "\r\n", health.Fail, "expected 301-302,404"},
		"HTTP/1.0":                    {cfg{}, "HTTP/1.0 200 Fine\r\n\r\n", health.OK, "status 200 Fine"},
		"interim answers":             {cfg{}, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + head + "\r\n", health.OK, ""},
		"nothing but interim answers": {cfg{}, strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("y", 500)+"\r\n\r\n", 500), health.Fail, "bytes of headers"},
		"no HTTP":                     {cfg{}, "220 mail ready\r\n", health.Fail, "read: malformed HTTP"},
		"an empty answer":             {cfg{}, "", health.Fail, "closed by the server"},
		"half a header":               {cfg{}, "HTTP/1.1 200 OK\r\nContent-", health.Fail, "read: malformed"},
		"endless headers":             {cfg{}, flood, health.Fail, "bytes of headers"},
		"body":                        {cfg{Body: "alive"}, head + "Content-Length: 8\r\n\r\nI alive.", health.OK, "body as expected"},
		"wrong body":                  {cfg{Body: "alive"}, head + "Content-Length: 4\r\n\r\ndead", health.Fail, `"alive" is not in the first 4 bytes`},
		"body in chunks":              {cfg{Body: "alive"}, head + "Transfer-Encoding: chunked\r\n\r\n2\r\nal\r\n3\r\nive\r\n0\r\n\r\n", health.OK, ""},
		"body until the end":          {cfg{Body: "alive"}, head + "\r\nalive", health.OK, ""},
		"half a body":                 {cfg{Body: "alive"}, head + "Content-Length: 100\r\n\r\nal", health.Fail, "closed by the server"},
		"body beyond the bound":       {cfg{Body: "alive", MaxBody: 10}, head + "\r\n" + strings.Repeat("-", 10) + "alive", health.Fail, "first 10 bytes"},
		"body regex":                  {cfg{BodyRegex: `load: [0-3]\.\d+`}, head + "\r\nload: 2.71", health.OK, ""},
		"body regex fails":            {cfg{BodyRegex: `load: [0-3]\.\d+`}, head + "\r\nload: 8.00", health.Fail, "matches nothing"},
		"both must match":             {cfg{Body: "load", BodyRegex: `^x`}, head + "\r\nload", health.Fail, "regex"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := healthtest.NewServer(t, healthtest.Answer(tt.answer))
			want(t, check(t, newHTTP(t, &tt.cfg), s.Addr(), short), tt.want, tt.reason)
		})
	}
}

func TestHTTPOverTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil) // lends its certificate: example.com, 127.0.0.1
	cert.StartTLS()
	defer cert.Close()
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate().Raw})
	var web healthtest.Web
	names := make(chan string, 1)
	tlsConfig := &tls.Config{
		Certificates: cert.TLS.Certificates,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			select {
			case names <- hello.ServerName:
			default:
			}
			return nil, nil
		},
	}
	s := healthtest.NewServer(t, func(ctx context.Context, c net.Conn) {
		secure := tls.Server(c, tlsConfig)
		web.Serve(ctx, secure)
		secure.Close()
	})
	for name, tt := range map[string]struct {
		cfg    health.TLSConfig
		host   string
		want   health.Verdict
		reason string
		sni    string
	}{
		"verified by address":     {health.TLSConfig{RootsPEM: roots}, "", health.OK, "", ""},
		"verified by host":        {health.TLSConfig{RootsPEM: roots}, "example.com:443", health.OK, "", "example.com"},
		"verified by server name": {health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}, "other.example", health.OK, "", "example.com"},
		"wrong name":              {health.TLSConfig{RootsPEM: roots}, "other.example", health.Fail, "tls: ", "other.example"},
		"unknown authority":       {health.TLSConfig{}, "", health.Fail, "unknown authority", ""},
		"not verified":            {health.TLSConfig{SkipVerify: true}, "other.example", health.OK, "", "other.example"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newHTTP(t, &health.HTTPConfig{Host: tt.host, TLS: &tt.cfg})
			want(t, check(t, c, s.Addr(), short), tt.want, tt.reason)
			if sni := <-names; sni != tt.sni {
				t.Errorf("server name %q, want %q", sni, tt.sni)
			}
		})
	}
	plain := healthtest.NewServer(t, web.Serve)
	want(t, check(t, newHTTP(t, &health.HTTPConfig{TLS: &health.TLSConfig{}}), plain.Addr(), short), health.Fail, "tls: ", "connect", "tls")
	silent := healthtest.NewServer(t, healthtest.Hang())
	want(t, check(t, newHTTP(t, &health.HTTPConfig{TLS: &health.TLSConfig{}}), silent.Addr(), hang), health.Fail, "tls: no answer within", "connect", "tls")
}

func TestHTTPIsRefused(t *testing.T) {
	_, err := health.NewHTTP(&health.HTTPConfig{
		Method: "GET IT", Path: "http://elsewhere/", Host: "a b", Header: http.Header{"Bad Name": {"x"}, "Host": {"x"}, "V": {"a\r\nb"}},
		Status: []health.StatusRange{{100, 300}, {300, 200}}, BodyRegex: "(", MaxBody: -1, Digest: "abc", Redirects: 11, HTTP2: true, HTTP10: true,
		JSON: []health.JSONMatch{{Path: "a..b"}}, ExpectHeader: []health.HeaderMatch{{Name: "a b"}, {Name: "X", Value: "[", Regex: true}},
		TLS: &health.TLSConfig{RootsPEM: []byte("?")},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`method "GET IT"`, `path "http://elsewhere/"`, `host "a b"`, `header name "Bad Name"`, "header Host", "header V", "status 100-300", "status 300-200", "body regex", "max body -1", `digest "abc"`, "redirects 11", "HTTP/2 and HTTP/1.0", `json path "a..b"`, `expected header name "a b"`, "expected header X", "tls: no certificate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestHTTPIdentityTellsConfigurationsApart(t *testing.T) {
	seen := map[string]int{}
	for i, cfg := range []*health.HTTPConfig{
		nil,
		{Method: "HEAD"},
		{Path: "/x"},
		{Host: "x"},
		{Header: http.Header{"X": {"1"}}},
		{Header: http.Header{"X": {"2"}}},
		{Status: []health.StatusRange{{200, 200}}},
		{Body: "x"},
		{BodyRegex: "x"},
		{Body: "x", MaxBody: 1},
		{Digest: strings.Repeat("00", 32)},
		{Digest: strings.Repeat("00", 16)},
		{JSON: []health.JSONMatch{{Path: "a", Value: "b"}}},
		{JSON: []health.JSONMatch{{Path: "a", Value: "c"}}},
		{ExpectHeader: []health.HeaderMatch{{Name: "a", Value: "b"}}},
		{ExpectHeader: []health.HeaderMatch{{Name: "a", Value: "b", Regex: true}}},
		{Redirects: 1},
		{HTTP2: true},
		{HTTP10: true},
		{Dial: health.Dial{Graceful: true}},
		{TLS: &health.TLSConfig{}},
		{TLS: &health.TLSConfig{ServerName: "x"}},
		{TLS: &health.TLSConfig{SkipVerify: true}},
	} {
		id := newHTTP(t, cfg).Identity()
		if other, ok := seen[id]; ok {
			t.Errorf("configurations %d and %d are both %q", i, other, id)
		}
		seen[id] = i
		if newHTTP(t, cfg).Identity() != id {
			t.Errorf("configuration %d has no stable identity", i)
		}
	}
}
