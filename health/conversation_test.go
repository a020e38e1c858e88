package health_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// must returns the check of a constructor that has to succeed.
func must[C health.Checker](c C, err error) health.Checker {
	if err != nil {
		panic(err)
	}
	return c
}

type step = healthtest.Step

// certificate is a server's TLS set-up and the roots that vouch for it, for
// example.com and 127.0.0.1.
func certificate() (*tls.Config, []byte) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// conversations are all checks that hold a conversation over TCP, each with
// servers that they like or do not like.
type conversation struct {
	check  health.Checker
	server healthtest.Behavior
	want   health.Verdict
	reason string
}

func play(t *testing.T, table map[string]conversation) {
	t.Helper()
	for name, tt := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := healthtest.NewServer(t, tt.server)
			want(t, check(t, tt.check, s.Addr(), short), tt.want, tt.reason)
		})
	}
}

// talkers are checks of every kind that wants an answer over TCP, in several
// forms.
func talkers() []health.Checker {
	tlsToo := &health.TLSConfig{SkipVerify: true}
	return []health.Checker{
		must(health.NewSMTP(nil)),
		must(health.NewSMTP(&health.SMTPConfig{TLS: tlsToo})),
		must(health.NewSMTP(&health.SMTPConfig{TLS: tlsToo, StartTLS: true})),
		must(health.NewPOP3(nil)),
		must(health.NewIMAP(nil)),
		must(health.NewFTP(nil)),
		must(health.NewNNTP(nil)),
		must(health.NewRedis(nil)),
		must(health.NewRedis(&health.RedisConfig{Role: "master", Password: "x"})),
		must(health.NewMemcached(nil)),
		must(health.NewMySQL(nil)),
		must(health.NewMySQL(&health.MySQLConfig{User: "lb", Password: "x", TLS: tlsToo})),
		must(health.NewPostgres(nil)),
		must(health.NewPostgres(&health.PostgresConfig{User: "lb", TLS: tlsToo})),
		must(health.NewLDAP(nil)),
		must(health.NewLDAP(&health.LDAPConfig{TLS: tlsToo, StartTLS: true})),
		must(health.NewAJP(nil)),
		must(health.NewAgent(nil)),
		must(health.NewTLS(&health.TLSCheckConfig{TLS: *tlsToo})),
		must(health.NewGRPC(nil)),
		must(health.NewHTTP(&health.HTTPConfig{HTTP2: true})),
		must(health.NewGRPC(&health.GRPCConfig{TLS: tlsToo})),
		must(health.NewDialogue(health.DialogueConfig{Steps: []health.DialogueStep{{Expect: "never"}}})),
		must(health.NewDNS(&health.DNSConfig{TCP: true})),
		must(health.NewDNS(&health.DNSConfig{TLS: tlsToo})),
		must(health.NewSIP(&health.SIPConfig{TCP: true})),
		must(health.NewSIP(&health.SIPConfig{TLS: tlsToo})),
	}
}

func TestIdentitiesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range append(talkers(), askers()...) {
		if id := c.Identity(); seen[id] || strings.ContainsAny(id, "\r\n") {
			t.Errorf("identity %q is there twice or no line", id)
		} else {
			seen[id] = true
		}
	}
}

func TestConversationsAreRefused(t *testing.T) {
	bad := health.Dial{AnswerTimeout: -1}
	_, smtp := health.NewSMTP(&health.SMTPConfig{Hello: "a b", StartTLS: true, Dial: bad})
	_, pop3 := health.NewPOP3(&health.POP3Config{StartTLS: true, Dial: bad})
	_, imap := health.NewIMAP(&health.IMAPConfig{StartTLS: true, Dial: bad})
	_, ftp := health.NewFTP(&health.FTPConfig{StartTLS: true, Dial: bad})
	_, nntp := health.NewNNTP(&health.NNTPConfig{StartTLS: true, Dial: bad})
	for kind, err := range map[string]error{"nntp": nntp, "smtp": smtp, "pop3": pop3, "imap": imap, "ftp": ftp} {
		for _, part := range []string{kind + " check: ", "StartTLS without TLS", "answer timeout -1"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %v, want it to say %q", kind, err, part)
			}
		}
	}
	if !strings.Contains(smtp.Error(), `hello "a b"`) {
		t.Errorf("smtp: error %v does not name hello", smtp)
	}
}

// The answers are worded as those of Exim, Postfix, Dovecot and vsftpd.
func TestMailAndFileServers(t *testing.T) {
	server, roots := certificate()
	trust := &health.TLSConfig{RootsPEM: roots}
	smtp, ftp, nntp := must(health.NewSMTP(nil)), must(health.NewFTP(nil)), must(health.NewNNTP(nil))
	pop3, imap := must(health.NewPOP3(nil)), must(health.NewIMAP(nil))
	smtpTLS := must(health.NewSMTP(&health.SMTPConfig{TLS: trust, StartTLS: true, Hello: "lb.example.com"}))
	const ehlo = "250-mail.example.com Hello lb [192.0.2.1]\r\n250-SIZE 52428800\r\n250-STARTTLS\r\n250 HELP\r\n"
	play(t, map[string]conversation{
		"smtp": {smtp, healthtest.Dialogue(
			step{Say: "220-mail.example.com ESMTP Exim 4.96 Sun, 22 Nov 2026 08:00:00 +0000\r\n220 No spam, please\r\n"},
			step{Hear: "EHLO lvskit-health.invalid\r\n", Say: ehlo}, step{Hear: "QUIT\r\n", Say: "221 mail.example.com closing connection\r\n"},
		), health.OK, "quit: greeted, and left"},
		"smtp without ehlo": {smtp, healthtest.Dialogue(
			step{Say: "220 old\r\n"}, step{Hear: "EHLO", Say: "502 what\r\n"}, step{Hear: "HELO lvskit-health.invalid\r\n", Say: "250 hello\r\n"}, step{Hear: "QUIT", Say: "221 bye\r\n"},
		), health.OK, "greeted"},
		"smtp busy":            {smtp, healthtest.SayAndClose("421 Too many concurrent SMTP connections; please try again later.\r\n"), health.Fail, "greeting: answer 421 Too many concurrent SMTP connections; please"},
		"smtp no service":      {smtp, healthtest.SayAndClose("554 no service\r\n"), health.Fail, "answer 554 no service, expected 220"},
		"smtp half a greeting": {smtp, healthtest.SayAndClose("220-mail\r\n220"), health.Fail, `greeting: closed by the server after "220"`},
		"smtp dislikes ehlo": {smtp, healthtest.Dialogue(
			step{Say: "220 mail.example.com ESMTP Postfix\r\n"}, step{Hear: "EHLO", Say: "550 rejected\r\n"},
		), health.Fail, "ehlo: answer 550 rejected"},
		"smtp starttls": {smtpTLS, healthtest.Dialogue(
			step{Say: "220 mail.example.com ESMTP Postfix (Debian/GNU)\r\n"}, step{Hear: "EHLO lb.example.com\r\n", Say: ehlo},
			step{Hear: "STARTTLS\r\n", Say: "220 2.0.0 Ready to start TLS\r\n", TLS: server},
			step{Hear: "EHLO lb.example.com\r\n", Say: "250 mail.example.com\r\n"}, step{Hear: "QUIT\r\n", Say: "221 2.0.0 Bye\r\n"},
		), health.OK, "quit: greeted"},
		"smtp starttls not offered": {smtpTLS, healthtest.Dialogue(
			step{Say: "220 mail\r\n"}, step{Hear: "EHLO", Say: "250-mail\r\n250 8BITMIME\r\n"},
		), health.Fail, "does not offer STARTTLS"},
		"smtp starttls with something slipped in": {smtpTLS, healthtest.Dialogue(
			step{Say: "220 mail\r\n"}, step{Hear: "EHLO", Say: ehlo}, step{Hear: "STARTTLS", Say: "220 go\r\n250 ok\r\n", TLS: server},
		), health.Fail, "tls: the server went on in plain text"},
		"smtp starttls, unknown authority": {
			must(health.NewSMTP(&health.SMTPConfig{TLS: &health.TLSConfig{}, StartTLS: true})), healthtest.Dialogue(
				step{Say: "220 mail\r\n"}, step{Hear: "EHLO", Say: ehlo}, step{Hear: "STARTTLS", Say: "220 go\r\n", TLS: server},
			), health.Fail, "tls: ",
		},
		"smtp over tls": {must(health.NewSMTP(&health.SMTPConfig{TLS: trust})), healthtest.Dialogue(
			step{TLS: server}, step{Say: "220 mail\r\n"}, step{Hear: "EHLO", Say: ehlo}, step{Hear: "QUIT", Say: "221 bye\r\n"},
		), health.OK, ""},

		"pop3": {pop3, healthtest.Dialogue(step{Say: "+OK Dovecot (Debian) ready.\r\n"}, step{Hear: "QUIT\r\n", Say: "+OK Logging out\r\n"}), health.OK, "quit: greeted"},
		"pop3 over starttls": {must(health.NewPOP3(&health.POP3Config{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "+OK Dovecot (Debian) ready.\r\n"}, step{Hear: "STLS\r\n", Say: "+OK Begin TLS negotiation now.\r\n", TLS: server}, step{Hear: "QUIT", Say: "+OK Logging out\r\n"},
		), health.OK, ""},
		"pop3 in trouble": {pop3, healthtest.Say("-ERR [SYS/TEMP] Temporary authentication failure.\r\n"), health.Fail, `greeting: answer "-ERR [SYS/TEMP]`},
		"pop3 prefix":     {pop3, healthtest.Say("+OKAY\r\n"), health.Fail, `expected +OK`},

		"imap": {imap, healthtest.Dialogue(
			step{Say: "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN] Dovecot (Debian) ready.\r\n"},
			step{Hear: "a2 LOGOUT\r\n", Say: "* BYE Logging out\r\na2 OK Logout completed.\r\n"},
		), health.OK, "logout: greeted"},
		"imap preauth": {imap, healthtest.Dialogue(step{Say: "* PREAUTH ready\r\n"}, step{Hear: "LOGOUT", Say: "* BYE\r\na2 OK done\r\n"}), health.OK, ""},
		"imap starttls": {must(health.NewIMAP(&health.IMAPConfig{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "* OK ready\r\n"}, step{Hear: "a1 STARTTLS\r\n", Say: "a1 OK Begin TLS negotiation now.\r\n", TLS: server}, step{Hear: "LOGOUT", Say: "* BYE\r\na2 OK done\r\n"},
		), health.OK, ""},
		"imap bye":               {imap, healthtest.Say("* BYE Disconnected for inactivity.\r\n"), health.Fail, "greeting: greeting"},
		"imap refuses to logout": {imap, healthtest.Dialogue(step{Say: "* OK\r\n"}, step{Hear: "LOGOUT", Say: "* NO x\r\na2 BAD no\r\n"}), health.Fail, `answer "a2 BAD no" to LOGOUT`},

		"ftp, a long welcome": {ftp, healthtest.Dialogue(step{Say: "220-hello\r\n" + strings.Repeat("\r\n", 9000) + "220 ready\r\n"}, step{Hear: "QUIT\r\n", Say: "221 Goodbye.\r\n"}), health.OK, "quit: greeted"},
		"ftp, a long refusal": {ftp, healthtest.Say("220-hello\r\n" + strings.Repeat("\r\n", 9000) + "421 full\r\n220 x\r\n" + "421 full\r\n"), health.Fail, "quit: answer 421 full, expected 221"},
		"nntp":                {nntp, healthtest.Dialogue(step{Say: "200 news.example.com InterNetNews NNRP server INN 2.7.1 ready (posting ok)\r\n"}, step{Hear: "QUIT\r\n", Say: "205 Bye!\r\n"}), health.OK, "quit: greeted"},
		"nntp, read only":     {nntp, healthtest.Dialogue(step{Say: "201 no posting\r\n"}, step{Hear: "QUIT", Say: "205 .\r\n"}), health.OK, ""},
		"nntp, closed":        {nntp, healthtest.SayAndClose("400 Too many connections, try later\r\n"), health.Fail, `greeting: answer "400 Too many connections, try later", expected 200 or 201`},
		"nntp, forbidden":     {nntp, healthtest.SayAndClose("502 You have no permission to talk.  Goodbye.\r\n"), health.Fail, "502"},
		"nntp, no leave":      {nntp, healthtest.Dialogue(step{Say: "200 x\r\n"}, step{Hear: "QUIT", Say: "500 what?\r\n"}), health.Fail, `quit: answer "500 what?", expected 205`},
		"nntp, other ends":    {nntp, healthtest.Say("220 mail\r\n"), health.Fail, "expected 200 or 201"},
		"nntp starttls": {must(health.NewNNTP(&health.NNTPConfig{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "200 x\r\n"}, step{Hear: "STARTTLS\r\n", Say: "382 Begin TLS negotiation now\r\n", TLS: server}, step{Hear: "QUIT", Say: "205 bye\r\n"},
		), health.OK, "quit: greeted"},
		"nntp without tls": {must(health.NewNNTP(&health.NNTPConfig{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "200 x\r\n"}, step{Hear: "STARTTLS\r\n", Say: "580 Can not initiate TLS negotiation\r\n"},
		), health.Fail, "starttls: answer"},

		"ftp":                {ftp, healthtest.Dialogue(step{Say: "220 (vsFTPd 3.0.3)\r\n"}, step{Hear: "QUIT\r\n", Say: "221 Goodbye.\r\n"}), health.OK, "quit: greeted"},
		"ftp later":          {ftp, healthtest.Dialogue(step{Say: "120 soon\r\n"}, step{Say: "220 now\r\n"}, step{Hear: "QUIT", Say: "221 bye\r\n"}), health.OK, ""},
		"ftp in free lines":  {ftp, healthtest.Dialogue(step{Say: "220-Welcome\r\n to\r\n330 us\r\n220 ready\r\n"}, step{Hear: "QUIT", Say: "221 bye\r\n"}), health.OK, ""},
		"ftp leaves without": {ftp, func(_ context.Context, c net.Conn) { ask(c, "220 ready\r\n") }, health.OK, ""},
		"ftp full":           {ftp, healthtest.SayAndClose("421 There are too many connected users, please try later.\r\n"), health.Fail, "answer 421 There are too many"},
		"ftp without tls": {must(health.NewFTP(&health.FTPConfig{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "220 x\r\n"}, step{Hear: "AUTH TLS\r\n", Say: "530 Please login with USER and PASS.\r\n"},
		), health.Fail, "auth: the server does not agree to TLS: answer 530 Please login"},
		"tls where plain text is": {must(health.NewFTP(&health.FTPConfig{TLS: trust})), healthtest.Say("220 ready\r\n"), health.Fail, `tls: the server answers "220 r", which is no TLS`},
		"ftp auth tls": {must(health.NewFTP(&health.FTPConfig{TLS: trust, StartTLS: true})), healthtest.Dialogue(
			step{Say: "220 x\r\n"}, step{Hear: "AUTH TLS\r\n", Say: "234 Proceed with negotiation.\r\n", TLS: server}, step{Hear: "QUIT", Say: "221 Goodbye.\r\n"},
		), health.OK, ""},
	})
}

// ask says a text, waits for any bytes and leaves the closing to the caller.
func ask(c net.Conn, text string) {
	_, _ = c.Write([]byte(text))
	_, _ = c.Read(make([]byte, 512))
}
