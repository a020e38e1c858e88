package failover

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/frame"
)

// The process may run with its garbage collector off and with real-time
// priority, so what strangers send must cost it no memory and little time,
// whatever passes the filter.
func TestClaimReaderCostsLittle(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	ours := netip.MustParseAddr("192.0.2.100")
	r := &claimReader{
		file: os.NewFile(uintptr(fds[0]), "frames"), device: "eth0", own: [6]byte{2, 0, 0, 0, 0, 1}, read: frame.ReadARP,
		claims: map[netip.Addr]*claim{ours: new(claim)},
	}
	seen, ended := make(chan Sighting, 100), make(chan struct{})
	go func() {
		defer close(ended)
		r.run(func(s Sighting) {
			if s.Address == ours {
				seen <- s
			}
		})
	}()
	frame := func(last byte, addr string) []byte {
		f, err := frame.GratuitousARP(net.HardwareAddr{2, 0, 0, 0, 0, last}, netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	claimed, stranger, own := frame(9, "192.0.2.100"), frame(9, "192.0.2.7"), frame(1, "192.0.2.100")
	send := func(f []byte) {
		if _, err := unix.Write(fds[1], f); err != nil {
			t.Error(err)
		}
	}
	send(claimed)
	first := <-seen
	var before, after runtime.MemStats
	const n = 5_000
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for range n {
		send(stranger)
		send(own)
		send(claimed)
	}
	if took, least := time.Since(begin), 3*n/claimBurst*claimSpacing; took < least/2 {
		t.Errorf("%d frames were read in %v, want %v", 3*n, took, least)
	}
	runtime.ReadMemStats(&after)
	time.Sleep(2 * claimSpacing)
	send(claimed)
	var last Sighting
	for last.Address != ours || len(seen) > 0 {
		last = <-seen
	}
	if &first.MAC[0] != &last.MAC[0] {
		t.Error("the same MAC has cost memory twice")
	}
	if got := after.Mallocs - before.Mallocs; got > n/100 {
		t.Errorf("%d allocations for %d frames", got, 3*n)
	}
	closeAll([]*claimReader{r})
	<-ended
}
