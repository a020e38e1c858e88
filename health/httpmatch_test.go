package health_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// overBoth is a server of HTTP/1.1 and HTTP/2 without TLS.
func overBoth(h http.HandlerFunc) healthtest.Behavior {
	return func(_ context.Context, c net.Conn) {
		closed := make(chan struct{})
		s := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(closed)
			}
		}}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetUnencryptedHTTP2(true)
		_ = s.Serve(&single{Conn: c})
		<-closed
		_ = s.Close()
	}
}

func TestHTTPMatches(t *testing.T) {
	type cfg = health.HTTPConfig
	const page = `{"status": {"db": [{"ok": true, "lag": 1.50, "name": "a \"b\""}], "x.y": null}, "n": 12345678901234567890}`
	sum, old := fmt.Sprintf("%X", sha256.Sum256([]byte(page))), fmt.Sprintf("%x", md5.Sum([]byte(page)))
	value := func(path, value string) []health.JSONMatch { return []health.JSONMatch{{Path: path, Value: value}} }
	header := func(name, value string, regex bool) []health.HeaderMatch {
		return []health.HeaderMatch{{Name: name, Value: value, Regex: regex}}
	}
	serve := overBoth(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-State", "warm")
		w.Header().Add("X-State", "ready 7")
		_, _ = io.WriteString(w, page)
	})
	for name, tt := range map[string]struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		"SHA-256":                   {cfg{Digest: sum}, health.OK, "body as expected"},
		"MD5":                       {cfg{Digest: old}, health.OK, ""},
		"another digest":            {cfg{Digest: strings.Repeat("00", 16)}, health.Fail, "the digest of the " + fmt.Sprint(len(page)) + " bytes of the body is " + old + ", expected 00000000"},
		"digest at the limit":       {cfg{Digest: sum, MaxBody: len(page)}, health.OK, ""},
		"digest beyond the limit":   {cfg{Digest: sum, MaxBody: len(page) - 1}, health.Fail, "more than " + fmt.Sprint(len(page)-1) + " bytes, and all of it is needed; raise the limit"},
		"text before the limit":     {cfg{Body: "status", MaxBody: 20}, health.OK, ""},
		"word":                      {cfg{JSON: value("status.db[0].ok", "true")}, health.OK, "body as expected"},
		"number by value":           {cfg{JSON: value("status.db[0].lag", "1.5")}, health.OK, ""},
		"large number":              {cfg{JSON: value("n", "12345678901234567890")}, health.OK, ""},
		"not a large number nearby": {cfg{JSON: value("n", "12345678901234567891")}, health.Fail, "json \"n\" is"},
		"string":                    {cfg{JSON: value("status.db[0].name", `a "b"`)}, health.OK, ""},
		"name in brackets":          {cfg{JSON: value(`status["x.y"]`, "null")}, health.OK, ""},
		"another value":             {cfg{JSON: value("status.db[0].ok", "false")}, health.Fail, `json "status.db[0].ok" is "true", expected "false"`},
		"no such member":            {cfg{JSON: value("status.web", "1")}, health.Fail, `there is no member "web"`},
		"no such element":           {cfg{JSON: value("status.db[1]", "1")}, health.Fail, "there is no [1], the array has 1 elements"},
		"no array":                  {cfg{JSON: value("status[0]", "1")}, health.Fail, "no array to take [0] of"},
		"no object":                 {cfg{JSON: value("status.db.ok", "1")}, health.Fail, `no object to take "ok" of`},
		"an object":                 {cfg{JSON: value("status", "1")}, health.Fail, "an object or an array"},
		"all values":                {cfg{JSON: append(value("status.db[0].ok", "true"), value("n", "1")...)}, health.Fail, `json "n"`},
		"cut off JSON":              {cfg{JSON: value("n", "1"), MaxBody: 20}, health.Fail, "more than 20 bytes"},
		"header":                    {cfg{ExpectHeader: header("x-state", "ready 7", false)}, health.OK, "status 200 OK"},
		"header is there":           {cfg{ExpectHeader: header("X-State", "", false)}, health.OK, ""},
		"another header":            {cfg{ExpectHeader: header("X-State", "ready", false)}, health.Fail, `status 200, but header X-State is "warm", expected "ready"`},
		"header regex":              {cfg{ExpectHeader: header("X-State", `^ready \d$`, true)}, health.OK, ""},
		"header regex fails":        {cfg{ExpectHeader: header("X-State", `^ready$`, true)}, health.Fail, "which regex \"^ready$\" does not match"},
		"no header":                 {cfg{ExpectHeader: header("X-None", "", false)}, health.Fail, "there is no header X-None"},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%t", name, http2), func(t *testing.T) {
				t.Parallel()
				cfg := tt.cfg
				cfg.HTTP2 = http2
				want(t, check(t, newHTTP(t, &cfg), healthtest.NewServer(t, serve).Addr(), short), tt.want, tt.reason)
			})
		}
	}
	for name, body := range map[string]string{"no JSON": "<html>", "nothing": "", "two texts": "1 2", "deep": strings.Repeat("[", 30000) + strings.Repeat("]", 30000)} {
		t.Run(name, func(t *testing.T) {
			s := healthtest.NewServer(t, healthtest.Answer("HTTP/1.1 200 OK\r\n\r\n"+body))
			want(t, check(t, newHTTP(t, &cfg{JSON: value("a", "1")}), s.Addr(), short), health.Fail, "the text is no JSON")
		})
	}
}

// keepalived's digest is over the body alone, whatever the headers and the
// framing are.
func TestHTTPDigestIsOfTheBodyAlone(t *testing.T) {
	c := newHTTP(t, &health.HTTPConfig{Digest: fmt.Sprintf("%x", md5.Sum([]byte("hello world\n")))})
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n6\r\nhello \r\n6\r\nworld\n\r\n0\r\n\r\n",
		"close":  "HTTP/1.0 200 OK\r\n\r\nhello world\n",
	} {
		t.Run(name, func(t *testing.T) {
			want(t, check(t, c, healthtest.NewServer(t, healthtest.Answer(answer)).Addr(), short), health.OK, "body as expected")
		})
	}
}

func TestHTTPRedirects(t *testing.T) {
	var asked []string
	s := healthtest.NewServer(t, overBoth(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		to := r.URL.Query().Get("to")
		switch r.URL.Path {
		case "/end":
			_, _ = io.WriteString(w, "the end")
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/other":
			w.WriteHeader(http.StatusFound)
		default:
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusSeeOther)
		}
	}))
	const host = "www.example.org"
	for name, tt := range map[string]struct {
		path, method string
		redirects    int
		status       []health.StatusRange
		want         health.Verdict
		reason       string
		asked        []string
	}{
		"none are followed":    {"/a?to=/end", "", 0, nil, health.Fail, "status 303 See Other, expected 200-299", []string{"GET /a?to=/end"}},
		"one":                  {"/a?to=/end", "", 1, nil, health.OK, "status 200", []string{"GET /a?to=/end", "GET /end"}},
		"a whole address":      {"/a?to=http://" + host + "/end?x=1", "", 1, nil, health.OK, "", []string{"GET /a?to=http://" + host + "/end?x=1", "GET /end?x=1"}},
		"relative":             {"/a/b?to=../end", "POST", 1, nil, health.OK, "", []string{"POST /a/b?to=../end", "GET /end"}},
		"two, one too many":    {"/a?to=/b%3Fto=/end", "", 1, nil, health.Fail, `status 303 See Other to "/end", after 1 redirects already`, []string{"GET /a?to=/b%3Fto=/end", "GET /b?to=/end"}},
		"loop":                 {"/loop", "", 3, nil, health.Fail, "after 3 redirects already", []string{"GET /loop", "GET /loop", "GET /loop", "GET /loop"}},
		"another host":         {"/a?to=http://elsewhere.example/end", "", 3, nil, health.Fail, "which is not at http://www.example.org and so not followed", []string{"GET /a?to=http://elsewhere.example/end"}},
		"its usual port":       {"/a?to=http://" + host + ":80/end", "", 1, nil, health.OK, "", []string{"GET /a?to=http://" + host + ":80/end", "GET /end"}},
		"another port":         {"/a?to=http://" + host + ":81/end", "", 1, nil, health.Fail, "not followed", []string{"GET /a?to=http://" + host + ":81/end"}},
		"another scheme":       {"/a?to=https://www.example.org/end", "", 3, nil, health.Fail, "not followed", []string{"GET /a?to=https://www.example.org/end"}},
		"without a Location":   {"/other", "", 3, nil, health.Fail, "status 302 without a Location", []string{"GET /other"}},
		"the status is wanted": {"/a?to=/end", "", 3, []health.StatusRange{{303, 303}}, health.OK, "status 303", []string{"GET /a?to=/end"}},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%t", name, http2), func(t *testing.T) {
				asked = nil
				c := newHTTP(t, &health.HTTPConfig{Path: tt.path, Method: tt.method, Host: host, Redirects: tt.redirects, Status: tt.status, HTTP2: http2})
				want(t, check(t, c, s.Addr(), short), tt.want, tt.reason)
				if diff := cmp.Diff(tt.asked, asked); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A server that is asked by its address may leave out the port.
func TestHTTPRedirectToAnAddress(t *testing.T) {
	for _, host := range []string{"192.0.2.1:8080", "[2001:db8::1]:8080"} {
		bare := strings.TrimSuffix(host, ":8080")
		s := healthtest.NewServer(t, overBoth(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/end" {
				http.Redirect(w, r, "http://"+bare+"/end", http.StatusFound)
			}
		}))
		want(t, check(t, newHTTP(t, &health.HTTPConfig{Host: host, Redirects: 1}), s.Addr(), short), health.OK, "status 200")
	}
}
