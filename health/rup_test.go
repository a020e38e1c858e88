package health_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

// rpcServer answers calls over UDP on 127.0.0.1: answer gets the program, the
// version and the number of the call, and returns what follows the xid; nil is
// silence.
func rpcServer(t *testing.T, answer func(program, version, nth uint32) []uint32) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for nth := uint32(0); ; nth++ {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n < 40 {
				continue
			}
			said := answer(binary.BigEndian.Uint32(buf[12:]), binary.BigEndian.Uint32(buf[16:]), nth)
			if said == nil {
				continue
			}
			reply := append([]byte{}, buf[:4]...)
			for _, w := range said {
				reply = binary.BigEndian.AppendUint32(reply, w)
			}
			_, _ = c.WriteToUDPAddrPort(reply, from)
		}
	}()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

// accepted is the reply of a call that went well.
func accepted(body ...uint32) []uint32 { return append([]uint32{1, 0, 0, 0, 0}, body...) }

// stats are the words of version 2 and 3 with a load of 1.5 0.5 0.25.
func stats() []uint32 { return accepted(append(make([]uint32, 18), 384, 128, 64)...) }

// nobodysPort is a port of 127.0.0.1 on which nothing listens.
func nobodysPort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

func TestRup(t *testing.T) {
	mismatch := []uint32{1, 0, 0, 0, 2}
	good := func(uint32, uint32, uint32) []uint32 { return stats() }
	for name, tt := range map[string]struct {
		portmapper, rstatd func(program, version, nth uint32) []uint32
		version            int
		want               health.Verdict
		reason             string
		phases             []string
	}{
		"by the portmapper": {nil, good, 0, health.OK, "stats: load 1.50 0.50 0.25 (version 3, port ", []string{"portmapper", "stats"}},
		"only the newest": {nil, func(_, version, _ uint32) []uint32 {
			if version != 4 {
				return append(mismatch, 4, 5)
			}
			return accepted(append(append([]uint32{1, 9, 2, 9, 9}, make([]uint32, 11)...), 384, 128, 64)...)
		}, 0, health.OK, "(version 4", nil},
		"only the oldest": {nil, func(_, version, _ uint32) []uint32 {
			if version != 2 {
				return append(mismatch, 1, 2)
			}
			return stats()
		}, 0, health.OK, "(version 2", nil},
		"versions that it does not name": {nil, func(_, version, _ uint32) []uint32 {
			if version != 2 {
				return mismatch
			}
			return stats()
		}, 0, health.OK, "(version 2", nil},
		"none of ours": {nil, func(uint32, uint32, uint32) []uint32 { return append(mismatch, 1, 1) }, 0, health.Fail, "stats: the server has versions 1 to 1 of the program only", []string{"portmapper", "stats"}},
		"the one that was wanted is not there": {nil, func(_, version, _ uint32) []uint32 {
			if version == 4 {
				return append(mismatch, 1, 5)
			}
			return stats()
		}, 4, health.Fail, "has versions 1 to 5", nil},
		"a lost datagram": {nil, func(_, _, nth uint32) []uint32 {
			if nth == 0 {
				return nil
			}
			return stats()
		}, 0, health.OK, "load 1.50", nil},
		"not registered":            {func(uint32, uint32, uint32) []uint32 { return accepted(0) }, good, 0, health.Fail, "portmapper: no rstatd (program 100001) is registered over UDP: is rpc.rstatd running?", nil},
		"a port that is none":       {func(uint32, uint32, uint32) []uint32 { return accepted(70000) }, good, 0, health.Fail, "portmapper: the answer is no port: 00011170", nil},
		"a portmapper that refuses": {func(uint32, uint32, uint32) []uint32 { return []uint32{1, 1, 1, 5} }, good, 0, health.Fail, "portmapper: the server wants credentials (auth status 5)", nil},
		"another program there":     {nil, func(uint32, uint32, uint32) []uint32 { return []uint32{1, 0, 0, 0, 1} }, 0, health.Fail, "stats: the server does not have this program", nil},
		"a short answer":            {nil, func(uint32, uint32, uint32) []uint32 { return accepted(1, 2, 3) }, 0, health.Fail, "stats: the answer of version 3 is cut off after 12 bytes", nil},
	} {
		t.Run(name, func(t *testing.T) {
			rstatd := rpcServer(t, func(program, version, nth uint32) []uint32 {
				if program != 100001 {
					t.Errorf("rstatd is asked for program %d", program)
				}
				return tt.rstatd(program, version, nth)
			})
			portmapper := rpcServer(t, func(program, version, nth uint32) []uint32 {
				if program != 100000 || version != 2 {
					t.Errorf("the portmapper is asked for version %d of program %d", version, program)
				}
				if tt.portmapper != nil {
					return tt.portmapper(program, version, nth)
				}
				return accepted(uint32(rstatd))
			})
			c := must(health.NewRup(&health.RupConfig{Portmapper: portmapper, Version: tt.version}))
			r := check(t, c, netip.MustParseAddrPort("127.0.0.1:80"), short)
			want(t, r, tt.want, tt.reason, tt.phases...)
			if wanted := (&health.Load{One: 1.5, Five: 0.5, Fifteen: 0.25}); tt.want == health.OK {
				if diff := cmp.Diff(wanted, r.Load); diff != "" {
					t.Errorf("load (-want +got):\n%s", diff)
				}
			} else if r.Load != nil {
				t.Errorf("load %v though it failed", r.Load)
			}
		})
	}
}

func TestRupWithoutAPortmapper(t *testing.T) {
	port := rpcServer(t, func(uint32, uint32, uint32) []uint32 { return stats() })
	target := netip.MustParseAddrPort("127.0.0.1:80")
	want(t, check(t, must(health.NewRup(&health.RupConfig{Port: port})), target, short), health.OK, "load 1.50", "stats")
	shut := nobodysPort(t)
	want(t, check(t, must(health.NewRup(&health.RupConfig{Portmapper: shut})), target, short), health.Fail, "portmapper: refused; nothing listens there")
	want(t, check(t, must(health.NewRup(&health.RupConfig{Port: shut})), target, short), health.Fail, "stats: refused; nothing listens there")
	want(t, check(t, must(health.NewRup(nil)), netip.MustParseAddrPort("[::1]:80"), short), health.NoResult, "give the port of rstatd")
}

// A server that never answers is asked again and again, and given up in time.
func TestRupAsksAgain(t *testing.T) {
	var asked atomic.Int32
	port := rpcServer(t, func(uint32, uint32, uint32) []uint32 { asked.Add(1); return nil })
	target := netip.MustParseAddrPort("127.0.0.1:80")
	r := check(t, must(health.NewRup(&health.RupConfig{Port: port})), target, 1800*time.Millisecond)
	want(t, r, health.Fail, "stats: no answer within 1.8")
	if n := asked.Load(); n < 2 || n > 3 {
		t.Errorf("asked %d times within 1.8s, want 3", n)
	}
	c := must(health.NewRup(&health.RupConfig{Port: port, Dial: health.Dial{AnswerTimeout: 50 * time.Millisecond}}))
	if r := check(t, c, target, short); r.Verdict != health.Fail || r.Duration > 5*time.Second {
		t.Errorf("%v after %v (%s), want a failure after 50ms", r.Verdict, r.Duration, r.Reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	want(t, must(health.NewRup(&health.RupConfig{Port: port})).Check(ctx, health.Target{Addr: target}), health.NoResult, "cancelled by us")
}

// Whoever answers in place of the one that was asked is not heard.
func TestRupHearsNoStrangers(t *testing.T) {
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	asked, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 100)
		for {
			_, from, err := asked.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			reply := append([]byte{}, buf[:4]...)
			for _, w := range stats() {
				reply = binary.BigEndian.AppendUint32(reply, w)
			}
			_, _ = stranger.WriteToUDPAddrPort(reply, from)
			reply[0] ^= 1 // and the one that was asked answers another call
			_, _ = asked.WriteToUDPAddrPort(reply, from)
		}
	}()
	port := uint16(asked.LocalAddr().(*net.UDPAddr).Port)
	r := check(t, must(health.NewRup(&health.RupConfig{Port: port})), netip.MustParseAddrPort("127.0.0.1:80"), 300*time.Millisecond)
	want(t, r, health.Fail, "stats: no answer within")
	_ = asked.Close()
	<-ended
}

func TestRupConfig(t *testing.T) {
	for _, version := range []int{1, 5, -1} {
		if c, err := health.NewRup(&health.RupConfig{Version: version}); err == nil {
			t.Errorf("version %d is taken: %v", version, c)
		}
	}
	if _, err := health.NewRup(&health.RupConfig{Dial: health.Dial{AnswerTimeout: -1}}); err == nil {
		t.Error("a negative time-out is taken")
	}
}
