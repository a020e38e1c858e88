//go:build linux && peers

package health_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
)

func TestPeersWeb(t *testing.T) {
	t.Parallel()
	tlsAddr, dir := freePort(t), openDir(t)
	plain := beside(t, tlsAddr)
	clear2 := beside(t, plain)
	trust := peerPair(t, dir)
	files(t, dir, map[string]string{
		"users": "probe:{PLAIN}secret\n",
		"nginx.conf": fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  ssl_certificate %[1]s/cert; ssl_certificate_key %[1]s/key;
  server {
    listen %[2]s ssl http2; listen %[3]s; listen %[4]s http2;
    location / { return 404; }
    location /up { return 200 "all is well\n"; }
    location /far { return 302 http://192.0.2.1/; }
    location /mine { auth_basic "mine"; auth_basic_user_file %[1]s/users; try_files /cert =404; root %[1]s; }
  }
}
`, dir, tlsAddr, plain, clear2),
	})
	c := must(health.NewTLS(&health.TLSCheckConfig{TLS: trust, ALPN: []string{"h2"}}))
	d := peer(t, c, tlsAddr, dir, "nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	want(t, check(t, c, tlsAddr, short), health.OK, ", h2, the certificate is good for")
	want(t, check(t, must(health.NewTLS(&health.TLSCheckConfig{TLS: trust, Pins: []string{strings.Repeat("ab", 32)}})), tlsAddr, short), health.Fail, "no key of the certificate is pinned")
	// HTTP/2 frames with a server that is no gRPC.
	want(t, check(t, must(health.NewGRPC(&health.GRPCConfig{TLS: &trust})), tlsAddr, short), health.Fail, "status 404 Not Found, expected 200")

	login := func(user string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user))}}
	}
	stranger := trust
	stranger.ServerName = "example.net"
	type cfg = health.HTTPConfig
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{Path: "/up", Body: "all is well"}, health.OK, "read: status 200 OK, body as expected"},
		{cfg{Path: "/up", Body: "all is lost"}, health.Fail, `read: status 200, but "all is lost" is not in the first 12 bytes of the body`},
		{cfg{Path: "/up", BodyRegex: "(?m)^all is w.*l$"}, health.OK, "body as expected"},
		{cfg{Path: "/up", Method: "HEAD"}, health.OK, "status 200 OK"},
		{cfg{Path: "/"}, health.Fail, "status 404 Not Found, expected 200-299"},
		{cfg{Path: "/far"}, health.Fail, "status 302"},
		{cfg{Path: "/mine", Header: login("probe:secret"), Body: "BEGIN CERTIFICATE"}, health.OK, "status 200 OK"},
		{cfg{Path: "/mine", Header: login("probe:wrong")}, health.Fail, "status 401 Unauthorized"},
		{cfg{Path: "/mine"}, health.Fail, "status 401 Unauthorized"},
	} {
		for _, two := range []bool{false, true} {
			tt.cfg.HTTP2 = two
			addr := plain
			if two {
				addr = clear2
			}
			tt.cfg.TLS = nil
			want(t, check(t, must(health.NewHTTP(&tt.cfg)), addr, short), tt.want, tt.reason)
			tt.cfg.TLS = &trust
			want(t, check(t, must(health.NewHTTP(&tt.cfg)), tlsAddr, short), tt.want, tt.reason)
		}
	}
	want(t, check(t, must(health.NewHTTP(&cfg{Path: "/up", TLS: &stranger})), tlsAddr, short), health.Fail, "certificate is valid for example.com")
	want(t, check(t, must(health.NewHTTP(&cfg{Path: "/up", TLS: &trust})), plain, short), health.Fail, `tls: the server answers "HTTP/", which is no TLS`)
	want(t, check(t, must(health.NewHTTP(&cfg{Path: "/up"})), tlsAddr, short), health.Fail, "status 400 Bad Request")
	want(t, check(t, must(health.NewHTTP(&cfg{Path: "/up", HTTP2: true})), plain, short), health.Fail, "read: the server answers in HTTP/1")
	want(t, check(t, must(health.NewHTTP(&cfg{Path: "/up"})), clear2, short), health.Fail, "read: the server answers in HTTP/2: ask it in HTTP/2")
	d.ends(t, must(health.NewHTTP(&cfg{Path: "/up"})), plain, "read", "connect")
}
