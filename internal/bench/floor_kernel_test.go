//go:build linux && kernel

package bench

import (
	"encoding/binary"
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// The floor speaks with the kernel without any client: messages encoded
// before the clock starts, a blocking socket, one buffer. Numbers are from
// include/uapi/linux/ip_vs.h and genetlink.h.
const (
	floorBatch  = 256       // commands in one send
	floorBuffer = 64 << 10  // more than the largest datagram of a listing
	floorQueue  = 1 << 20   // receive buffer
	headerLen   = 16 + 4    // netlink and generic netlink
	nlDone      = 3         //
	nlError     = 2         //
	request     = 0x1       //
	ack         = 0x4       //
	dump        = 0x300     //
	newService  = 1         //
	getServices = 4         //
	newDest     = 5         //
	setDest     = 6         //
	getDests    = 8         //
	nested      = 1 << 15   //
	fullMask    = 1<<32 - 1 //
)

type floorSocket struct {
	fd     int
	family uint16
	buf    []byte
	many   [floorMany]mmsghdr
	iov    [floorMany]unix.Iovec
}

// floorMany is how many datagrams one recvmmsg takes.
const floorMany = 8

type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

func openFloor(b testing.TB, ns *lab.Namespace) *floorSocket {
	b.Helper()
	f := &floorSocket{buf: make([]byte, floorMany*floorBuffer)}
	err := ns.Do(func() (err error) {
		if f.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC); err != nil {
			return err
		}
		kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
		return cmpOr(unix.Bind(f.fd, kernel), unix.Connect(f.fd, kernel),
			unix.SetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, floorQueue),
			unix.SetsockoptInt(f.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
			unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}))
	})
	if err != nil {
		b.Fatal("floor: ", err)
	}
	b.Cleanup(func() { unix.Close(f.fd) })
	for i := range f.many {
		f.iov[i] = unix.Iovec{Base: &f.buf[i*floorBuffer], Len: floorBuffer}
		f.many[i].hdr.Iov, f.many[i].hdr.Iovlen = &f.iov[i], 1
	}
	// CTRL_CMD_GETFAMILY by name.
	msg := message(nil, unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, request, func(m []byte) []byte {
		return attr(m, unix.CTRL_ATTR_FAMILY_NAME, []byte("IPVS\x00"))
	})
	if _, err := unix.Write(f.fd, msg); err != nil {
		b.Fatal("floor: ", err)
	}
	n, err := unix.Read(f.fd, f.buf)
	if err != nil {
		b.Fatal("floor: ", err)
	}
	for a := f.buf[headerLen:n]; len(a) >= 8; {
		l := binary.NativeEndian.Uint16(a)
		if binary.NativeEndian.Uint16(a[2:]) == unix.CTRL_ATTR_FAMILY_ID {
			f.family = binary.NativeEndian.Uint16(a[4:])
			return f
		}
		a = a[min(int(l+3)&^3, len(a)):]
	}
	b.Fatal("floor: the kernel has no IPVS")
	return nil
}

// cmpOr returns the first error.
func cmpOr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// message appends one message with what body appends.
func message(m []byte, family uint16, cmd uint8, flags uint16, body func([]byte) []byte) []byte {
	start := len(m)
	m = append(m, make([]byte, headerLen)...)
	binary.NativeEndian.PutUint16(m[start+4:], family)
	binary.NativeEndian.PutUint16(m[start+6:], flags|request)
	m[start+16], m[start+17] = cmd, 1
	m = body(m)
	binary.NativeEndian.PutUint32(m[start:], uint32(len(m)-start))
	return m
}

// attr appends one attribute.
func attr(m []byte, typ uint16, v []byte) []byte {
	m = binary.NativeEndian.AppendUint16(m, uint16(4+len(v)))
	m = append(binary.NativeEndian.AppendUint16(m, typ), v...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}

func u16(v uint16) []byte  { return binary.NativeEndian.AppendUint16(nil, v) }
func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte  { return binary.NativeEndian.AppendUint32(nil, v) }

// serviceNest is an IPVS_CMD_ATTR_SERVICE, its key alone or all of it.
func serviceNest(m []byte, s *ipvs.Service, full bool) []byte {
	ip := s.Key.Addr.Addr().As4()
	var nest []byte
	nest = attr(nest, 1, u16(unix.AF_INET))
	nest = attr(nest, 2, u16(uint16(s.Key.Protocol)))
	nest = attr(nest, 3, append(ip[:], make([]byte, 12)...))
	nest = attr(nest, 4, be16(s.Key.Addr.Port()))
	if full {
		nest = attr(nest, 6, append([]byte(s.Scheduler), 0))
		nest = attr(nest, 7, append(u32(0), u32(fullMask)...))
		nest = attr(nest, 8, u32(0))
		nest = attr(nest, 9, u32(fullMask))
	}
	return attr(m, 1|nested, nest)
}

// destNest is a full IPVS_CMD_ATTR_DEST.
func destNest(m []byte, d *ipvs.Destination) []byte {
	ip := d.Key.Addr().As4()
	var nest []byte
	nest = attr(nest, 1, append(ip[:], make([]byte, 12)...))
	nest = attr(nest, 2, be16(d.Key.Port()))
	nest = attr(nest, 3, u32(uint32(d.Forward)))
	nest = attr(nest, 4, u32(uint32(d.Weight)))
	nest = attr(nest, 5, u32(d.UpperThreshold))
	nest = attr(nest, 6, u32(d.LowerThreshold))
	return attr(m, 2|nested, nest)
}

// packed returns the sends that add a table, with an acknowledgement asked of
// the last message of each.
func (f *floorSocket) packed(t ipvs.Table) (sends [][]byte) {
	n, last := 0, 0
	var m []byte
	end := func() {
		if n > 0 {
			m[last+6] |= ack
			sends, m, n = append(sends, m), nil, 0
		}
	}
	add := func(cmd uint8, body func([]byte) []byte) {
		last = len(m)
		m = message(m, f.family, cmd, 0, body)
		if n++; n == floorBatch {
			end()
		}
	}
	for _, e := range t {
		add(newService, func(m []byte) []byte { return serviceNest(m, &e.Service, true) })
		for i := len(e.Destinations) - 1; i >= 0; i-- {
			add(newDest, func(m []byte) []byte {
				return destNest(serviceNest(m, &e.Service, false), &e.Destinations[i])
			})
		}
	}
	end()
	return sends
}

// write carries sends out: two system calls each.
func (f *floorSocket) write(sends [][]byte) error {
	for _, m := range sends {
		if _, err := unix.Write(f.fd, m); err != nil {
			return err
		}
		n, err := unix.Read(f.fd, f.buf)
		if err != nil {
			return err
		}
		if n < 20 || binary.NativeEndian.Uint16(f.buf[4:]) != nlError || binary.NativeEndian.Uint32(f.buf[16:]) != 0 {
			return fmt.Errorf("floor: the kernel refused: % x", f.buf[:n])
		}
	}
	return nil
}

// listings returns the requests that read a whole table.
func (f *floorSocket) listings(t ipvs.Table) (requests [][]byte) {
	requests = append(requests, message(nil, f.family, getServices, dump, func(m []byte) []byte { return m }))
	for _, e := range t {
		requests = append(requests, message(nil, f.family, getDests, dump, func(m []byte) []byte {
			return serviceNest(m, &e.Service, false)
		}))
	}
	return requests
}

// done reports whether a datagram ends a listing: since Linux 6.9 that may
// stand behind data.
func done(b []byte) bool {
	const size = 20
	b = b[max(len(b)-size, 0):]
	return len(b) == size && binary.NativeEndian.Uint32(b) == size && binary.NativeEndian.Uint16(b[4:]) == nlDone
}

// read sends requests and receives what they bring, one datagram a system
// call, and counts the bytes.
func (f *floorSocket) read(requests [][]byte) (bytes int, err error) {
	for _, m := range requests {
		if _, err := unix.Write(f.fd, m); err != nil {
			return 0, err
		}
		for {
			n, err := unix.Read(f.fd, f.buf[:floorBuffer])
			if err != nil {
				return 0, err
			}
			bytes += n
			if done(f.buf[:n]) {
				break
			}
		}
	}
	return bytes, nil
}

// readMany is read with recvmmsg, which takes all datagrams that are there:
// each receive makes the kernel prepare the next.
func (f *floorSocket) readMany(requests [][]byte) (bytes int, err error) {
	for _, m := range requests {
		if _, err := unix.Write(f.fd, m); err != nil {
			return 0, err
		}
		for more := true; more; {
			n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.many[0])), floorMany, unix.MSG_WAITFORONE, 0, 0)
			if errno != 0 {
				return 0, errno
			}
			for i := range int(n) {
				bytes += int(f.many[i].len)
				more = more && !done(f.buf[i*floorBuffer:][:f.many[i].len])
			}
		}
	}
	return bytes, nil
}
