package health

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// replay is a connection to a server that has said all it has to say.
type replay struct{ io.Reader }

func (replay) Write(p []byte) (int, error)      { return len(p), nil }
func (replay) Close() error                     { return nil }
func (replay) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (replay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (replay) SetDeadline(time.Time) error      { return nil }
func (replay) SetReadDeadline(time.Time) error  { return nil }
func (replay) SetWriteDeadline(time.Time) error { return nil }

// FuzzSessions lets a server say anything in each conversation, at once or byte
// by byte: the conversation ends, with a verdict and a reason for people, and
// holds no more than it may.
func FuzzSessions(f *testing.F) {
	for _, s := range []string{
		"220-a\r\n220 b\r\n250-c\r\n250 STARTTLS\r\n221 bye\r\n", "* OK\r\na2 OK\r\n", "+OK\r\n+OK\r\n", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
		"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x01\x01",
		"\x2c\x00\x00\x02\xfecaching_sha2_password\x00abcdefghijklmnopqrst\x00\x02\x00\x00\x04\x01\x04",
		"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\nX: y\r\n\r\n", "HTTP/1.0 404\r\n\r\n",
		"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I", "up 75%\n", "SIP/2.0 100 Trying\r\nCall-ID: x\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	web, err := NewHTTP(&HTTPConfig{Body: "well"})
	if err != nil {
		f.Fatal(err)
	}
	redis, err := NewRedis(&RedisConfig{Role: "master"})
	if err != nil {
		f.Fatal(err)
	}
	sql, err := NewMySQL(&MySQLConfig{User: "lb", Password: "x", Database: "d", Query: "SELECT 1"})
	if err != nil {
		f.Fatal(err)
	}
	pg, err := NewPostgres(nil)
	if err != nil {
		f.Fatal(err)
	}
	talks := map[string]func(s *session) (string, error){
		"reply": func(s *session) (string, error) {
			_, lines, err := s.reply()
			if len(lines) > maxLines {
				return "", io.ErrShortBuffer
			}
			return "", err
		},
		"smtp": func(s *session) (string, error) { _, err := (&SMTP{hello: "x"}).greet(s); return "", err },
		"imap": func(s *session) (string, error) { return "", s.imapOK("logout", "a2", "LOGOUT") },
		"pop3": func(s *session) (string, error) { return "", s.popOK("quit", "QUIT\r\n") },
		"ldap": func(s *session) (string, error) { return "", s.ldap("bind", 1, "", ldapBindResponse) },
		"role": redis.role,
		"mysql": func(s *session) (string, error) {
			return "", sql.finish(s, &mysqlLogin{user: "lb", password: "x", scramble: []byte("abcdefgh")})
		},
		"mysql in tls": func(s *session) (string, error) {
			return "", sql.finish(s, &mysqlLogin{user: "lb", password: "x", tls: true})
		},
		"postgres": pg.opened,
		"query":    sql.question,
	}
	f.Fuzz(func(t *testing.T, said []byte, slow bool) {
		conn := func() net.Conn {
			if slow {
				return replay{iotest.OneByteReader(bytes.NewReader(said))}
			}
			return replay{bytes.NewReader(said)}
		}
		attempt := func() *attempt {
			now := time.Now()
			return &attempt{ctx: context.Background(), target: Target{Addr: netip.MustParseAddrPort("192.0.2.1:80")}, start: now, mark: now}
		}
		judge := func(name string, r Result) {
			if r.Verdict != OK && r.Verdict != Fail || len(r.Reason) > MaxReason || len(r.Seen) > MaxSeen || len(r.Phases) == 0 ||
				strings.ContainsFunc(r.Reason, func(c rune) bool { return c < ' ' || c == 0x7f }) || !strings.HasPrefix(r.Reason, r.Phases[len(r.Phases)-1].Name+": ") {
				t.Errorf("%s after %q: %+v", name, said, r)
			}
		}
		for name, talk := range talks {
			s := &session{a: attempt(), ch: &channel{}, raw: conn()}
			s.use(s.raw)
			judge(name, s.end(talk(s)))
		}
		a := attempt()
		req := &http.Request{Method: "GET"}
		r, more := web.answer(a, conn(), &httpQuestion{method: "GET", url: web.url}, req)
		if more == nil {
			judge("http", r)
		}
	})
}
