package health_test

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func TestLogins(t *testing.T) {
	pop3 := must(health.NewPOP3(&health.POP3Config{User: "probe", Password: "s3 cret"}))
	imap := must(health.NewIMAP(&health.IMAPConfig{User: "probe", Password: `a"b\c`}))
	ftp := must(health.NewFTP(&health.FTPConfig{User: "probe", Password: "s3cret"}))
	const ready, bye = "* OK ready\r\n", "* BYE\r\na2 OK bye\r\n"
	const login = `a3 LOGIN "probe" "a\"b\\c"` + "\r\n"
	play(t, map[string]conversation{
		"pop3": {pop3, healthtest.Dialogue(
			step{Say: "+OK\r\n"}, step{Hear: "USER probe\r\n", Say: "+OK\r\n"}, step{Hear: "PASS s3 cret\r\n", Say: "+OK 3 messages\r\n"}, step{Hear: "QUIT\r\n", Say: "+OK\r\n"},
		), health.OK, "quit: logged in, and left"},
		"pop3 refused": {pop3, healthtest.Dialogue(
			step{Say: "+OK\r\n"}, step{Hear: "USER", Say: "+OK\r\n"}, step{Hear: "PASS", Say: "-ERR [AUTH] Authentication failed.\r\n"},
		), health.Fail, `pass: answer "-ERR [AUTH] Authentication failed."`},
		"imap": {imap, healthtest.Dialogue(
			step{Say: ready}, step{Hear: login, Say: "* CAPABILITY IMAP4rev2\r\na3 OK Logged in\r\n"}, step{Hear: "a2 LOGOUT\r\n", Say: bye},
		), health.OK, "logout: logged in, and left"},
		"imap refused": {imap, healthtest.Dialogue(
			step{Say: ready}, step{Hear: login, Say: "a3 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"},
		), health.Fail, `to LOGIN, expected a3 OK`},
		"imap, logged in by somebody else": {imap, healthtest.Dialogue(step{Say: "* PREAUTH welcome\r\n"}, step{Hear: "a2 LOGOUT\r\n", Say: bye}), health.OK, ""},
		"ftp": {ftp, healthtest.Dialogue(
			step{Say: "220 hello\r\n"}, step{Hear: "USER probe\r\n", Say: "331 password, please\r\n"}, step{Hear: "PASS s3cret\r\n", Say: "230-welcome\r\n230 to this server\r\n"}, step{Hear: "QUIT\r\n", Say: "221 bye\r\n"},
		), health.OK, "quit: logged in, and left"},
		"ftp without a password": {ftp, healthtest.Dialogue(
			step{Say: "220 hello\r\n"}, step{Hear: "USER", Say: "230 come in\r\n"}, step{Hear: "QUIT", Say: "221 bye\r\n"},
		), health.OK, "logged in"},
		"ftp refused":       {ftp, healthtest.Dialogue(step{Say: "220 hello\r\n"}, step{Hear: "USER", Say: "331 go on\r\n"}, step{Hear: "PASS", Say: "530 Login incorrect.\r\n"}), health.Fail, "pass: answer 530 Login incorrect., expected 230"},
		"ftp wants no user": {ftp, healthtest.Dialogue(step{Say: "220 hello\r\n"}, step{Hear: "USER", Say: "530 TLS first\r\n"}), health.Fail, "user: answer 530 TLS first, expected 331 or 230"},
	})
	for name, c := range map[string]health.Checker{"pop3": pop3, "imap": imap, "ftp": ftp} {
		if id := c.Identity(); !strings.Contains(id, `user="probe"`) || strings.Contains(id, "s3") || strings.Contains(id, "b\\") {
			t.Errorf("identity of %s: %s", name, id)
		}
	}
	for _, cfg := range []health.POP3Config{{User: "a\r\nDELE 1"}, {User: "a", Password: "b\r\nDELE 1"}, {User: "a", Password: "\x00"}, {Password: "b"}, {User: "ü"}} {
		if _, err := health.NewPOP3(&cfg); err == nil {
			t.Errorf("%q accepted", cfg.User+cfg.Password)
		}
	}
}
