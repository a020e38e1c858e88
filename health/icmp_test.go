package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEchoOverRawSocket(t *testing.T) {
	for _, to := range []string{"127.0.0.1", "::1"} {
		addr := netip.MustParseAddr(to)
		if l, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))); err == nil {
			l.Close()
		} else if addr.Is6() {
			continue // a system without IPv6
		}
		c, err := NewICMP(&ICMPConfig{Size: 1000, Dial: Dial{Source: addr}})
		if err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(*attempt, *Dial) (net.Conn, bool, error){openEcho, openRaw} {
			c.open = open
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			r := c.Check(ctx, Target{Addr: netip.AddrPortFrom(addr, 0)})
			cancel()
			if os.Geteuid() != 0 && r.Verdict == NoResult && strings.Contains(r.Reason, "CAP_NET_RAW") {
				continue // rightly so
			}
			if r.Verdict != OK {
				t.Errorf("%s: %v, %q", to, r.Verdict, r.Reason)
			}
		}
	}
}

func TestIsEchoReply(t *testing.T) {
	question := echoRequest(false, 16)
	reply := append([]byte(nil), question...)
	reply[0] = 0
	change := func(i int) []byte {
		b := append([]byte(nil), reply...)
		b[i]++
		return b
	}
	for name, tt := range map[string]struct {
		b    []byte
		want bool
	}{
		"reply":          {reply, true},
		"another id":     {change(4), true},
		"another kind":   {change(0), false},
		"another code":   {change(1), false},
		"another number": {change(7), false},
		"other data":     {change(20), false},
		"cut off":        {reply[:20], false},
		"the question":   {question, false},
		"nothing":        {nil, false},
	} {
		if got := isEchoReply(question, tt.b); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if got := checksum(question); got != 0 {
		t.Errorf("the sum over a request with its checksum is %#x, want 0", got)
	}
}
