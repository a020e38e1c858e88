//go:build linux && peers

package health_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/lvskit/lvskit/health"
)

func TestPeersLDAP(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	trust := peerPair(t, dir)
	type cfg = health.LDAPConfig
	serve := func(name, lines string, c health.Checker) (d *daemon, plain, secure netip.AddrPort) {
		plain = freePort(t)
		secure = beside(t, plain)
		files(t, dir, map[string]string{
			name + "/empty": "",
			name + ".conf": fmt.Sprintf(`pidfile %[1]s/%[2]s.pid
argsfile %[1]s/%[2]s.args
include /etc/ldap/schema/core.schema
TLSCertificateFile %[1]s/cert
TLSCertificateKeyFile %[1]s/key
%[3]s
database ldif
directory %[1]s/%[2]s
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw secret
`, dir, name, lines),
		})
		return peer(t, c, plain, dir, "slapd", "-d", "0", "-f", dir+"/"+name+".conf", "-h", fmt.Sprintf("ldap://%v/ ldaps://%v/", plain, secure)), plain, secure
	}
	const admin = "cn=admin,dc=example,dc=com"
	c := must(health.NewLDAP(nil))
	stranger := trust
	stranger.ServerName = "example.net"
	d, plain, secure := serve("open", "", c)
	_, strict, _ := serve("strict", "disallow bind_anon\nsecurity simple_bind=64", must(health.NewTCP(nil)))
	for _, tt := range []struct {
		cfg    cfg
		addr   netip.AddrPort
		want   health.Verdict
		reason string
		phases []string
	}{
		{cfg{}, plain, health.OK, "bind: bound", []string{"connect", "bind"}},
		{cfg{BindDN: admin, Password: "secret"}, plain, health.OK, "bind: bound", nil},
		{cfg{BindDN: admin, Password: "secret", TLS: &trust, StartTLS: true}, plain, health.OK, "bind: bound", []string{"connect", "starttls", "tls", "bind"}},
		{cfg{BindDN: admin, Password: "secret", TLS: &trust}, secure, health.OK, "bind: bound", []string{"connect", "tls", "bind"}},
		{cfg{BindDN: admin, Password: "wrong"}, plain, health.Fail, "bind: result 49 invalid credentials", nil},
		{cfg{BindDN: "admin", Password: "secret"}, plain, health.Fail, "bind: result 34 invalid DN", nil},
		{cfg{TLS: &stranger, StartTLS: true}, plain, health.Fail, "not example.net", nil},
		{cfg{}, secure, health.Fail, "bind: closed by the server before the answer was complete", nil},
		{cfg{TLS: &trust}, plain, health.Fail, "tls: closed by the server during the handshake; does it speak TLS on this port?", nil},
		{cfg{}, strict, health.Fail, "bind: result 48 inappropriate authentication (does it forbid anonymous binds?)", nil},
		{cfg{BindDN: admin, Password: "secret"}, strict, health.Fail, "bind: result 13 confidentiality required", nil},
		{cfg{BindDN: admin, Password: "secret", TLS: &trust, StartTLS: true}, strict, health.OK, "bind: bound", nil},
	} {
		want(t, check(t, must(health.NewLDAP(&tt.cfg)), tt.addr, short), tt.want, tt.reason, tt.phases...)
	}
	d.ends(t, c, plain, "bind", "connect")
}

func TestPeersRADIUS(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	account := beside(t, addr)
	if err := os.Chmod(dir, 0o755); err != nil { // it trusts no folder that all may write to
		t.Fatal(err)
	}
	files(t, dir, map[string]string{
		"users": "probe Cleartext-Password := \"secret\"\n",
		"radiusd.conf": fmt.Sprintf(`
libdir = /usr/lib/freeradius
logdir = %[1]s
raddbdir = %[1]s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
log {
	destination = stdout
}
security {
	reject_delay = 0
	status_server = yes
}
client director {
	ipaddr = 127.0.0.1
	secret = shared
}
modules {
	pap {
	}
	files {
		filename = %[1]s/users
	}
	always ok {
		rcode = ok
	}
}
server default {
	listen {
		type = auth
		ipaddr = %[2]s
		port = %[3]d
	}
	listen {
		type = acct
		ipaddr = %[2]s
		port = %[4]d
	}
	authorize {
		files
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
	preacct {
		ok
	}
	accounting {
		ok
	}
}
`, dir, addr.Addr(), addr.Port(), account.Port()),
	})
	type cfg = health.RADIUSConfig
	c := must(health.NewRADIUS(&cfg{Secret: "shared"}))
	d := peer(t, c, addr, dir, "freeradius", "-f", "-l", "stdout", "-d", dir, "-n", "radiusd")
	want(t, check(t, must(health.NewRADIUS(&cfg{Secret: "shared"})), account, short), health.OK, "read: Accounting-Response")
	elsewhere := health.Dial{Source: netip.MustParseAddr("127.1.1.1")}
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{Secret: "shared"}, health.OK, "read: Access-Accept"},
		{cfg{Secret: "shared", User: "probe", Password: "secret"}, health.OK, "read: Access-Accept"},
		{cfg{Secret: "shared", User: "probe", Password: "wrong"}, health.Fail, "read: Access-Reject: the server refuses user and password"},
		{cfg{Secret: "shared", User: "probe", Password: "wrong", AllowReject: true}, health.OK, "read: the server judged, and does not let the user in"},
		{cfg{Secret: "shared", User: "nobody", Password: "x"}, health.Fail, "read: Access-Reject"},
		{cfg{Secret: "other"}, health.Fail, "; a RADIUS server is silent to a client it does not know, or with another secret"},
		{cfg{Secret: "shared", Dial: elsewhere}, health.Fail, "; a RADIUS server is silent to a client it does not know, or with another secret"},
	} {
		limit := short
		if tt.cfg.Secret == "other" || tt.cfg.Dial.Source.IsValid() {
			limit = hang
		}
		want(t, check(t, must(health.NewRADIUS(&tt.cfg)), addr, limit), tt.want, tt.reason)
	}
	d.ends(t, c, addr, "read", "read")
}
