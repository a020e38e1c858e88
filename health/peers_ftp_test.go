//go:build linux && peers

package health_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
)

func TestPeersFTP(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	trust := peerPair(t, dir)
	type cfg = health.FTPConfig
	serve := func(name string, c health.Checker, lines string) (*daemon, netip.AddrPort) {
		addr := freePort(t)
		files(t, dir, map[string]string{name: fmt.Sprintf(`listen=YES
background=NO
run_as_launching_user=YES
listen_address=%s
listen_port=%d
secure_chroot_dir=%s
seccomp_sandbox=NO
local_enable=NO
anonymous_enable=YES
rsa_cert_file=%[3]s/cert
rsa_private_key_file=%[3]s/key
allow_anon_ssl=YES
ssl_ciphers=HIGH
%[4]s`, addr.Addr(), addr.Port(), dir, lines)})
		return peer(t, c, addr, dir, "vsftpd", dir+"/"+name), addr
	}
	c := must(health.NewFTP(nil))
	explicit := must(health.NewFTP(&cfg{TLS: &trust, StartTLS: true}))
	implicit := must(health.NewFTP(&cfg{TLS: &trust}))
	stranger := trust
	stranger.ServerName = "example.net"
	d, addr := serve("explicit.conf", c, "ssl_enable=YES\n")
	_, over := serve("implicit.conf", implicit, "ssl_enable=YES\nimplicit_ssl=YES\n")
	_, plain := serve("plain.conf", c, "max_clients=1\n")
	want(t, check(t, c, addr, short), health.OK, "quit: greeted, and left", "connect", "greeting", "quit")
	want(t, check(t, explicit, addr, short), health.OK, "quit: greeted, and left", "connect", "greeting", "auth", "tls", "quit")
	want(t, check(t, implicit, over, short), health.OK, "quit: greeted, and left", "connect", "tls", "greeting", "quit")
	want(t, check(t, must(health.NewFTP(&cfg{TLS: &stranger, StartTLS: true})), addr, short), health.Fail, "not example.net")
	want(t, check(t, implicit, addr, short), health.Fail, `tls: the server answers "220 (", which is no TLS`)
	want(t, check(t, explicit, plain, short), health.Fail, "auth: the server does not agree to TLS: answer 530 Please login with USER and PASS., expected 234")
	want(t, check(t, c, over, hang), health.Fail, "greeting: no answer within ")
	want(t, check(t, must(health.NewFTP(&cfg{User: "anonymous", Password: "probe@example.com", TLS: &trust, StartTLS: true})), addr, short), health.OK, "quit: logged in, and left", "connect", "greeting", "auth", "tls", "user", "pass", "quit")
	want(t, check(t, must(health.NewFTP(&cfg{User: "nobody-of-that-name", Password: "x"})), plain, short), health.Fail, "answer 530 ")
	// The one that there may be, once the last one is forgotten.
	for welcome := ""; !strings.HasPrefix(welcome, "220"); {
		one, err := net.Dial("tcp", plain.String())
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		if welcome, err = bufio.NewReader(one).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	want(t, check(t, c, plain, short), health.Fail, "greeting: answer 421 There are too many connected users, please try later., expected 220")
	d.ends(t, c, addr, "greeting", "connect")
}
