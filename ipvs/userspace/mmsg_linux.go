package userspace

import (
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

const (
	// maxSegments and maxSegmented bound what one send may have the system
	// cut into datagrams (UDP_MAX_SEGMENTS, include/linux/udp.h, of the
	// kernels that have the fewest; 64 KiB less what headers take).
	maxSegments  = 64
	maxSegmented = 65000
)

// control is a control message with a number, for the size of segments.
type control struct {
	hdr   unix.Cmsghdr
	value int32
	_     int32
}

// batch holds datagrams between two system calls. Buffers take memory only
// where a datagram touched them. What the system joined on its way in
// (UDP_GRO), equal ones of one sender, is one buffer.
type batch struct {
	bufs  [batchSize]*[maxDatagram]byte
	in    [batchSize]mmsghdr
	inIov [batchSize]unix.Iovec
	inCtl [batchSize]control
	names [batchSize]sockaddr

	// out are the messages to be sent, made of the buffers iov.
	out    [batchSize]mmsghdr
	outCtl [batchSize]control
	about  [batchSize]message
	iov    [batchSize]unix.Iovec
	queued int
	iovs   int
}

// message is what one of out says: segments datagrams of size bytes, the last
// of which may have fewer.
type message struct {
	to              *sockaddr
	size, bytes     int
	segments        int
	first, lastPlus int // in iov
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
		b.in[i].hdr.Control = (*byte)(unsafe.Pointer(&b.inCtl[i]))
	}
	return b
}

// joinDatagrams asks the system to join what arrives on a socket, which old
// kernels cannot.
func joinDatagrams(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) }

// canSegment reports whether the system cuts what is sent into datagrams. One
// that cannot would ignore the wish and send one large datagram.
func canSegment(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
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
		b.inCtl[i] = control{}
		h.SetControllen(int(unsafe.Sizeof(control{})))
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

// data returns what was received in a buffer, and the size of the datagrams
// in it, of which the last may be shorter.
func (b *batch) data(i int) (p []byte, size int) {
	p = b.bufs[i][:b.in[i].n]
	if c := &b.inCtl[i]; c.hdr.Level == unix.SOL_UDP && c.hdr.Type == unix.UDP_GRO && c.value > 0 && int(c.value) < len(p) {
		return p, int(c.value)
	}
	return p, len(p)
}

// client returns the source of a datagram that was received with its name.
func (b *batch) client(i int) netip.AddrPort { return b.names[i].get() }

// reset forgets what was queued.
func (b *batch) reset() { b.queued, b.iovs = 0, 0 }

// queue has a buffer sent; to nobody is to where the socket is connected. If
// join is true it may become one message with the one before it, which the
// system cuts again; that is a way through the system saved. It returns how
// many datagrams and bytes the buffer has.
func (b *batch) queue(i int, to *sockaddr, join bool) (segments, bytes int) {
	p, size := b.data(i)
	segments = 1
	if size > 0 {
		segments = (len(p) + size - 1) / size
	}
	b.iov[b.iovs].Base = &b.bufs[i][0]
	b.iov[b.iovs].SetLen(len(p))
	b.iovs++
	if join && b.queued > 0 && size > 0 {
		m := &b.about[b.queued-1]
		// Only the last may be short, and none may be longer.
		full := m.size > 0 && m.bytes%m.size == 0
		fits := size == m.size || segments == 1 && size < m.size
		if m.to == to && full && fits && m.segments+segments <= maxSegments && m.bytes+len(p) <= maxSegmented {
			m.segments, m.bytes, m.lastPlus = m.segments+segments, m.bytes+len(p), b.iovs
			return segments, len(p)
		}
	}
	b.about[b.queued] = message{to, size, len(p), segments, b.iovs - 1, b.iovs}
	b.queued++
	return segments, len(p)
}

// left returns how many datagrams the messages from the first on have.
func (b *batch) left(first int) int {
	n := 0
	for _, m := range b.about[first:b.queued] {
		n += m.segments
	}
	return n
}

// send sends the queued messages from the first on and returns how many; an
// error is that of the first.
func (b *batch) send(fd, first int) (int, error) {
	for j := first; j < b.queued; j++ {
		m, h := &b.about[j], &b.out[j].hdr
		h.Iov = &b.iov[m.first]
		h.SetIovlen(m.lastPlus - m.first)
		h.Name, h.Namelen = nil, 0
		if m.to != nil {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&m.to.raw)), m.to.len
		}
		h.Control = nil
		h.SetControllen(0)
		if m.segments > 1 {
			c := &b.outCtl[j]
			c.hdr.Level, c.hdr.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			c.hdr.SetLen(unix.CmsgLen(2))
			*(*uint16)(unsafe.Pointer(&c.value)) = uint16(m.size)
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
		}
	}
	return sendMessages(fd, &b.out[first], b.queued-first)
}

// sendSingly sends the datagrams of a message one by one, where the system
// will not cut it: it refuses what does not fit the network's largest packet,
// which is cut into fragments when it comes alone. It returns how many
// datagrams and bytes went.
func (b *batch) sendSingly(fd, j int) (sent, bytes int) {
	m := b.about[j]
	for k := m.first; k < m.lastPlus; k++ {
		p := unsafe.Slice(b.iov[k].Base, int(b.iov[k].Len))
		for len(p) > 0 {
			piece := p[:min(m.size, len(p))]
			if sendOne(fd, piece, m.to) == nil {
				sent, bytes = sent+1, bytes+len(piece)
			}
			p = p[len(piece):]
		}
	}
	return sent, bytes
}

func sendOne(fd int, p []byte, to *sockaddr) error {
	var one mmsghdr
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	one.hdr.Iov = &iov
	one.hdr.SetIovlen(1)
	if to != nil {
		one.hdr.Name, one.hdr.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.len
	}
	_, err := sendMessages(fd, &one, 1)
	return err
}

func sendMessages(fd int, first *mmsghdr, n int) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(first)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// cannotSegment tells the errors of a message that the system would not cut.
func cannotSegment(err error) bool {
	return isAny(err, syscall.EINVAL, syscall.EMSGSIZE, syscall.EIO, syscall.EOPNOTSUPP, syscall.ENOPROTOOPT)
}
