package health_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// askers are the checks of every kind that asks over UDP.
func askers() []health.Checker {
	return []health.Checker{
		must(health.NewDNS(nil)),
		must(health.NewNTP(nil)),
		must(health.NewSIP(nil)),
		must(health.NewRADIUS(&health.RADIUSConfig{Secret: "s"})),
		must(health.NewRADIUS(&health.RADIUSConfig{Secret: "s", User: "u", Password: "p"})),
	}
}

// name server answers a question with records and a code.
func nameServer(t *testing.T, code dnsmessage.RCode, change func(*dnsmessage.Message), records ...dnsmessage.ResourceBody) func([]byte) []byte {
	return func(b []byte) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil || len(m.Questions) != 1 || !m.RecursionDesired {
			t.Errorf("question %x: %v", b, err)
			return nil
		}
		m.Response, m.RCode = true, code
		for _, r := range records {
			h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: m.Questions[0].Type, Class: dnsmessage.ClassINET, TTL: 60}
			if c, ok := r.(*dnsmessage.CNAMEResource); ok {
				h.Type = dnsmessage.TypeCNAME
				r = c
			}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: r})
		}
		if change != nil {
			change(&m)
		}
		out, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return out
	}
}

func TestDNS(t *testing.T) {
	type cfg = health.DNSConfig
	name := dnsmessage.MustNewName
	a := &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}}
	for title, tt := range map[string]struct {
		cfg    cfg
		answer func([]byte) []byte
		want   health.Verdict
		reason string
	}{
		"root":               {cfg{}, nameServer(t, 0, nil), health.OK, "read: NOERROR, 0 records"},
		"servfail":           {cfg{}, nameServer(t, 2, nil), health.Fail, "SERVFAIL to . SOA"},
		"refused":            {cfg{}, nameServer(t, 5, nil), health.Fail, "REFUSED"},
		"no such name":       {cfg{Name: "example.com", Type: "a", RCodes: []int{0, 3}}, nameServer(t, 3, nil), health.OK, "NXDOMAIN"},
		"address":            {cfg{Name: "example.com", Type: "A", Answer: "192.0.2.7"}, nameServer(t, 0, nil, &dnsmessage.CNAMEResource{CNAME: name("w.")}, a), health.OK, "the answer has 192.0.2.7"},
		"other address":      {cfg{Name: "example.com", Type: "A", Answer: "192.0.2.8"}, nameServer(t, 0, nil, a), health.Fail, `none of 1 A records is "192.0.2.8", the last one is "192.0.2.7"`},
		"no address":         {cfg{Name: "example.com", Type: "A", Answer: "192.0.2.8"}, nameServer(t, 0, nil), health.Fail, "no A record"},
		"address of version": {cfg{Name: "example.com", Type: "AAAA", Answer: "2001:DB8::7"}, nameServer(t, 0, nil, &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8, 15: 7}}), health.OK, "2001:db8::7"},
		"name":               {cfg{Name: "7.2.0.192.in-addr.arpa.", Type: "PTR", Answer: "WWW.example.com"}, nameServer(t, 0, nil, &dnsmessage.PTRResource{PTR: name("www.example.com.")}), health.OK, ""},
		"text":               {cfg{Name: "x.", Type: "TXT", Answer: "v=1 all"}, nameServer(t, 0, nil, &dnsmessage.TXTResource{TXT: []string{"v=1 ", "all"}}), health.OK, ""},
		"mail":               {cfg{Name: "x.", Type: "MX", Answer: "mx.x"}, nameServer(t, 0, nil, &dnsmessage.MXResource{MX: name("mx.x.")}), health.OK, ""},
		"service":            {cfg{Name: "x.", Type: "SRV", Answer: "s.x"}, nameServer(t, 0, nil, &dnsmessage.SRVResource{Target: name("s.x.")}), health.OK, ""},
		"zone":               {cfg{Name: "x.", Type: "SOA", Answer: "ns.x"}, nameServer(t, 0, nil, &dnsmessage.SOAResource{NS: name("ns.x."), MBox: name("m.x.")}), health.OK, ""},
		"servers":            {cfg{Name: "x.", Type: "NS", Answer: "ns.x"}, nameServer(t, 0, nil, &dnsmessage.NSResource{NS: name("ns.x.")}), health.OK, ""},
		"alias":              {cfg{Name: "x.", Type: "CNAME", Answer: "y"}, nameServer(t, 0, nil, &dnsmessage.CNAMEResource{CNAME: name("y.")}), health.OK, ""},
		"other id":           {cfg{}, nameServer(t, 0, func(m *dnsmessage.Message) { m.ID++ }), health.Fail, "but for 1 datagrams that answer another question"},
		"other question":     {cfg{}, nameServer(t, 0, func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeA }), health.Fail, "another question"},
		"cut off":            {cfg{Name: "example.com", Type: "A", Answer: "192.0.2.8"}, nameServer(t, 0, func(m *dnsmessage.Message) { m.Truncated = true }, a), health.Fail, "did not fit into a datagram and \"192.0.2.8\" is not in what did; ask over TCP"},
		"no question back":   {cfg{}, nameServer(t, 1, func(m *dnsmessage.Message) { m.Questions = nil }), health.Fail, "FORMERR"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			limit := short
			if strings.Contains(tt.reason, "another question") {
				limit = hang
			}
			s := healthtest.NewUDPServer(t, tt.answer)
			want(t, check(t, must(health.NewDNS(&tt.cfg)), s.Addr(), limit), tt.want, tt.reason)
			if limit == hang {
				return
			}
			overTCP := tt.cfg
			overTCP.TCP = true
			server, roots := certificate()
			overTLS := tt.cfg
			overTLS.TLS = &health.TLSConfig{RootsPEM: roots}
			want(t, check(t, must(health.NewDNS(&overTCP)), healthtest.NewServer(t, healthtest.Framed(nil, tt.answer)).Addr(), short), tt.want, tt.reason)
			want(t, check(t, must(health.NewDNS(&overTLS)), healthtest.NewServer(t, healthtest.Framed(server, tt.answer)).Addr(), short), tt.want, tt.reason)
		})
	}
	_, err := health.NewDNS(&cfg{Name: "a..b", Type: "ANY", RCodes: []int{16}})
	for _, part := range []string{`name "a..b."`, `type "ANY"`, "rcode 16"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
}

func TestNTP(t *testing.T) {
	answer := func(first, stratum byte, refid string, change func(b []byte)) func([]byte) []byte {
		return func(q []byte) []byte {
			if len(q) != 48 || q[0] != 0x23 {
				t.Errorf("question %x", q)
			}
			b := make([]byte, 48)
			b[0], b[1] = first, stratum
			copy(b[12:], refid)
			copy(b[24:32], q[40:])
			if change != nil {
				change(b)
			}
			return b
		}
	}
	for name, tt := range map[string]struct {
		answer func([]byte) []byte
		want   health.Verdict
		reason string
	}{
		"in step":      {answer(0x24, 2, "\xc0\x00\x02\x01", nil), health.OK, "read: stratum 2"},
		"out of step":  {answer(0xe4, 0x10, "INIT", nil), health.Fail, "not synchronized (leap 3, stratum 16)"},
		"sends away":   {answer(0x24, 0, "RATE", nil), health.Fail, `sends us away with "RATE"`},
		"starts":       {answer(0xe4, 0, "\x00\x00\x00\x00", nil), health.Fail, "not synchronized (leap 3, stratum 0)"},
		"stratum 0":    {answer(0x24, 0, "\x7f\x7f\x01\x01", nil), health.Fail, "not synchronized (leap 0, stratum 0)"},
		"broadcast":    {answer(0x25, 2, "", nil), health.Fail, "mode 5"},
		"another's":    {answer(0x24, 2, "", func(b []byte) { b[24]++ }), health.Fail, "no answer within"},
		"with more on": {func(q []byte) []byte { return append(answer(0x24, 1, "GPS\x00", nil)(q), 1, 2, 3, 4) }, health.OK, "stratum 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := short
			if name == "another's" {
				limit = hang
			}
			want(t, check(t, must(health.NewNTP(nil)), healthtest.NewUDPServer(t, tt.answer).Addr(), limit), tt.want, tt.reason)
		})
	}
}

func TestSIP(t *testing.T) {
	answers := func(status ...string) func([]byte) []byte {
		return func(q []byte) []byte {
			_, rest, ok := strings.Cut(string(q), "Call-ID: ")
			if !ok || !strings.HasPrefix(string(q), "OPTIONS sip:") || !strings.HasSuffix(string(q), "\r\n\r\n") {
				t.Errorf("request %q", q)
			}
			call, _, _ := strings.Cut(rest, "\r\n")
			var b strings.Builder
			for _, s := range status {
				b.WriteString("SIP/2.0 " + s + "\r\nVia: SIP/2.0/UDP x;received=192.0.2.1\r\nCall-ID: " + call + "\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
			}
			return []byte(b.String())
		}
	}
	tcp := health.SIPConfig{TCP: true, URI: "sip:ping@example.com"}
	want(t, check(t, must(health.NewSIP(nil)), healthtest.NewUDPServer(t, answers("200 OK")).Addr(), short), health.OK, "read: status 200 OK")
	want(t, check(t, must(health.NewSIP(nil)), healthtest.NewUDPServer(t, answers("503 Service Unavailable")).Addr(), short), health.Fail, "status 503 Service Unavailable, expected 200")
	want(t, check(t, must(health.NewSIP(nil)), healthtest.NewUDPServer(t, answers("100 Trying")).Addr(), hang), health.Fail, "no answer within")
	want(t, check(t, must(health.NewSIP(&health.SIPConfig{Status: []health.StatusRange{{200, 200}, {404, 404}}})), healthtest.NewUDPServer(t, answers("404 Not Found")).Addr(), short), health.OK, "404")
	want(t, check(t, must(health.NewSIP(nil)), healthtest.NewUDPServer(t, func(q []byte) []byte {
		return []byte("SIP/2.0 200 OK\r\nCall-ID: other\r\n\r\n")
	}).Addr(), hang), health.Fail, "another question")
	want(t, check(t, must(health.NewSIP(&tcp)), healthtest.NewServer(t, healthtest.Replies("\r\n\r\n", answers("100 Trying", "200 OK"))).Addr(), short), health.OK, "status 200 OK")
	want(t, check(t, must(health.NewSIP(&tcp)), healthtest.NewServer(t, healthtest.Replies("\r\n\r\n", answers("480 Temporarily Unavailable"))).Addr(), short), health.Fail, "status 480")
	want(t, check(t, must(health.NewSIP(&tcp)), healthtest.NewServer(t, healthtest.Answer("HTTP/1.1 400 no\r\n")).Addr(), short), health.Fail, "is no SIP")
	_, err := health.NewSIP(&health.SIPConfig{URI: "sip:a b", From: "<x>", Status: []health.StatusRange{{100, 100}}})
	for _, part := range []string{`uri "sip:a b"`, `from "<x>"`, "status 100"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
}

// radiusServer knows the secret and answers with a code.
func radiusServer(t *testing.T, secret string, code byte, change func([]byte)) func([]byte) []byte {
	return func(q []byte) []byte {
		// The Message-Authenticator is the first attribute.
		signed := bytes.Clone(q)
		clear(signed[22:38])
		mac := hmac.New(md5.New, []byte("s3cret"))
		mac.Write(signed)
		if int(binary.BigEndian.Uint16(q[2:])) != len(q) || q[20] != 80 || !hmac.Equal(mac.Sum(nil), q[22:38]) {
			t.Errorf("request %x is not signed", q)
		}
		b := make([]byte, 38)
		b[0], b[1], b[3] = code, q[1], 38
		copy(b[4:], q[4:20])
		b[20], b[21] = 80, 18
		mac = hmac.New(md5.New, []byte(secret))
		mac.Write(b)
		copy(b[22:], mac.Sum(nil))
		if change != nil {
			change(b)
		}
		sum := md5.Sum(append(bytes.Clone(b), secret...))
		copy(b[4:], sum[:])
		return b
	}
}

func TestRADIUS(t *testing.T) {
	status := health.RADIUSConfig{Secret: "s3cret"}
	login := health.RADIUSConfig{Secret: "s3cret", User: "lb", Password: "a password of more than sixteen bytes"}
	lenient := login
	lenient.AllowReject = true
	for name, tt := range map[string]struct {
		cfg    health.RADIUSConfig
		answer func([]byte) []byte
		want   health.Verdict
		reason string
	}{
		"status":           {status, radiusServer(t, "s3cret", 2, nil), health.OK, "read: Access-Accept"},
		"accounting":       {status, radiusServer(t, "s3cret", 5, nil), health.OK, "Accounting-Response"},
		"accept":           {login, radiusServer(t, "s3cret", 2, nil), health.OK, "Access-Accept"},
		"reject":           {login, radiusServer(t, "s3cret", 3, nil), health.Fail, "refuses user and password"},
		"reject, allowed":  {lenient, radiusServer(t, "s3cret", 3, nil), health.OK, "does not let the user in"},
		"challenge":        {login, radiusServer(t, "s3cret", 11, nil), health.Fail, "code 11"},
		"another secret":   {status, radiusServer(t, "other", 2, nil), health.Fail, "another secret"},
		"wrong signature":  {status, radiusServer(t, "s3cret", 2, func(b []byte) { b[30]++ }), health.Fail, "Message-Authenticator"},
		"broken attribute": {status, radiusServer(t, "s3cret", 2, func(b []byte) { b[21] = 19 }), health.Fail, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := must(health.NewRADIUS(&tt.cfg))
			if id := c.Identity(); strings.Contains(id, "s3cret") || strings.Contains(id, "sixteen") {
				t.Errorf("identity %s shows a secret", id)
			}
			want(t, check(t, c, healthtest.NewUDPServer(t, tt.answer).Addr(), short), tt.want, tt.reason)
		})
	}
	mute := healthtest.NewUDPServer(t, func([]byte) []byte { return nil })
	want(t, check(t, must(health.NewRADIUS(&status)), mute.Addr(), hang), health.Fail, "; a RADIUS server is silent to a client it does not know, or with another secret")
	_, err := health.NewRADIUS(nil)
	if err == nil || !strings.Contains(err.Error(), "secret: want") {
		t.Errorf("error %v", err)
	}
}
