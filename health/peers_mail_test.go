//go:build linux && peers

package health_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// account is who a program runs as that was started by [peer].
func account(t *testing.T) (name, group string) {
	t.Helper()
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	return u.Username, g.Name
}

func TestPeersMailStore(t *testing.T) {
	t.Parallel()
	imap, dir := freePort(t), openDir(t)
	pop := beside(t, imap)
	imaps, pops := beside(t, pop), beside(t, pop)
	trust := peerPair(t, dir)
	name, group := account(t)
	files(t, dir, map[string]string{"dovecot.conf": fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = imap pop3
listen = %[2]s
default_internal_user = %[3]s
default_internal_group = %[4]s
default_login_user = %[3]s
ssl = yes
ssl_cert = <%[1]s/cert
ssl_key = <%[1]s/key
mail_location = maildir:%[1]s/mail
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = %[6]d
    ssl = yes
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = %[7]d
  }
  inet_listener pop3s {
    port = %[8]d
    ssl = yes
  }
}
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=%[3]s gid=%[4]s home=%[1]s/home
}
`, dir, imap.Addr(), name, group, imap.Port(), imaps.Port(), pop.Port(), pops.Port())})
	ic := must(health.NewIMAP(nil))
	d := peer(t, ic, imap, dir, "dovecot", "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	stranger := trust
	stranger.ServerName = "example.net"
	type (
		im = health.IMAPConfig
		po = health.POP3Config
	)
	pc := must(health.NewPOP3(nil))
	for _, tt := range []struct {
		check   health.Checker
		addr    netip.AddrPort
		timeout time.Duration
		want    health.Verdict
		reason  string
		phases  []string
	}{
		{ic, imap, short, health.OK, "logout: greeted, and left", []string{"connect", "greeting", "logout"}},
		{must(health.NewIMAP(&im{TLS: &trust, StartTLS: true})), imap, short, health.OK, "logout: greeted, and left", []string{"connect", "greeting", "starttls", "tls", "logout"}},
		{must(health.NewIMAP(&im{TLS: &trust})), imaps, short, health.OK, "logout: greeted, and left", []string{"connect", "tls", "greeting", "logout"}},
		{must(health.NewIMAP(&im{User: "probe", Password: "secret", TLS: &trust, StartTLS: true})), imap, short, health.OK, "logout: logged in, and left", []string{"connect", "greeting", "starttls", "tls", "login", "logout"}},
		{must(health.NewIMAP(&im{User: "probe", Password: "wrong", TLS: &trust})), imaps, short, health.Fail, "login: answer \"a3 NO [AUTHENTICATIONFAILED]", nil},
		{must(health.NewPOP3(&po{User: "probe", Password: "secret", TLS: &trust})), pops, short, health.OK, "quit: logged in, and left", []string{"connect", "tls", "greeting", "user", "pass", "quit"}},
		{must(health.NewPOP3(&po{User: "probe", Password: "wrong", TLS: &trust})), pops, short, health.Fail, "pass: answer \"-ERR [AUTH]", nil},
		{must(health.NewIMAP(&im{TLS: &trust})), imap, short, health.Fail, `tls: the server answers "* OK ", which is no TLS`, nil},
		{must(health.NewIMAP(&im{TLS: &stranger, StartTLS: true})), imap, short, health.Fail, "tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not example.net", nil},
		// It waits for us, as we for it.
		{ic, imaps, hang, health.Fail, "greeting: no answer within ", nil},
		{ic, pop, short, health.Fail, `greeting: greeting "+OK Dovecot (Debian) ready.", expected * OK`, nil},
		{pc, pop, short, health.OK, "quit: greeted, and left", []string{"connect", "greeting", "quit"}},
		{must(health.NewPOP3(&po{TLS: &trust, StartTLS: true})), pop, short, health.OK, "quit: greeted, and left", []string{"connect", "greeting", "stls", "tls", "quit"}},
		{must(health.NewPOP3(&po{TLS: &trust})), pops, short, health.OK, "quit: greeted, and left", []string{"connect", "tls", "greeting", "quit"}},
		{must(health.NewPOP3(&po{TLS: &stranger})), pops, short, health.Fail, "not example.net", nil},
		{pc, imap, short, health.Fail, `greeting: answer "* OK [CAPABILITY IMAP4rev1`, nil},
	} {
		want(t, check(t, tt.check, tt.addr, tt.timeout), tt.want, tt.reason, tt.phases...)
	}
	d.ends(t, ic, imap, "greeting", "connect")
}

func TestPeersMail(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("postfix wants root")
	}
	smtp, dir := freePort(t), openDir(t)
	smtps, noTLS := beside(t, smtp), beside(t, smtp)
	closed, screen := beside(t, smtps), beside(t, smtps)
	trust := peerPair(t, dir)
	const lib = "/usr/lib/postfix/sbin"
	files(t, dir, map[string]string{
		"etc/main.cf": fmt.Sprintf(`
compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
daemon_directory = %[2]s
maillog_file = /dev/stdout
myhostname = mail.example.com
inet_protocols = ipv4
smtpd_tls_cert_file = %[1]s/cert
smtpd_tls_key_file = %[1]s/key
smtpd_tls_security_level = may
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = reject
`, dir, lib),
		"etc/master.cf": fmt.Sprintf(`
%s inet n - n - - smtpd
%s inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
%s inet n - n - - smtpd -o smtpd_tls_security_level=none
%s inet n - n - - smtpd -o smtpd_client_restrictions=reject -o smtpd_delay_reject=no
%s inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
postlog unix-dgram n - n - 1 postlogd
`, smtp, smtps, noTLS, closed, screen),
	})
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	for _, sub := range []string{"spool", "spool/pid", "spool/public", "spool/private", "spool/active", "spool/incoming", "data"} {
		path := filepath.Join(dir, sub)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if sub != "spool" && sub != "spool/pid" {
			if err := os.Chown(path, uid, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := must(health.NewSMTP(nil))
	cmd := exec.Command(installed(t, lib+"/master"), "-c", filepath.Join(dir, "etc"), "-d")
	d := start(t, cmd)
	d.wait(t, c, smtp, health.OK)
	type cfg = health.SMTPConfig
	stranger := trust
	stranger.ServerName = "example.net"
	for _, tt := range []struct {
		cfg    cfg
		addr   netip.AddrPort
		want   health.Verdict
		reason string
		phases []string
	}{
		{cfg{}, smtp, health.OK, "quit: greeted, and left", []string{"connect", "greeting", "ehlo", "quit"}},
		{cfg{TLS: &trust, StartTLS: true}, smtp, health.OK, "quit: greeted, and left", []string{"connect", "greeting", "ehlo", "starttls", "tls", "ehlo", "quit"}},
		{cfg{TLS: &trust}, smtps, health.OK, "quit: greeted, and left", []string{"connect", "tls", "greeting", "ehlo", "quit"}},
		{cfg{TLS: &stranger, StartTLS: true}, smtp, health.Fail, "tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not example.net", nil},
		{cfg{TLS: &trust}, smtp, health.Fail, `tls: the server answers "220 m", which is no TLS`, nil},
		{cfg{TLS: &trust, StartTLS: true}, noTLS, health.Fail, "ehlo: the server does not offer STARTTLS", nil},
		{cfg{}, closed, health.Fail, "greeting: answer 554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied, expected 220", nil},
		{cfg{}, screen, health.OK, "quit: greeted, and left", nil},
	} {
		want(t, check(t, must(health.NewSMTP(&tt.cfg)), tt.addr, short), tt.want, tt.reason, tt.phases...)
	}
	want(t, check(t, c, smtps, hang), health.Fail, "greeting: no answer within ")
	d.ends(t, c, smtp, "greeting", "connect")
}
