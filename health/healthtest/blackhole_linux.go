package healthtest

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BlackHole returns an address of 127.0.0.1 where a SYN gets no answer at all,
// as behind a firewall that drops: of a server with no room for another
// connection (listen(2)), which never accepts. It ends with the test. Linux
// alone can do that without a privilege; elsewhere the test is skipped.
func BlackHole(tb testing.TB) netip.AddrPort {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("healthtest: %v", err)
	}
	tb.Cleanup(func() { l.Close() })
	raw, err := l.(syscall.Conn).SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) })
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		tb.Fatalf("healthtest: take the room away from the server: %v", err)
	}
	// With no room there is still that for one; whoever times out has met
	// the full queue.
	for range 8 {
		c, err := net.DialTimeout("tcp4", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return l.Addr().(*net.TCPAddr).AddrPort()
		}
		tb.Cleanup(func() { c.Close() })
	}
	tb.Fatalf("healthtest: %v answers every SYN", l.Addr())
	return netip.AddrPort{}
}
