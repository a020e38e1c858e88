package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connect opens and closes a TCP connection with no more system calls than
// that takes. Package net makes a connection ready for use, of which there is
// none here, and always waits for its poller, although a server on this
// machine has answered by the time that connect(2) returns.
func (a *attempt) connect(d *Dial) error {
	a.dial = d
	addr := netip.AddrPortFrom(a.target.Addr.Addr().Unmap(), a.target.Addr.Port())
	if addr.Addr().Zone() != "" || d.Source.Zone() != "" {
		return a.connectByNet(d) // which knows how to look zones up
	}
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if err := d.sourceFits(addr.Addr()); err != nil {
		return err
	}
	fd, err := within(d.Namespace, func() (int, error) { return d.socket(addr) })
	if err != nil {
		return err
	}
	return a.connectSocket(d, fd, addr)
}

// openWithin opens a TCP connection in another network namespace. Only the
// socket is made there: to wait there as well would take a thread for each
// connection under way, of which a Go program may not have 10,000.
func (a *attempt) openWithin(d *Dial) (net.Conn, error) {
	addr := netip.AddrPortFrom(a.target.Addr.Addr().Unmap(), a.target.Addr.Port())
	fd, err := within(d.Namespace, func() (int, error) { return d.socket(addr) })
	if err != nil {
		return nil, err
	}
	f, err := a.connected(d, fd, addr, unix.Connect(fd, sockaddrPort(addr)))
	if err != nil {
		return nil, err
	}
	defer f.Close() // FileConn has a descriptor of its own
	return net.FileConn(f)
}

// socket makes a socket that is ready to connect to addr.
func (d *Dial) socket(addr netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, dialError(addr, "socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := d.steer(fd); err != nil {
		return -1, err
	}
	if d.Source.IsValid() {
		bindLate(fd)
		if err := unix.Bind(fd, sockaddrPort(netip.AddrPortFrom(d.Source.Unmap(), 0))); err != nil {
			return -1, dialError(addr, "bind", err)
		}
	}
	return fd, nil
}

// connectSocket connects fd and closes it in any case.
func (a *attempt) connectSocket(d *Dial, fd int, addr netip.AddrPort) error {
	err := unix.Connect(fd, sockaddrPort(addr))
	if err == nil {
		err := selfConnected(fd, addr)
		if !d.Graceful {
			resetOnClose(fd)
		}
		unix.Close(fd)
		return err
	}
	f, err := a.connected(d, fd, addr, err)
	if err != nil {
		return err
	}
	if !d.Graceful {
		resetOnClose(fd)
	}
	return f.Close()
}

// connected waits until fd is connected, after connect(2) gave this error, and
// closes it if it cannot be.
func (a *attempt) connected(d *Dial, fd int, addr netip.AddrPort, first error) (_ *os.File, err error) {
	f := os.NewFile(uintptr(fd), "") // non-blocking, so it comes under the runtime's poller
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	switch first {
	case nil, unix.EINPROGRESS, unix.EINTR:
	default:
		return nil, dialError(addr, "connect", first)
	}
	stop, err := a.await(f, d.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Write(func(uintptr) bool {
		// Look before each wait: what the poller saw before this call, it
		// has forgotten.
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch errno := syscall.Errno(code); {
		case err != nil:
			failed = err
			return true
		case errno == unix.EINPROGRESS, errno == unix.EALREADY, errno == unix.EINTR:
			return false
		case errno != 0 && errno != unix.EISCONN:
			failed = dialError(addr, "connect", errno)
			return true
		}
		// Connected is who has a peer.
		if _, err := unix.Getpeername(fd); err != nil {
			return false
		}
		if failed = selfConnected(fd, addr); failed != nil {
			resetOnClose(fd)
		}
		return true
	})
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// await sets the deadline of a connection under way, and ends it with the
// check.
func (a *attempt) await(f *os.File, connectTimeout time.Duration) (stop func() bool, err error) {
	end, bounded := a.ctx.Deadline()
	if connectTimeout > 0 && (!bounded || time.Until(end) > connectTimeout) {
		end = time.Now().Add(connectTimeout)
	}
	if err := f.SetWriteDeadline(end); err != nil {
		return nil, err
	}
	return context.AfterFunc(a.ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) }), nil
}

// dialError is what package net would return.
func dialError(addr netip.AddrPort, call string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: os.NewSyscallError(call, err)}
}

func sockaddrPort(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// selfConnected is errSelfConnect if both ends of the socket are one.
func selfConnected(fd int, to netip.AddrPort) error {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		if local.Port != int(to.Port()) {
			return nil
		}
		if peer, err := unix.Getpeername(fd); err == nil && local.Addr == peer.(*unix.SockaddrInet4).Addr {
			return errSelfConnect
		}
	case *unix.SockaddrInet6:
		if local.Port != int(to.Port()) {
			return nil
		}
		if peer, err := unix.Getpeername(fd); err == nil && local.Addr == peer.(*unix.SockaddrInet6).Addr {
			return errSelfConnect
		}
	}
	return nil
}

// resetOnClose makes close(2) send a RST (SO_LINGER of 0 s, socket(7)).
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// bindLate lets connect choose the local port of a socket that is bound to an
// address: bind would take one of some 28,000 for all targets together rather
// than for each (IP_BIND_ADDRESS_NO_PORT, ip(7); IPv6 sockets heed it, too).
func bindLate(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}
