package health

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// isForbidden tells whether we lack the privilege to have such a socket. The
// same numbers from connect(2) are of routes and firewalls.
func isForbidden(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "socket" && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES))
}

// openEcho opens a datagram socket of ICMP (icmp(7)), or else a raw one.
func openEcho(a *attempt, d *Dial) (net.Conn, bool, error) {
	c, err := within(d.Namespace, func() (net.Conn, error) { return dialEcho(a, d) })
	if isForbidden(err) {
		return openRaw(a, d)
	}
	return c, false, err
}

// dialEcho makes the socket by hand: package net has no name for it.
func dialEcho(a *attempt, d *Dial) (net.Conn, error) {
	to := a.target.Addr.Addr().Unmap()
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if to.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	f, _, err := d.packetSocket(to, family, unix.SOCK_DGRAM, protocol)
	if err != nil {
		return nil, err
	}
	defer f.Close() // net.FileConn makes a socket of its own of it
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	readErrors(c)
	return c, nil
}

// packetSocket makes a socket for packets to one host, from where the check
// asks; connected, it hears those of its target alone.
func (d *Dial) packetSocket(to netip.Addr, family, kind, protocol int) (f *os.File, fd int, err error) {
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, -1, os.NewSyscallError("socket", err)
	}
	f = os.NewFile(uintptr(fd), "packets")
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := d.steer(fd); err != nil {
		return nil, -1, err
	}
	if d.Source.IsValid() {
		if err := unix.Bind(fd, sockaddr(d.Source.Unmap())); err != nil {
			return nil, -1, os.NewSyscallError("bind", err)
		}
	}
	return f, fd, unix.Connect(fd, sockaddr(to))
}

func sockaddr(addr netip.Addr) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4()}
	}
	sa := &unix.SockaddrInet6{Addr: addr.As16()}
	if addr.Zone() == "" {
		return sa
	}
	if i, err := net.InterfaceByName(addr.Zone()); err == nil {
		sa.ZoneId = uint32(i.Index)
	} else if n, err := strconv.ParseUint(addr.Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(n) // by its number, as in fe80::1%2
	}
	return sa
}
