package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mdlayher/packet"

	"github.com/lvskit/lvskit/failover/internal/frame"
	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

const (
	// Announcements go out in small bursts, as some switches drop large ones
	// of ARP: 8 a millisecond are a thousand addresses in an eighth of a second.
	announceBurst = 8
	announcePause = time.Millisecond
)

// linkAnnouncer sends gratuitous ARP and unsolicited neighbour advertisements
// on packet sockets.
type linkAnnouncer struct{ namespace string }

func (l linkAnnouncer) Announce(ctx context.Context, addrs []VirtualAddress) error {
	var errs []error
	var sockets []*announceSocket
	names, by := devices(addrs)
	for _, name := range names {
		s, err := l.open(name)
		if err == nil {
			sockets = append(sockets, s)
			err = s.tell(ctx, by[name])
		}
		errs = append(errs, announceError(name, err))
	}
	closeSockets(sockets)
	return errors.Join(errs...)
}

func announceError(device string, err error) error {
	if err != nil {
		return fmt.Errorf("failover: announce on %q: %w", device, err)
	}
	return nil
}

// announceSocket is a packet socket on one device.
type announceSocket struct {
	device *net.Interface
	conn   *packet.Conn // nil for loopback and tunnels: nobody to tell
	router bool
}

func (l linkAnnouncer) open(name string) (*announceSocket, error) {
	s := &announceSocket{}
	err := rtnl.Inside(l.namespace, func() (err error) {
		if s.device, err = net.InterfaceByName(name); err != nil {
			return err
		}
		if len(s.device.HardwareAddr) != 6 {
			return nil
		}
		v, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
		s.router = err == nil && strings.TrimSpace(string(v)) != "0"
		// Protocol 0 receives nothing.
		s.conn, err = packet.Listen(s.device, packet.Raw, 0, nil)
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w; run as root or give CAP_NET_RAW", err)
		}
		return err
	})
	return s, err
}

// closeSockets closes them without waiting, as the kernel takes some ten
// milliseconds for each, until no processor may be using it any more.
func closeSockets(sockets []*announceSocket) {
	go func() {
		for _, s := range sockets {
			if s.conn != nil {
				_ = s.conn.Close() // nothing is buffered in it
			}
		}
	}()
}

// send sends n frames on a device; frame makes each, as that of announceSocket.
func (l linkAnnouncer) send(ctx context.Context, name string, n int, frame func(i int, hw net.HardwareAddr, router bool) ([]byte, error)) error {
	s, err := l.open(name)
	if err != nil {
		return err
	}
	defer closeSockets([]*announceSocket{s})
	return s.send(ctx, n, frame)
}

// tell tells the neighbours of addresses.
func (s *announceSocket) tell(ctx context.Context, addrs []VirtualAddress) error {
	return s.send(ctx, len(addrs), func(i int, hw net.HardwareAddr, router bool) ([]byte, error) {
		if a := addrs[i].Prefix.Addr(); a.Is6() {
			return frame.Advertisement(hw, a, router), nil
		}
		return frame.GratuitousARP(hw, addrs[i].Prefix.Addr())
	})
}

// send sends n frames, spread over time. frame makes each, for the device's
// hardware address; router says whether the device forwards IPv6. It sends
// nothing where nobody is to be told. A frame that cannot be sent, as when the
// queue of the device is full, takes none of the others along.
func (s *announceSocket) send(ctx context.Context, n int, frame func(i int, hw net.HardwareAddr, router bool) ([]byte, error)) error {
	conn := s.conn
	if conn == nil {
		return nil
	}
	// A driver that takes nothing must not hold up the next role.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	defer stop()

	var wrong error // the first
	lost := 0
	for i := range n {
		// A frame after the role is lost would teach the neighbours wrongly.
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%announceBurst == announceBurst-1 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(announcePause):
			}
		}
		f, err := frame(i, s.device.HardwareAddr, s.router)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}); err != nil {
			wrong = cmp.Or(wrong, err)
			lost++
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d frames could not be sent: %w", lost, n, wrong)
	}
	return nil
}
