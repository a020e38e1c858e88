package failover

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// ipv6MulticastAll is of linux/in6.h, since Linux 4.20.
	ipv6MulticastAll = 29
)

// ListenAdverts opens a raw socket for one device (raw(7), ip(7), ipv6(7)).
func (t RawIP) ListenAdverts(_ context.Context, s AdvertSocket) (AdvertConn, error) {
	index, source, err := t.place(&s)
	if err != nil {
		return nil, err
	}
	c := &rawConn{namespace: t.Namespace, device: s.Device, index: index, source: source, six: s.Group.Is6()}
	if c.six {
		c.io.init(unix.PktInfo6(&unix.Inet6Pktinfo{Addr: source.As16(), Ifindex: uint32(index)}))
	} else {
		c.io.init(unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index), Spec_dst: source.As4()}))
	}
	c.calls()
	if c.request, err = unix.NewIfreq(s.Device); err != nil {
		return nil, fmt.Errorf("failover: device %q: %w", s.Device, err)
	}
	err = rtnl.Inside(t.Namespace, func() error {
		family := unix.AF_INET
		if c.six {
			family = unix.AF_INET6
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, vrrp.Protocol)
		if err != nil {
			return err
		}
		c.file = os.NewFile(uintptr(fd), "vrrp")
		var raw syscall.RawConn
		if err = c.prepare(fd, s.Group); err == nil {
			raw, err = c.file.SyscallConn()
		}
		if err != nil {
			return errors.Join(err, c.file.Close())
		}
		c.waiter.init(raw)
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("failover: open a raw socket: %w; run as root or give CAP_NET_RAW", err)
	case err != nil:
		return nil, fmt.Errorf("failover: open a raw socket on %q: %w", s.Device, err)
	}
	return c, nil
}

// place finds the device and the address to send from.
func (t RawIP) place(s *AdvertSocket) (index int, source netip.Addr, err error) {
	h, err := rtnl.Open(t.Namespace)
	if err != nil {
		return 0, source, err
	}
	defer h.Close()
	link, list, err := rtnl.Device(h, s.Device, netip.PrefixFrom(s.Group, s.Group.BitLen()))
	if err != nil {
		return 0, source, err
	}
	index = link.Attrs().Index
	if s.Source.IsValid() {
		return index, s.Source.WithZone(""), nil
	}
	six := s.Group.Is6()
	linkLocal := six && (len(s.Peers) == 0 || s.Peers[0].IsLinkLocalUnicast())
	for _, a := range list {
		addr := rtnl.Prefix(a.IPNet).Addr()
		unusable := a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0
		if addr.Is6() == six && !unusable && (!six || addr.IsLinkLocalUnicast() == linkLocal) && !slices.Contains(s.Virtual, addr) {
			return index, addr, nil
		}
	}
	kind := "IPv4 address"
	switch {
	case linkLocal:
		kind = "link-local IPv6 address"
	case six:
		kind = "global IPv6 address"
	}
	return 0, source, fmt.Errorf("failover: device %q has no %s to send adverts from, but for virtual ones: give it one, name the source, or have another device carry the adverts", s.Device, kind)
}

// rawConn is a raw socket on one device.
type rawConn struct {
	waiter
	file      *os.File
	namespace string
	device    string
	index     int
	source    netip.Addr
	six       bool

	// Of Receive, Send and Check, which are not called at once.
	io        rawIO
	receiving func(fd uintptr)
	buffer    []byte
	packet    AdvertPacket
	got       bool
	sending   func(fd uintptr)
	payload   []byte
	to        netip.Addr
	checking  func(fd uintptr)
	request   *unix.Ifreq
	number    error
	flags     error
	present   int
	up        uint16
}

func (c *rawConn) prepare(fd int, group netip.Addr) error {
	if err := unix.BindToDevice(fd, c.device); err != nil {
		return err
	}
	type option struct{ level, name, value int }
	options := []option{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}}
	var join error
	if c.six {
		options = append(options,
			option{unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, checksumAt},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, c.index},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, vrrp.TTL},
			option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, vrrp.TTL},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, controlClass},
			option{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			option{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1})
		// Before Linux 4.20 the socket hears the groups of others, too; our
		// group is the only one that adverts come to.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, ipv6MulticastAll, 0)
		join = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(c.index)})
	} else {
		options = append(options,
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, vrrp.TTL},
			option{unix.IPPROTO_IP, unix.IP_TTL, vrrp.TTL},
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			option{unix.IPPROTO_IP, unix.IP_TOS, controlClass})
		join = errors.Join(
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(c.index)}),
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(c.index)}))
	}
	if join != nil {
		return fmt.Errorf("join %v: %w", group, join)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("option %d of level %d: %w", o.name, o.level, err)
		}
	}
	// What came before the socket was bound may be of another device.
	for range drainLimit {
		if _, _, err := unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	return nil
}

// Source returns the address that packets are sent from.
func (c *rawConn) Source() netip.Addr { return c.source }

// Close ends the socket.
func (c *rawConn) Close() error { return c.file.Close() }

// calls makes the functions that the descriptor is lent to.
func (c *rawConn) calls() {
	c.receiving = func(fd uintptr) {
		for range drainLimit {
			switch c.io.receive(fd, c.buffer); c.io.errno {
			case unix.EINTR:
				continue
			case 0:
				if c.packet, c.got = c.read(c.buffer[:c.io.inSize]); c.got {
					return
				}
			default:
				return
			}
		}
	}
	c.sending = func(fd uintptr) {
		for range 3 {
			if c.io.send(fd, c.payload, c.to, c.index); c.io.errno != unix.EINTR {
				return
			}
		}
	}
	c.checking = func(fd uintptr) {
		if c.number = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, c.request); c.number == nil {
			c.present = int(c.request.Uint32())
			if c.flags = unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, c.request); c.flags == nil {
				c.up = c.request.Uint16()
			}
		}
	}
}

// Receive takes the next packet from the socket. What is not to be read as one
// is passed over.
func (c *rawConn) Receive(b []byte) (p AdvertPacket, ok bool, err error) {
	c.buffer, c.got = b, false
	err = c.raw.Control(c.receiving)
	c.buffer = nil
	if c.io.errno == unix.EAGAIN {
		c.io.errno = 0
	}
	return c.packet, c.got, both(err, c.io.errno)
}

// read puts together what the kernel told of a packet.
func (c *rawConn) read(b []byte) (p AdvertPacket, ok bool) {
	if from, is6 := c.io.source(); c.six && is6 {
		p.Source, p.Payload = from, b
	} else if p, ok = cutIPv4(b); !ok {
		return p, false
	}
	for rest := c.io.control(); len(rest) >= unix.CmsgLen(0); {
		header, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return p, false
		}
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS:
			p.At = kernelTime(data)
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.TTL = uint8(binary.NativeEndian.Uint32(data))
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			p.Destination = netip.AddrFrom16([16]byte(data))
		}
		rest = next
	}
	return p, p.Destination.IsValid()
}

// kernelTime reads a struct timespec, of which each half is a long.
func kernelTime(b []byte) time.Time {
	switch len(b) {
	case 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:])))
	case 8:
		return time.Unix(int64(int32(binary.NativeEndian.Uint32(b))), int64(int32(binary.NativeEndian.Uint32(b[4:]))))
	}
	return time.Time{}
}

// Send sends one payload from the source, out of the device.
func (c *rawConn) Send(payload []byte, to netip.Addr) error {
	c.payload, c.to = payload, to
	err := c.raw.Control(c.sending)
	c.payload = nil
	switch err = both(err, c.io.errno); {
	case err == nil:
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: a firewall drops it: let protocol %d out", err, vrrp.Protocol)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENETUNREACH):
		if c.lostSource() { // which kernels tell in several ways
			return fmt.Errorf("%w: %w: %v is no address of this machine any more", fs.ErrNotExist, err, c.source)
		}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: %w: the device %q is gone", fs.ErrNotExist, err, c.device)
	}
	return err
}

// lostSource reports whether the source is known to be no address of the
// machine any more.
func (c *rawConn) lostSource() bool {
	h, err := rtnl.Open(c.namespace)
	if err != nil {
		return false
	}
	defer h.Close()
	list, err := h.AddrList(nil, netlink.FAMILY_ALL)
	return err == nil && !slices.ContainsFunc(list, func(a netlink.Addr) bool { return rtnl.Prefix(a.IPNet).Addr() == c.source })
}

// Check looks whether the device is the one that it was, up and connected.
func (c *rawConn) Check() error {
	c.number, c.flags = nil, nil
	err := c.raw.Control(c.checking)
	number, flags, up := c.number, c.flags, c.up
	switch err = errors.Join(err, number, flags); {
	case errors.Is(err, unix.ENODEV) || err == nil && c.present != c.index:
		return fmt.Errorf("failover: device %q: %w; it is gone, or another one has its name", c.device, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("failover: device %q: %w", c.device, err)
	case up&unix.IFF_UP == 0:
		return fmt.Errorf("failover: device %q is down: set it up", c.device)
	case up&unix.IFF_RUNNING == 0:
		return fmt.Errorf("failover: device %q has no carrier: look at its cable, or at what it runs on", c.device)
	}
	return nil
}

var _ AdvertConn = (*rawConn)(nil)
