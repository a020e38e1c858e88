package healthtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestOverTLSShowsTheCertificate(t *testing.T) {
	cfg, roots := Certificate(t, "www.example.com", "127.0.0.1")
	s := NewServer(t, OverTLS(cfg, SayAndClose("hello")))
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		t.Fatal("the roots hold no certificate")
	}
	for _, name := range []string{"www.example.com", "127.0.0.1"} {
		c := tls.Client(dial(t, s), &tls.Config{RootCAs: pool, ServerName: name})
		if got, err := io.ReadAll(c); string(got) != "hello" || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var wrong x509.HostnameError
	if err := tls.Client(dial(t, s), &tls.Config{RootCAs: pool, ServerName: "other.example"}).Handshake(); !errors.As(err, &wrong) {
		t.Errorf("another name: %v", err)
	}
	s.Set(OverTLS(cfg, Reset()))
	if _, err := io.ReadAll(tls.Client(dial(t, s), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Reset over TLS: %v", err)
	}
}

func TestBehaviorsAreChanged(t *testing.T) {
	s := NewServer(t, CutAfter(3, Say("hello")))
	if got, err := io.ReadAll(dial(t, s)); string(got) != "hel" || err != nil {
		t.Errorf("CutAfter: %q, %v", got, err)
	}
	s.Set(CutAfter(5, SayAndClose("hello")))
	if got, err := io.ReadAll(dial(t, s)); string(got) != "hello" || err != nil {
		t.Errorf("CutAfter of all: %q, %v", got, err)
	}
	s.Set(Slowly(20*time.Millisecond, SayAndClose("abc")))
	start := time.Now()
	if got, err := io.ReadAll(dial(t, s)); string(got) != "abc" || err != nil || time.Since(start) < 50*time.Millisecond {
		t.Errorf("Slowly: %q, %v after %v", got, err, time.Since(start))
	}
	s.Set(Flapping(SayAndClose("a"), Close()))
	for i, want := range []string{"a", "", "a", ""} {
		if got, err := io.ReadAll(dial(t, s)); string(got) != want || err != nil {
			t.Errorf("Flapping, connection %d: %q, %v", i, got, err)
		}
	}
	s.Set(Flood("ab"))
	if n, err := io.CopyN(io.Discard, dial(t, s), 10<<20); err != nil {
		t.Errorf("Flood ends after %d bytes: %v", n, err)
	}
}

func TestBlackHole(t *testing.T) {
	addr := BlackHole(t)
	for range 3 {
		var timeout net.Error
		if c, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond); err == nil {
			c.Close()
			t.Error("it answers")
		} else if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error(err)
		}
	}
}

// Every server that goes wrong in HTTP/2 begins with settings, or says nothing
// that is a frame.
func TestHTTP2Misbehaviors(t *testing.T) {
	for name, b := range HTTP2Misbehaviors() {
		t.Run(name, func(t *testing.T) {
			c := dial(t, NewServer(t, b))
			if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			if name == "drips a frame" {
				_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
			}
			in := http2.NewFramer(io.Discard, c)
			in.SetMaxReadFrameSize(1 << 14)
			f, err := in.ReadFrame()
			switch {
			case name == "drips a frame" && errors.Is(err, os.ErrDeadlineExceeded):
			case name == "a frame of 16 MiB" && errors.Is(err, http2.ErrFrameTooLarge):
			case err != nil || f.Header().Type != http2.FrameSettings:
				t.Errorf("%v, %v", f, err)
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	s := NewUDPServer(t, func(b []byte) []byte { return append([]byte("re: "), b...) })
	c, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(question string) string {
		buf := make([]byte, 1<<16)
		if _, err := c.Write([]byte(question)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Read(buf)
		if err != nil {
			return "nothing"
		}
		return string(buf[:n])
	}
	right := func(b []byte) []byte { return append([]byte("right "), b...) }
	if got := ask("a"); got != "re: a" {
		t.Errorf("answer %q", got)
	}
	for name, want := range map[string]string{"echoes": "abcd", "echoes the first half": "ab", "answers empty": "", "answers cut off": "right abcd", "answers from elsewhere": "nothing", "says nothing": "nothing"} {
		s.Set(DatagramMisbehaviors(right)[name])
		if got := ask("abcd"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	s.Set(DatagramMisbehaviors(right)["answers the question before"])
	for _, tt := range [][2]string{{"1", "nothing"}, {"2", "right 1"}, {"3", "right 2"}} {
		if got := ask(tt[0]); got != tt[1] {
			t.Errorf("asked %s: %q", tt[0], got)
		}
	}
	s.Set(DatagramMisbehaviors(right)["floods"])
	if got := ask("?"); !bytes.Equal([]byte(got), bytes.Repeat([]byte("z"), 1400)) {
		t.Errorf("flood of %d bytes", len(got))
	}
	if got := s.Received(); got != 11 {
		t.Errorf("%d datagrams received", got)
	}
}
