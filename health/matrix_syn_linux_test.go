package health_test

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// synCells are half-open checks of ports that listen, refuse and are silent;
// what a program behind one does is nothing to them.
func synCells(t *testing.T, kind string) []cell {
	if os.Geteuid() != 0 {
		return nil // TestNetnsSYNNeedsAPrivilege says what comes without it
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	check := must(kindOf(kind, nil))
	return []cell{
		{name: kind + ", a port that listens", check: check, timeout: short, wants: oks, reason: "connect: SYN/ACK", target: health.Target{Addr: netip.MustParseAddrPort(ln.Addr().String())}},
		{name: kind + ", a port that refuses", check: check, timeout: short, wants: fails, reason: "connect: refused", target: health.Target{Addr: refusedAddr(t)}},
		{name: kind + ", a port that is silent", check: check, timeout: little, wants: fails, reason: "connect: no answer", target: health.Target{Addr: healthtest.BlackHole(t)}},
	}
}
