//go:build linux && (netns || peers)

package failover_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// busyVariable is how long the busy loops run, as 10m; empty is a short time.
const busyVariable = "LVSKIT_BUSY"

const (
	busyLoops  = 8
	busyAdvert = 10 * time.Millisecond
)

func busyTime(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(busyVariable)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// startBurning starts the busy loops and returns what ends them.
func startBurning(t *testing.T) (stop func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), burnVariable+"="+strconv.Itoa(busyLoops))
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	stop = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// advertCount counts the adverts of the wire by who sent them.
type advertCount struct {
	mu     sync.Mutex
	counts map[netip.Addr]int
	gap    time.Duration // the longest between two of one sender
	last   map[netip.Addr]time.Time
}

// countAdverts counts until the test ends what hosts send.
func (w *wire) countAdverts(hosts ...*peer) *advertCount {
	w.t.Helper()
	a := &advertCount{counts: make(map[netip.Addr]int), last: make(map[netip.Addr]time.Time)}
	var fd int
	ports := make(map[int]bool)
	for _, h := range hosts {
		link, err := w.sw.Handle().LinkByName(h.port)
		must(w.t, err)
		ports[link.Attrs().Index] = true
	}
	must(w.t, w.sw.Do(func() (err error) {
		const ip = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xffff // in network order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ip); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) // more patience
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ip})
	}))
	file := os.NewFile(uintptr(fd), "packets")
	raw, err := file.SyscallConn()
	must(w.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, oob := make([]byte, 2048), make([]byte, 256)
		_ = raw.Read(func(fd uintptr) bool {
			for {
				n, oobn, _, from, err := unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT)
				if err != nil {
					return false // until it is closed
				}
				if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype != unix.PACKET_OUTGOING && ports[ll.Ifindex] {
					a.take(b[:n], oob[:oobn])
				}
			}
		})
	}()
	w.t.Cleanup(func() { _ = file.Close(); <-done })
	return a
}

func (a *advertCount) take(b, oob []byte) {
	if len(b) < 28 || b[0]>>4 != 4 || b[9] != vrrp.Protocol || b[20]>>4 != 3 {
		return
	}
	at := time.Now()
	if m, err := unix.ParseSocketControlMessage(oob); err == nil && len(m) > 0 && len(m[0].Data) == 16 {
		at = time.Unix(int64(binary.NativeEndian.Uint64(m[0].Data)), int64(binary.NativeEndian.Uint64(m[0].Data[8:])))
	}
	from := netip.AddrFrom4([4]byte(b[12:]))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[from]++
	if last, ok := a.last[from]; ok {
		a.gap = max(a.gap, at.Sub(last))
	}
	a.last[from] = at
}

// since returns how many adverts came since the last call, and the longest gap
// between two of one sender.
func (a *advertCount) since() (n int, gap time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.counts {
		n += c
	}
	gap = a.gap
	a.gap = 0
	clear(a.counts)
	clear(a.last)
	return n, gap
}

// busyPair runs two daemons of ours beside busy loops and returns how often one
// took over from the other for no reason, and what share of the adverts was sent.
func busyPair(t *testing.T, span time.Duration, change func(*daemonConfig)) (falsely int, share float64, realTime bool) {
	t.Helper()
	d1, d2 := routerPair(t, func(_ bool, c *daemonConfig) {
		if change != nil {
			change(c)
		}
	})
	adverts := d1.host.w.countAdverts(d1.host, d2.host)
	stop := startBurning(t)
	time.Sleep(200 * time.Millisecond) // until they burn
	adverts.since()
	before := d1.count("-> active") + d2.count("-> active")
	begun := time.Now()
	time.Sleep(span)
	n, gap := adverts.since()
	share = float64(n) / (float64(time.Since(begun)) / float64(busyAdvert))
	falsely = d1.count("-> active") + d2.count("-> active") - before
	stop()
	realTime = d1.count(" real-time ") > 0 && d2.count(" real-time ") > 0
	t.Logf("%d busy loops, %v, real time %v: %d false take-overs, %.2f %% of the adverts sent, longest gap %v, stalls told %d",
		busyLoops, span, realTime, falsely, 100*share, gap, d1.count("stalled")+d2.count("stalled"))
	return falsely, share, realTime
}
