package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// bfdSockets are the two sockets of a session: packets go out from a port of
// their own and come in at one that all sessions have.
type bfdSockets struct {
	out *net.UDPConn // connected to port 3784 of the peer
	in  *net.UDPConn
	oob []byte
}

// openBFD opens the sockets of a session with peer.
//
// Every session has a socket at port 3784 that is connected to the address of
// its peer, at port 0, which on Linux stands for any: so the kernel sorts the
// packets (udp_lib_lookup prefers a connected socket), and no listener has to
// be shared.
func openBFD(ctx context.Context, peer netip.Addr, d *Dial) (*bfdSockets, error) {
	steer := d.control()
	control := func(more func(fd int) error) func(string, string, syscall.RawConn) error {
		return func(network, address string, c syscall.RawConn) error {
			if steer != nil {
				if err := steer(network, address, c); err != nil {
					return err
				}
			}
			var failed error
			err := c.Control(func(fd uintptr) { failed = more(int(fd)) })
			return errors.Join(err, failed)
		}
	}
	option := func(fd, v4, v6, value int) error {
		level, name := unix.IPPROTO_IP, v4
		if peer.Is6() {
			level, name = unix.IPPROTO_IPV6, v6
		}
		return unix.SetsockoptInt(fd, level, name, value)
	}
	if err := d.sourceFits(peer); err != nil {
		return nil, err
	}
	network, local := "udp4", netip.IPv4Unspecified()
	if peer.Is6() {
		network, local = "udp6", netip.IPv6Unspecified()
	}
	if d.Source.IsValid() {
		local = d.Source
	}
	in, err := within(d.Namespace, func() (net.Conn, error) {
		l := net.ListenConfig{Control: control(func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return err
			}
			return option(fd, unix.IP_RECVTTL, unix.IPV6_RECVHOPLIMIT, 1)
		})}
		c, err := l.ListenPacket(ctx, network, zoned(netip.AddrPortFrom(local, bfdPort), d.Namespace).String())
		if err != nil {
			return nil, err
		}
		udp := c.(*net.UDPConn)
		if err := connectToAny(udp, peer); err != nil {
			udp.Close()
			return nil, err
		}
		return udp, nil
	})
	if err != nil {
		return nil, err
	}
	out, err := within(d.Namespace, func() (net.Conn, error) { return dialBFD(ctx, network, peer, d, control, option) })
	if err != nil {
		in.Close()
		return nil, err
	}
	return &bfdSockets{out: out.(*net.UDPConn), in: in.(*net.UDPConn), oob: make([]byte, unix.CmsgSpace(4)*2)}, nil
}

// dialBFD opens a socket to send from, at a free port of 49152..65535 (RFC
// 5881, section 4).
func dialBFD(ctx context.Context, network string, peer netip.Addr, d *Dial, control func(func(int) error) func(string, string, syscall.RawConn) error, option func(fd, v4, v6, value int) error) (c net.Conn, err error) {
	for range 32 {
		dialer := net.Dialer{
			LocalAddr: net.UDPAddrFromAddrPort(zoned(netip.AddrPortFrom(d.Source, 49152+uint16(rand.IntN(1<<14))), d.Namespace)),
			Control:   control(func(fd int) error { return option(fd, unix.IP_TTL, unix.IPV6_UNICAST_HOPS, bfdTTL) }),
		}
		c, err = dialer.DialContext(ctx, network, zoned(netip.AddrPortFrom(peer, bfdPort), d.Namespace).String())
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return c, err
}

// connectToAny connects a socket to an address, whatever the port is.
func connectToAny(c *net.UDPConn, peer netip.Addr) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Connect(int(fd), sockaddr(peer)) }); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("connect: %w", failed)
	}
	return nil
}

// read reads one packet and the TTL or hop limit that it came with.
func (s *bfdSockets) read(b []byte) (n, ttl int, err error) {
	n, oobn, _, _, err := s.in.ReadMsgUDPAddrPort(b, s.oob)
	if err != nil {
		return 0, 0, err
	}
	messages, err := unix.ParseSocketControlMessage(s.oob[:oobn])
	if err != nil {
		return n, 0, nil // without a TTL it is not taken
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT
		if (v4 || v6) && len(m.Data) >= 4 {
			return n, int(binary.NativeEndian.Uint32(m.Data)), nil
		}
	}
	return n, 0, nil
}

func (s *bfdSockets) close() {
	s.in.Close()
	s.out.Close()
}
