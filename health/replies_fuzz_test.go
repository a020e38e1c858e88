package health

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzTextReplies feeds the parsers of lines: none may panic or make more of
// an answer than there is.
func FuzzTextReplies(f *testing.F) {
	for _, s := range []string{
		"220-mail ESMTP", "220", "* OK ready", "a2 OK done", "*3", "$6", "up 75% maxconn:3#why", "drain,ready",
		"OK|'a b'=1.5s;1;2;0;9 c=U", "-12\n", "SIP/2.0 200 OK\r\nCall-ID: x\r\n\r\n", "SIP/2.0 100 Trying\r\ni: y\r\n",
	} {
		f.Add(s)
	}
	f.Add("r=abcdef,s=c2FsdA==,i=4096")
	f.Fuzz(func(t *testing.T, s string) {
		if nonce, salt, rounds, err := parseSCRAMFirst(s, "abc"); err == nil && (len(nonce) <= 3 || len(salt) == 0 || rounds < 1 || rounds > maxSCRAMRounds) {
			t.Errorf("challenge %q: %q, %x, %d", s, nonce, salt, rounds)
		}
		if code, more, ok := parseReplyLine(s); ok != (code != 0) || more && !ok || code > 599 {
			t.Errorf("reply line %q: %d %t %t", s, code, more, ok)
		}
		if tag, status := imapStatus(s); strings.Contains(tag+status, " ") {
			t.Errorf("imap %q: %q %q", s, tag, status)
		}
		if n, ok := respLength(s, '$'); ok && n < 0 {
			t.Errorf("length %q: %d", s, n)
		}
		if said, err := parseAgent(s); err == nil && said.percent != nil && *said.percent < 0 {
			t.Errorf("agent %q: %d %%", s, *said.percent)
		}
		if all := ParsePerfdata(s); len(all) > 64 {
			t.Errorf("perfdata %q: %d numbers", s, len(all))
		}
		for _, p := range ParsePerfdata(s) {
			if p.Label == "" {
				t.Errorf("perfdata %q: a number without a name", s)
			}
		}
		if n, err := parseNumber([]byte(s)); err == nil && len(s) > maxFile {
			t.Errorf("number %q: %d", s, n)
		}
		if code, _, _, err := parseSIP([]byte(s)); err == nil && (code < 100 || code > 699) {
			t.Errorf("sip %q: %d", s, code)
		}
	})
}

// FuzzBinaryReplies feeds the parsers of packets and messages.
func FuzzBinaryReplies(f *testing.F) {
	dns, err := NewDNS(&DNSConfig{Name: "a", Type: "A", Answer: "192.0.2.1"})
	if err != nil {
		f.Fatal(err)
	}
	radius, err := NewRADIUS(&RADIUSConfig{Secret: "s"})
	if err != nil {
		f.Fatal(err)
	}
	question := radius.request()
	asked, err := dns.ask(0x1234)
	if err != nil {
		f.Fatal(err)
	}
	asked[2] |= 0x80
	ntp := make([]byte, ntpSize)
	for _, b := range [][]byte{
		asked, question, ntp,
		[]byte("\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00"),
		[]byte("\xff\x15\x04#28000Access denied"),
		[]byte("SFATAL\x00C57P03\x00Mstarting up\x00\x00"),
		[]byte("\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
		[]byte("\x02\x01\x01\x61\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"),
		[]byte("\x00\x00\x00\x00\x02\x08\x01"),
		[]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := parseMySQLGreeting(b); err == nil && (len(g.scramble) < 8 || len(g.scramble) > len(b)) {
			t.Errorf("greeting %x: scramble %x", b, g.scramble)
		}
		var refusal mysqlRefusal
		if !errors.As(parseMySQLError(b), &refusal) {
			t.Errorf("error packet %x: no refusal", b)
		}
		if n, ok := mysqlColumns(b); ok && (n < 1 || n > 4096 || mysqlEnd(b)) {
			t.Errorf("%x begins a result of %d columns", b, n)
		}
		if state, _ := parsePGError(b); state == "" && !bytes.Contains(b, []byte("C")) {
			t.Errorf("error response %x: no state", b)
		}
		if row, err := parsePGRow(b); err == nil && (len(row.value) > len(b) || !row.there) {
			t.Errorf("row %x: %+v", b, row)
		}
		if tag, value, rest, ok := cutBER(b); ok && len(value)+len(rest)+2 > len(b) {
			t.Errorf("element %x of %x: %x and %x", tag, b, value, rest)
		}
		_, _, _, text, _ := parseLDAP(b)
		_ = ldapResult(len(text), text)
		if what, err := dns.judge(0x1234, b); err == nil && (what == "" || binary.BigEndian.Uint16(b) != 0x1234) {
			t.Errorf("dns %x: %q", b, what)
		}
		if what, err := judgeNTP(ntp, b); err == nil && (what == "" || len(b) < ntpSize) {
			t.Errorf("ntp %x: %q", b, what)
		}
		if what, err := radius.judge(question, b); err == nil {
			t.Errorf("radius %x: %q without the secret", b, what)
		}
		if _, err := parseGRPCHealth(b); err == nil && len(b) < 5 {
			t.Errorf("grpc %x is taken", b)
		}
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}
		if a, err := h2(conn, []hpack.HeaderField{{Name: ":method", Value: "GET"}}, nil, 100); err == nil && (a == nil || len(a.body) > 100) {
			t.Errorf("http/2 %x: %+v", b, a)
		}
	})
}
