package failover

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/internal/lab"
)

// beats hears what one host sends, on the port of the switch.
type beats struct {
	file *os.File
	mu   sync.Mutex
	last time.Time
	n    int
	// since armed:
	first, announced time.Time
}

// pulsePort is that of our nodes.
const pulsePort = 539

func hear(sw *lab.Namespace, port string) (*beats, error) {
	link, err := sw.Handle().LinkByName(port)
	if err != nil {
		return nil, err
	}
	b := &beats{}
	err = sw.Do(func() error {
		// All, as the bridge takes the rest away; in the order of the wire.
		protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
		if err != nil {
			return err
		}
		b.file = os.NewFile(uintptr(fd), "beats")
		return errors.Join(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	})
	if err != nil {
		return nil, err
	}
	raw, err := b.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	go func() {
		packet, oob := make([]byte, 256), make([]byte, 64)
		_ = raw.Read(func(fd uintptr) bool { // until it is closed
			for {
				n, oobn, _, from, err := unix.Recvmsg(int(fd), packet, oob, 0)
				if err != nil {
					return false
				}
				if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype != unix.PACKET_OUTGOING {
					b.note(packet[:n], oob[:oobn])
				}
			}
		})
	}()
	return b, nil
}

// isBeat reports whether a packet of IPv4 is an advert that is not the last
// one, or a heartbeat.
func isBeat(b []byte) bool {
	if len(b) < 28 || b[0] != 0x45 {
		return false
	}
	switch b[9] {
	case vrrp.Protocol:
		return b[22] != vrrp.PriorityStop
	case unix.IPPROTO_UDP:
		return binary.BigEndian.Uint16(b[22:]) == pulsePort
	}
	return false
}

// isAnnouncement reports whether a packet of ARP says who has the address.
func isAnnouncement(b []byte) bool {
	a := vip.Addr().As4()
	return len(b) >= 28 && b[0] == 0 && b[1] == 1 && [4]byte(b[14:]) == a && [4]byte(b[24:]) == a
}

func (b *beats) note(packet, oob []byte) {
	at := time.Now()
	if d, err := timestamp(oob); err == nil {
		at = d
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case isBeat(packet):
		b.last = at
		b.n++
		if b.first.IsZero() {
			b.first = at
		}
	case isAnnouncement(packet) && b.announced.IsZero():
		b.announced = at
	}
}

// arm begins to look for the first beat and the first announcement.
func (b *beats) arm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first, b.announced = time.Time{}, time.Time{}
}

// effect returns the time from the first beat to the first announcement.
func (b *beats) effect() (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.announced.Sub(b.first), !b.first.IsZero() && !b.announced.IsZero()
}

// count returns how many beats there were, and when the last one was.
func (b *beats) count() (n int, last time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.last
}
