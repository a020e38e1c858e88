package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mdlayher/packet"
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
	names, by := devices(addrs)
	for _, name := range names {
		list := by[name]
		err := l.send(ctx, name, len(list), func(i int, hw net.HardwareAddr, router bool) ([]byte, error) {
			if a := list[i].Prefix.Addr(); a.Is6() {
				return neighbourAdvertisement(hw, a, router), nil
			}
			return gratuitousARP(hw, list[i].Prefix.Addr())
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("failover: announce on %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// send sends n frames on a device, spread over time. frame makes each, for the
// device's hardware address; router says whether the device forwards IPv6. It
// sends nothing where nobody is to be told.
func (l linkAnnouncer) send(ctx context.Context, name string, n int, frame func(i int, hw net.HardwareAddr, router bool) ([]byte, error)) error {
	var (
		ifi    *net.Interface
		conn   *packet.Conn
		router bool
	)
	err := inNamespace(l.namespace, func() (err error) {
		if ifi, err = net.InterfaceByName(name); err != nil {
			return err
		}
		if len(ifi.HardwareAddr) != 6 {
			return nil // loopback, tunnels: nobody to tell
		}
		v, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
		router = err == nil && strings.TrimSpace(string(v)) != "0"
		// Protocol 0 receives nothing.
		conn, err = packet.Listen(ifi, packet.Raw, 0, nil)
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w; run as root or give CAP_NET_RAW", err)
		}
		return err
	})
	if err != nil || conn == nil {
		return err
	}
	defer conn.Close()
	// A driver that takes nothing must not hold up the next role.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	defer stop()

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
		f, err := frame(i, ifi.HardwareAddr, router)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}); err != nil {
			return fmt.Errorf("frame %d of %d: %w", i+1, n, err)
		}
	}
	return nil
}
