package failover

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawIO is what the system calls of a socket work on, made once: what goes on
// all the time makes no garbage. x/sys/unix makes an address of each packet.
type rawIO struct {
	errno unix.Errno

	in     unix.Msghdr
	inIO   unix.Iovec
	inOOB  [256]byte
	from   unix.RawSockaddrAny
	inSize int

	out    unix.Msghdr
	outIO  unix.Iovec
	outOOB []byte
	to4    unix.RawSockaddrInet4
	to6    unix.RawSockaddrInet6
}

// init makes them ready for packets that go out with these control messages.
func (r *rawIO) init(control []byte) {
	r.in.Iov, r.out.Iov = &r.inIO, &r.outIO
	r.in.SetIovlen(1)
	r.out.SetIovlen(1)
	r.in.Name = (*byte)(unsafe.Pointer(&r.from))
	r.in.Control = &r.inOOB[0]
	if len(control) > 0 {
		r.outOOB = control
		r.out.Control = &r.outOOB[0]
		r.out.SetControllen(len(r.outOOB))
	}
	r.to4.Family, r.to6.Family = unix.AF_INET, unix.AF_INET6
}

// receive takes one packet from the socket, into b.
func (r *rawIO) receive(fd uintptr, b []byte) {
	r.inIO.Base = &b[0]
	r.inIO.SetLen(len(b))
	r.in.Namelen = unix.SizeofSockaddrAny
	r.in.SetControllen(len(r.inOOB))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.in)), unix.MSG_DONTWAIT)
	r.inSize, r.errno = int(n), errno
	r.inIO.Base = nil
}

// control returns the control messages of the packet that came.
func (r *rawIO) control() []byte { return r.inOOB[:r.in.Controllen] }

// source returns who sent it, if that is an address of IPv6.
func (r *rawIO) source() (a netip.Addr, ok bool) {
	if r.from.Addr.Family != unix.AF_INET6 {
		return a, false
	}
	return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&r.from)).Addr), true
}

// sender returns who sent it, without a zone.
func (r *rawIO) sender() (from netip.AddrPort) {
	switch r.from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkOrder(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(&r.from))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), networkOrder(a.Port))
	}
	return from
}

// networkOrder reads a number that is in network order in memory.
func networkOrder(v uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&v))[:])
}

// send sends b, which is not empty, out of the device with this index.
func (r *rawIO) send(fd uintptr, b []byte, to netip.Addr, index int) {
	if to.Is6() {
		r.to6.Addr, r.to6.Scope_id = to.As16(), uint32(index)
		r.out.Name, r.out.Namelen = (*byte)(unsafe.Pointer(&r.to6)), unix.SizeofSockaddrInet6
	} else {
		r.to4.Addr = to.As4()
		r.out.Name, r.out.Namelen = (*byte)(unsafe.Pointer(&r.to4)), unix.SizeofSockaddrInet4
	}
	r.outIO.Base = &b[0]
	r.outIO.SetLen(len(b))
	_, _, r.errno = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&r.out)), unix.MSG_DONTWAIT)
	r.outIO.Base = nil
}

// peek returns 0 if there is a packet, or why none can be had.
func peek(fd uintptr) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// waiter waits for a packet, which stays where it is.
type waiter struct {
	raw     syscall.RawConn
	peeking func(fd uintptr) bool
	peeked  unix.Errno
}

func (w *waiter) init(raw syscall.RawConn) {
	w.raw = raw
	w.peeking = func(fd uintptr) bool {
		for {
			if w.peeked = peek(fd); w.peeked != unix.EINTR {
				return w.peeked != unix.EAGAIN
			}
		}
	}
}

// Wait returns when there is a packet.
func (w *waiter) Wait() error {
	err := w.raw.Read(w.peeking)
	return both(err, w.peeked)
}

// both joins what the descriptor and the system call said.
func both(err error, errno unix.Errno) error {
	if errno == 0 {
		return err
	}
	return errors.Join(err, errno)
}
