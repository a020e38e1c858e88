package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connectPaths are the two ways to connect: that of this system, and that of
// package net. They must not differ in what they tell.
var connectPaths = map[string]func(*attempt, *Dial) error{
	"of this system": (*attempt).connect,
	"of package net": (*attempt).connectByNet,
}

// connectBy is a TCP check by one of the ways.
func connectBy(ctx context.Context, way func(*attempt, *Dial) error, d Dial, addr netip.AddrPort) Result {
	a, cancel := begin(ctx, Target{Addr: addr})
	defer cancel()
	if err := way(a, &d); err != nil {
		return a.failed("connect", err)
	}
	return a.ok("connect", "accepted")
}

func listenOn(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestConnectWays(t *testing.T) {
	four := listenOn(t, "127.0.0.1:0")
	six := listenOn(t, "[::1]:0")
	nobody := netip.AddrPortFrom(four.Addr(), 1)
	full := silent(t)
	tests := map[string]struct {
		dial    Dial
		addr    netip.AddrPort
		ctx     func() (context.Context, context.CancelFunc)
		verdict Verdict
		reason  string
	}{
		"accepted":                 {Dial{}, four, nil, OK, "accepted"},
		"accepted with a FIN":      {Dial{Graceful: true}, four, nil, OK, "accepted"},
		"accepted over IPv6":       {Dial{}, six, nil, OK, "accepted"},
		"accepted, mapped":         {Dial{}, netip.AddrPortFrom(netip.AddrFrom16(four.Addr().As16()), four.Port()), nil, OK, "accepted"},
		"accepted, unspecified":    {Dial{}, netip.AddrPortFrom(netip.IPv4Unspecified(), four.Port()), nil, OK, "accepted"},
		"accepted from a source":   {Dial{Source: four.Addr()}, four, nil, OK, "accepted"},
		"accepted from a source 6": {Dial{Source: six.Addr()}, six, nil, OK, "accepted"},
		"refused":                  {Dial{}, nobody, nil, Fail, "refused; nothing listens there"},
		"refused over IPv6":        {Dial{}, netip.AddrPortFrom(six.Addr(), 1), nil, Fail, "refused; nothing listens there"},
		"a source of others":       {Dial{Source: netip.MustParseAddr("192.0.2.77")}, four, nil, NoResult, "the source is no address of this machine"},
		"silence":                  {Dial{}, full, within30ms, Fail, "no answer within"},
		"silence in a phase":       {Dial{ConnectTimeout: 30 * time.Millisecond}, full, nil, Fail, "no answer within"},
		"cancelled":                {Dial{}, full, cancelled(30 * time.Millisecond), NoResult, "cancelled by us"},
		"cancelled before":         {Dial{}, full, cancelled(0), NoResult, "cancelled by us"},
		"a device of nobody":       {Dial{Device: "none9"}, four, nil, NoResult, "cannot bind the socket to device none9"},
		"no such family of source": {Dial{Source: six.Addr()}, four, nil, NoResult, "one is of IPv4, the other of IPv6"},
	}
	for way, connect := range connectPaths {
		for name, tt := range tests {
			t.Run(way+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if tt.ctx != nil {
					ctx, cancel = tt.ctx()
					defer cancel()
				}
				began := time.Now()
				r := connectBy(ctx, connect, tt.dial, tt.addr)
				if r.Verdict != tt.verdict || !strings.Contains(r.Reason, tt.reason) || !strings.HasPrefix(r.Reason, "connect: ") {
					t.Errorf("%v, %q; want %v with %q", r.Verdict, r.Reason, tt.verdict, tt.reason)
				}
				if len(r.Phases) != 1 || r.Phases[0].Name != "connect" {
					t.Errorf("phases %v", r.Phases)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}

func within30ms() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Millisecond)
}

func cancelled(after time.Duration) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(context.Background())
		if after == 0 {
			cancel()
		}
		time.AfterFunc(after, cancel)
		return ctx, cancel
	}
}

// silent returns a port whose queue of connections is full: the kernel leaves
// further ones without an answer.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(local.(*unix.SockaddrInet4).Port))
	for range 16 {
		c, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("its queue does not fill")
	return addr
}
