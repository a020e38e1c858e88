package health_test

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func TestDialThatCannotBeUsed(t *testing.T) {
	tests := map[string]struct {
		dial health.Dial
		want string
	}{
		"unspecified source": {health.Dial{Source: netip.IPv4Unspecified()}, "source 0.0.0.0 is no address"},
		"long device":        {health.Dial{Device: strings.Repeat("x", 16)}, "at most 15 bytes"},
		"device with slash":  {health.Dial{Device: "a/b"}, `device "a/b"`},
		"negative time":      {health.Dial{AnswerTimeout: -1}, "answer timeout -1ns"},
	}
	if runtime.GOOS != "linux" {
		tests["mark elsewhere"] = struct {
			dial health.Dial
			want string
		}{health.Dial{Mark: 1}, "Linux only"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, tcp := health.NewTCP(&health.TCPConfig{Dial: tt.dial})
			_, web := health.NewHTTP(&health.HTTPConfig{Dial: tt.dial})
			_, text := health.NewSendExpect(&health.SendExpectConfig{Dial: tt.dial})
			for _, err := range []error{tcp, web, text} {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			}
		})
	}
}

func TestDialSource(t *testing.T) {
	s := healthtest.NewServer(t, healthtest.Close())
	if runtime.GOOS == "linux" { // where all of 127/8 is local
		c, err := health.NewTCP(&health.TCPConfig{Dial: health.Dial{Source: netip.MustParseAddr("127.9.8.7")}})
		if err != nil {
			t.Fatal(err)
		}
		want(t, check(t, c, s.Addr(), short), health.OK, "accepted")
	}
	c, err := health.NewTCP(&health.TCPConfig{Dial: health.Dial{Source: netip.MustParseAddr("192.0.2.77")}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, check(t, c, s.Addr(), short), health.NoResult, "the source is no address of this machine")
	other, err := health.NewTCP(&health.TCPConfig{Dial: health.Dial{Source: netip.MustParseAddr("2001:db8::1")}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, check(t, other, s.Addr(), short), health.NoResult, "connect: cannot ask 127.0.0.1 from the source 2001:db8::1: one is of IPv4")
	mapped, err := health.NewTCP(&health.TCPConfig{Dial: health.Dial{Source: netip.MustParseAddr("::ffff:127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, check(t, mapped, s.Addr(), short), health.OK, "accepted")
	if new(health.TCP).Identity() == c.Identity() {
		t.Error("the source is not in the identity")
	}
}

func TestPhaseTimeouts(t *testing.T) {
	silent := healthtest.NewServer(t, healthtest.Hang())
	dial := health.Dial{TLSTimeout: hang / 2, AnswerTimeout: hang / 2}
	web, err := health.NewHTTP(&health.HTTPConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	secure, err := health.NewHTTP(&health.HTTPConfig{Dial: dial, TLS: &health.TLSConfig{}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := health.NewSendExpect(&health.SendExpectConfig{Dial: dial, Expect: "220"})
	if err != nil {
		t.Fatal(err)
	}
	for phase, c := range map[string]health.Checker{"read": web, "tls": secure, "read ": text} {
		began := time.Now()
		want(t, check(t, c, silent.Addr(), time.Minute), health.Fail, strings.TrimSpace(phase)+": no answer within")
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: %v", phase, took)
		}
	}
}
