package health_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// matrixRow is what the matrix has to know of one kind of check: what it needs,
// and the server or the answer that it likes.
type matrixRow struct {
	// options are what the kind needs.
	options map[string]string
	// server is one that the check finds OK, over TCP.
	server healthtest.Behavior
	// answer is one that the check finds OK, over UDP.
	answer func([]byte) []byte
	// port is the option that has the port, of checks to which that of the
	// target does not matter.
	port string
	// blind checks do not know to which question an answer belongs.
	blind bool
	// content checks cannot tell a server that only accepts from one that
	// serves.
	content bool
	// many checks make several connections, or give the reason of any.
	many bool
	// plain checks have no TLS, secret ones have nothing else.
	plain, secret bool
	// upgrade puts b behind the steps by which a server turns to TLS; nil is
	// TLS from the first byte.
	upgrade func(b healthtest.Behavior) healthtest.Behavior
	// frames are those that speak HTTP/2.
	frames bool
	// alone checks ask no server: their cells are made by hand.
	alone func(t *testing.T, kind string) []cell
}

// matrixRows has a row for every kind, and for those whose options make a
// check of another sort, by the name of the kind and what is chosen.
func matrixRows(t *testing.T) map[string]matrixRow {
	sip := func(q []byte) []byte {
		_, rest, _ := strings.Cut(string(q), "Call-ID: ")
		call, _, _ := strings.Cut(rest, "\r\n")
		return []byte("SIP/2.0 200 OK\r\nCall-ID: " + call + "\r\nContent-Length: 0\r\n\r\n")
	}
	dns := func(q []byte) []byte {
		if len(q) < 12 {
			return nil
		}
		q[2] |= 0x80
		return q
	}
	ntp := func(q []byte) []byte {
		b := make([]byte, 48)
		b[0], b[1] = 0x24, 2
		copy(b[24:32], q[40:])
		return b
	}
	rstat := func(q []byte) []byte {
		if len(q) < 4 {
			return nil
		}
		b := make([]byte, 4*(6+26))
		copy(b, q[:4])
		b[7] = 1 // a reply
		return b
	}
	greets := func(steps ...step) healthtest.Behavior { return healthtest.Dialogue(steps...) }
	smtp := []step{{Say: "220 mail ESMTP\r\n"}, {Hear: "EHLO lvskit-health.invalid\r\n", Say: "250-mail\r\n250 STARTTLS\r\n"}}
	bye := step{Hear: "QUIT\r\n", Say: "221 bye\r\n"}
	grpc := grpcServer(nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = io.WriteString(w, "\x00\x00\x00\x00\x02\x08\x01")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	web := grpcServer(nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") })
	return map[string]matrixRow{
		"agent":         {server: healthtest.Say("up 75%\n"), plain: true},
		"ajp":           {server: healthtest.Replies("\x0a", func([]byte) []byte { return []byte("AB\x00\x01\x09") }), plain: true},
		"bfd":           {alone: sessionCells},
		"dns":           {answer: dns, plain: true},
		"dns over TCP":  {options: map[string]string{"tcp": "true"}, server: healthtest.Framed(nil, dns)},
		"external":      {alone: programCells},
		"file":          {alone: fileCells},
		"ftp":           {server: greets(step{Say: "220 files\r\n"}, bye)},
		"grpc":          {server: grpc, frames: true},
		"http":          {options: map[string]string{"body": "well"}, server: healthtest.Answer("HTTP/1.1 200 OK\r\n\r\nwell")},
		"http over h2":  {options: map[string]string{"http2": "true", "body": "well"}, server: web, frames: true},
		"icmp":          {alone: hostCells},
		"imap":          {server: greets(step{Say: "* OK mail\r\n"}, step{Hear: "LOGOUT\r\n", Say: "* BYE\r\na2 OK done\r\n"})},
		"ldap":          {server: greets(step{Hear: "\x60\x07\x02\x01\x03", Say: "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"})},
		"memcached":     {server: greets(step{Hear: "version\r\n", Say: "VERSION 1.6.18\r\n"})},
		"load-command":  {alone: programCells},
		"load-http":     {options: map[string]string{"value": "one"}, server: healthtest.Answer("HTTP/1.1 200 OK\r\n\r\n{\"one\": 1.5}")},
		"mysql":         {server: mysqlServer, plain: true},
		"mysql, in TLS": {secret: true, server: greets(step{Hear: "lvskit-health\x00", Say: packet(3, "\xff\x15\x04#28000Access denied")}), upgrade: behind(mysqlHello("mysql_native_password", true), 36, "")},
		"nagios":        {alone: programCells},
		"nntp":          {server: greets(step{Say: "201 news\r\n"}, step{Hear: "QUIT\r\n", Say: "205 bye\r\n"})},
		"ntp":           {answer: ntp, plain: true},
		"pop3":          {server: greets(step{Say: "+OK mail\r\n"}, step{Hear: "QUIT\r\n", Say: "+OK bye\r\n"})},
		"postgres":      {server: greets(step{Hear: "application_name", Say: "R\x00\x00\x00\x08\x00\x00\x00\x03"}), upgrade: behind("", 8, "S")},
		"radius":        {options: map[string]string{"secret": "s3cret"}, answer: radiusServer(t, "s3cret", 2, nil), plain: true},
		"redis":         {server: greets(step{Hear: "PING", Say: "+PONG\r\n"})},
		"redis's role":  {options: map[string]string{"role": "master"}, server: greets(step{Hear: "ROLE", Say: "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"})},
		"rup":           {port: "rstatd-port", answer: rstat, plain: true},
		"ruptime":       {alone: hearingCells},
		"send-expect":   {options: map[string]string{"send": "ping", "expect": "pong"}, server: healthtest.Answer("pong"), plain: true},
		"sip":           {answer: sip, plain: true},
		"sip over TCP":  {options: map[string]string{"tcp": "true"}, server: healthtest.Replies("\r\n\r\n", sip)},
		"smtp":          {server: greets(append(smtp, bye)...)},
		"smtp, upgraded": {
			options: map[string]string{"starttls": "true"}, secret: true, server: greets(append(smtp[1:], bye)...),
			upgrade: func(b healthtest.Behavior) healthtest.Behavior {
				return behind("220 mail\r\n", len("EHLO lvskit-health.invalid\r\n"), "250-mail\r\n250 STARTTLS\r\n")(behind("", len("STARTTLS\r\n"), "220 go\r\n")(b))
			},
		},
		"syn": {alone: synCells},
		"tcp": {content: true, server: healthtest.Hang(), plain: true},
		"tls": {content: true, server: healthtest.Hang(), secret: true},
		"udp": {options: map[string]string{"send": "ping", "expect": "pong"}, answer: func([]byte) []byte { return []byte("pong") }, blind: true, plain: true},
	}
}

// behind says a greeting, hears so many bytes, says an answer and goes on with
// b.
func behind(greeting string, hear int, answer string) func(healthtest.Behavior) healthtest.Behavior {
	return func(b healthtest.Behavior) healthtest.Behavior {
		return func(ctx context.Context, c net.Conn) {
			_, _ = io.WriteString(c, greeting)
			if _, err := io.ReadFull(c, make([]byte, hear)); err == nil {
				_, _ = io.WriteString(c, answer)
				b(ctx, c)
			}
		}
	}
}

// mysqlServer refuses the stranger who asks.
func mysqlServer(ctx context.Context, c net.Conn) {
	healthtest.Dialogue(
		step{Say: mysqlHello("mysql_native_password", false)},
		step{Hear: "lvskit-health\x00", Say: packet(2, "\xff\x15\x04#28000Access denied")},
	)(ctx, c)
}

// composites are checks that have no kind, of parts that ask over TCP. Each is
// OK for a server that says pong to ping.
func composites() map[string]health.Checker {
	ping := must(health.NewSendExpect(&health.SendExpectConfig{Send: "ping", Expect: "pong"}))
	more := must(health.NewDialogue(health.DialogueConfig{Steps: []health.DialogueStep{{Send: "ping", Expect: "p"}, {Expect: "on.*", Regex: true}}}))
	tcp := new(health.TCP)
	never := must(health.NewSendExpect(&health.SendExpectConfig{Send: "ping", Expect: "never"}))
	return map[string]health.Checker{
		"dialogue":   more,
		"all":        must(health.NewAll(tcp, ping, more)),
		"any":        must(health.NewAny(never, ping, never)),
		"all of any": must(health.NewAll(must(health.NewAny(ping, more)), tcp)),
	}
}
