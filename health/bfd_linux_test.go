package health_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// local is an address of this machine that hardly anybody else uses.
func local() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(250)), byte(1 + rand.IntN(250))})
}

func bfd(source netip.Addr) health.Checker {
	return must(health.NewBFD(&health.BFDConfig{Interval: 100 * time.Millisecond, Dial: health.Dial{Source: source}}))
}

// leaveOpen keeps a session with a peer.
func leaveOpen(t *testing.T, c health.Checker, peer netip.Addr) (<-chan health.Result, context.CancelFunc, <-chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	reports, ended := make(chan health.Result, 100), make(chan error, 1)
	go func() {
		ended <- c.(health.Standing).Stand(ctx, health.Target{Addr: netip.AddrPortFrom(peer, 80)}, func(r health.Result) { reports <- r })
	}()
	return reports, cancel, ended
}

// Two checks speak with each other.
func TestBFD(t *testing.T) {
	a, b, c := local(), local(), local()
	one, other := bfd(a), bfd(b)
	reports, _, _ := leaveOpen(t, one, b)
	// A second session at the same address, which must not be disturbed.
	third, _, _ := leaveOpen(t, one, c)
	fromThird, leaveThird, thirdEnded := leaveOpen(t, bfd(c), a)
	want(t, next(t, third, "session with the third"), health.OK, "session: Up", "session")
	want(t, next(t, fromThird, "session of the third"), health.OK, "session: Up")

	theirs, leave, ended := leaveOpen(t, other, a)
	want(t, next(t, reports, "session"), health.OK, "session: Up", "session")
	want(t, next(t, theirs, "session of the other"), health.OK, "session: Up")
	// Who asks by turns joins the session that stands.
	for range 3 {
		start := time.Now()
		want(t, check(t, one, netip.AddrPortFrom(b, 443), short), health.OK, "session: Up", "open", "session")
		if took := time.Since(start); took > 900*time.Millisecond {
			t.Errorf("%v for a session that stands", took)
		}
	}
	leave()
	if err := next(t, ended, "end"); err != nil {
		t.Error(err)
	}
	want(t, next(t, reports, "leave of the other"), health.Fail, "session: the server has taken the session down (AdminDown)")
	// A session of its own, brought up and taken down again.
	want(t, check(t, other, netip.AddrPortFrom(a, 0), short), health.OK, "session: Up")
	// It stands for so short a time that whoever looks on may miss it.
	theirs, _, _ = leaveOpen(t, other, a)
	want(t, next(t, theirs, "session of the other"), health.OK, "session: Up")
	for r := next(t, reports, "return"); r.Verdict != health.OK; {
		r = next(t, reports, "return")
	}
	leaveThird()
	if err := next(t, thirdEnded, "end of the third"); err != nil {
		t.Error(err)
	}
	if len(fromThird) > 0 {
		t.Errorf("the third session was disturbed: %+v", <-fromThird)
	}
}

func TestBFDWithoutPeer(t *testing.T) {
	a, b := local(), local()
	c := bfd(a)
	want(t, check(t, c, netip.AddrPortFrom(b, 80), hang), health.Fail, "session: not Up within")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	want(t, c.Check(ctx, health.Target{Addr: netip.AddrPortFrom(b, 80)}), health.NoResult, "cancelled by us")
	// A socket that hears and says nothing.
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: b.AsSlice(), Port: 3784})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	want(t, check(t, c, netip.AddrPortFrom(b, 80), hang), health.Fail, "no packet from the server")
	buf := make([]byte, 100)
	_ = silent.SetReadDeadline(time.Now().Add(short))
	n, from, err := silent.ReadFromUDPAddrPort(buf)
	if err != nil || n != 24 || buf[0] != 0x20 || buf[1] != 0x40 || from.Addr() != a || from.Port() < 49152 {
		t.Errorf("the first packet is %x from %v, %v", buf[:n], from, err)
	}
	var goodbye bool
	for !goodbye {
		n, again, err := silent.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatalf("no leave is taken: %v", err)
		}
		goodbye = n == 24 && buf[0] == 0x27 && buf[1] == 0
		if again.Port() != from.Port() {
			t.Errorf("the source port changes from %v to %v", from, again)
		}
	}
	// An address that is not ours.
	foreign := must(health.NewBFD(&health.BFDConfig{Dial: health.Dial{Source: netip.MustParseAddr("192.0.2.77")}}))
	want(t, check(t, c, netip.MustParseAddrPort("[::1]:80"), short), health.NoResult, "one is of IPv4, the other of IPv6", "open")
	want(t, check(t, foreign, netip.AddrPortFrom(b, 80), short), health.NoResult, "open: the source is no address of this machine", "open")
}

// A forger who is farther away than one hop is not believed.
func TestBFDFromFarther(t *testing.T) {
	a, b := local(), local()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	result := make(chan health.Result, 1)
	go func() { result <- bfd(a).Check(ctx, health.Target{Addr: netip.AddrPortFrom(b, 80)}) }()
	forger, err := net.DialUDP("udp4", &net.UDPAddr{IP: b.AsSlice()}, &net.UDPAddr{IP: a.AsSlice(), Port: 3784})
	if err != nil {
		t.Fatal(err)
	}
	defer forger.Close()
	for len(result) == 0 {
		// Init, with the default TTL of 64.
		_, _ = forger.Write([]byte("\x20\x40\x03\x18\x00\x00\x00\x01\x00\x00\x00\x00\x00\x0f\x42\x40\x00\x0f\x42\x40\x00\x00\x00\x00"))
		time.Sleep(50 * time.Millisecond)
	}
	want(t, <-result, health.Fail, "packets came from farther than one hop and were not taken")
}

func TestBFDIsRefused(t *testing.T) {
	_, err := health.NewBFD(&health.BFDConfig{Interval: time.Millisecond, Multiplier: 256})
	for _, part := range []string{"bfd check: ", "interval 1ms", "multiplier 256"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want it to say %s", err, part)
		}
	}
	if id := must(health.NewBFD(nil)).Identity(); id != "bfd interval=300ms multiplier=3" {
		t.Errorf("identity %q", id)
	}
}

func ExampleBFD() {
	check, err := health.NewBFD(&health.BFDConfig{Interval: 100 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(check.Identity())
	// Output: bfd interval=100ms multiplier=3
}
