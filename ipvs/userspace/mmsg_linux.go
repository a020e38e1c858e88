package userspace

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is the number of datagrams that one system call moves.
	batchSize = 32
	// maxDatagram is more than any UDP payload has.
	maxDatagram = 64 << 10
)

// mmsghdr is the kernel's struct of that name (recvmmsg(2)).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// udpAddr is an address of either family in the kernel's form.
type udpAddr struct {
	raw unix.RawSockaddrInet6 // the larger one of the two
	len uint32
}

func newUDPAddr(a netip.AddrPort) udpAddr {
	var s udpAddr
	if a.Addr().Is4() {
		s.len = unix.SizeofSockaddrInet4
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		in.Family, in.Addr = unix.AF_INET, a.Addr().As4()
		putPort(&in.Port, a.Port())
		return s
	}
	s.len = unix.SizeofSockaddrInet6
	s.raw.Family, s.raw.Addr = unix.AF_INET6, a.Addr().As16()
	putPort(&s.raw.Port, a.Port())
	return s
}

// addrPort returns the address; any but IPv4 and IPv6 is the zero value.
func (s *udpAddr) addrPort() netip.AddrPort {
	switch s.raw.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), getPort(&in.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), getPort(&s.raw.Port))
	}
	return netip.AddrPort{}
}

// Ports are in network order.
func putPort(to *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(to))[:], port)
}

func getPort(from *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(from))[:])
}

// batch holds datagrams between two system calls. Buffers take memory only
// where a datagram touched them.
type batch struct {
	bufs  [batchSize]*[maxDatagram]byte
	in    [batchSize]mmsghdr
	inIov [batchSize]unix.Iovec
	names [batchSize]udpAddr
	out   [batchSize]mmsghdr
	iov   [batchSize]unix.Iovec
}

func newBatch() *batch {
	b := &batch{}
	all := make([]byte, batchSize*maxDatagram)
	for i := range b.bufs {
		b.bufs[i] = (*[maxDatagram]byte)(all[i*maxDatagram:])
		b.inIov[i].Base = &b.bufs[i][0]
		b.inIov[i].SetLen(maxDatagram)
		b.in[i].hdr.Iov = &b.inIov[i]
		b.in[i].hdr.SetIovlen(1)
		b.out[i].hdr.Iov = &b.iov[i]
		b.out[i].hdr.SetIovlen(1)
	}
	return b
}

// receive fills the buffers from the first on and returns how many. The
// system calls here never wait, so the scheduler of goroutines need not know
// of them.
func (b *batch) receive(fd int, first, limit int, named bool) (int, error) {
	for i := first; i < limit; i++ {
		h := &b.in[i].hdr
		h.Name, h.Namelen = nil, 0
		if named {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[i].raw)), unix.SizeofSockaddrInet6
		}
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in[first])), uintptr(limit-first), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// data returns a datagram that was received.
func (b *batch) data(i int) []byte { return b.bufs[i][:b.in[i].n] }

// client returns the source of a datagram that was received with its name.
func (b *batch) client(i int) netip.AddrPort { return b.names[i].addrPort() }

// queue puts the datagram in buffer i, of n bytes, at the place j of those to
// be sent; to nobody is to where the socket is connected.
func (b *batch) queue(j, i int, n uint32, to *udpAddr) {
	b.iov[j].Base = &b.bufs[i][0]
	b.iov[j].SetLen(int(n))
	h := &b.out[j].hdr
	h.Name, h.Namelen = nil, 0
	if to != nil {
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.len
	}
}

// send sends the datagrams queued from first to limit and returns how many;
// an error is that of the first.
func (b *batch) send(fd, first, limit int) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.out[first])), uintptr(limit-first), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
