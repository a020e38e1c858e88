//go:build linux && peers

package health_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// nobody is who the programs run as when we are root.
const nobody = 65534

// freePort is a port of 127.0.0.1 on which nothing listened a moment ago, over
// TCP and UDP.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// peer starts a real program as a child without privileges, in a folder of its
// own, and waits until the check that proves it is up is OK.
func peer(t *testing.T, up health.Checker, addr netip.AddrPort, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var r health.Result
	for range 500 {
		if r = up.Check(t.Context(), health.Target{Addr: addr}); r.Verdict == health.OK {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not come up: %s: %s", program, r.Reason, said)
}

// openDir is a folder that the programs may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvskit-peers-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPeersRedis(t *testing.T) {
	addr := freePort(t)
	peer(t, must(health.NewRedis(nil)), addr, openDir(t), "redis-server",
		"--bind", "127.0.0.1", "--port", fmt.Sprint(addr.Port()), "--save", "", "--requirepass", "secret")
	type cfg = health.RedisConfig
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{}, health.OK, "ping: alive, wants a password"},
		{cfg{Password: "secret"}, health.OK, "ping: PONG"},
		{cfg{Username: "default", Password: "secret"}, health.OK, "PONG"},
		{cfg{Password: "wrong"}, health.Fail, "WRONGPASS"},
		{cfg{Password: "secret", Role: "master"}, health.OK, "role: role master"},
		{cfg{Password: "secret", Role: "slave"}, health.Fail, `role "master", expected slave`},
		{cfg{Role: "master"}, health.Fail, "NOAUTH"},
	} {
		want(t, check(t, must(health.NewRedis(&tt.cfg)), addr, short), tt.want, tt.reason)
	}
	steps := must(health.NewDialogue(health.DialogueConfig{Steps: []health.DialogueStep{
		{Send: "AUTH secret\r\n", Expect: "+OK\r\n"},
		{Send: "INFO replication\r\n", Expect: "role:master\r\n"},
		{Send: "QUIT\r\n", Expect: "+OK\r\n"},
	}}))
	want(t, check(t, steps, addr, short), health.OK, "step 3: all steps taken")
	// A replica that has never met its master serves nothing.
	replica := freePort(t)
	peer(t, must(health.NewRedis(&cfg{Role: "slave"})), replica, openDir(t), "redis-server",
		"--bind", "127.0.0.1", "--port", fmt.Sprint(replica.Port()), "--save", "",
		"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
	want(t, check(t, must(health.NewRedis(nil)), replica, short), health.Fail, "MASTERDOWN")
}

func TestPeersMemcached(t *testing.T) {
	addr := freePort(t)
	c := must(health.NewMemcached(nil))
	peer(t, c, addr, openDir(t), "memcached", "-l", "127.0.0.1", "-p", fmt.Sprint(addr.Port()), "-m", "8", "-t", "1")
	want(t, check(t, c, addr, short), health.OK, "version: memcached 1.")
	want(t, check(t, must(health.NewRedis(nil)), addr, short), health.Fail, "ERROR")
}

func TestPeersDNS(t *testing.T) {
	addr := freePort(t)
	type cfg = health.DNSConfig
	peer(t, must(health.NewDNS(&cfg{Name: "www.example.com", Type: "A", TCP: true})), addr, openDir(t), "/usr/sbin/dnsmasq",
		"--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--log-facility=-", "--port="+fmt.Sprint(addr.Port()),
		"--listen-address=127.0.0.1", "--bind-interfaces", "--user=", "--group=",
		"--address=/www.example.com/192.0.2.7", "--txt-record=t.example.com,hello", "--local=/example.com/",
		"--mx-host=example.com,mx.example.com,10", "--srv-host=_sip._udp.example.com,sip.example.com,5060", "--ptr-record=7.2.0.192.in-addr.arpa,www.example.com")
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{Name: "www.example.com", Type: "A", Answer: "192.0.2.7"}, health.OK, "the answer has 192.0.2.7"},
		{cfg{Name: "www.example.com", Type: "A", Answer: "192.0.2.8"}, health.Fail, `the last one is "192.0.2.7"`},
		{cfg{Name: "t.example.com", Type: "TXT", Answer: "hello"}, health.OK, ""},
		{cfg{Name: "example.com", Type: "MX", Answer: "mx.example.com"}, health.OK, ""},
		{cfg{Name: "_sip._udp.example.com", Type: "SRV", Answer: "sip.example.com."}, health.OK, ""},
		{cfg{Name: "7.2.0.192.in-addr.arpa", Type: "PTR", Answer: "www.example.com"}, health.OK, ""},
		{cfg{Name: "none.example.com", Type: "A"}, health.Fail, "NXDOMAIN"},
		{cfg{Name: "none.example.com", Type: "A", RCodes: []int{0, 3}}, health.OK, "NXDOMAIN"},
		{cfg{}, health.Fail, "REFUSED to . SOA"},
	} {
		for _, tcp := range []bool{false, true} {
			tt.cfg.TCP = tcp
			want(t, check(t, must(health.NewDNS(&tt.cfg)), addr, short), tt.want, tt.reason)
		}
	}
}

func TestPeersTLS(t *testing.T) {
	addr, dir := freePort(t), openDir(t)
	server, roots := certificate()
	key, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  ssl_certificate %[1]s/cert; ssl_certificate_key %[1]s/key;
  server { listen %[2]s ssl http2; location / { return 404; } location /up { return 200 "all is well\n"; } }
}
`, dir, addr)
	for name, content := range map[string]string{
		"nginx.conf": conf, "cert": string(roots), "key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	trust := health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}
	c := must(health.NewTLS(&health.TLSCheckConfig{TLS: trust, ALPN: []string{"h2"}}))
	peer(t, c, addr, dir, "/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	want(t, check(t, c, addr, short), health.OK, ", h2, the certificate is good for")
	want(t, check(t, must(health.NewTLS(&health.TLSCheckConfig{TLS: trust, Pins: []string{strings.Repeat("ab", 32)}})), addr, short), health.Fail, "no key of the certificate is pinned")
	web := must(health.NewHTTP(&health.HTTPConfig{HTTP2: true, Path: "/up", Body: "all is well", TLS: &trust}))
	want(t, check(t, web, addr, short), health.OK, "status 200 OK, body as expected")
	// HTTP/2 frames with a server that is no gRPC.
	want(t, check(t, must(health.NewGRPC(&health.GRPCConfig{TLS: &trust})), addr, short), health.Fail, "status 404 Not Found, expected 200")
}
