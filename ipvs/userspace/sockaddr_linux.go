package userspace

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr holds an address of either family for the kernel.
type sockaddr struct {
	raw unix.RawSockaddrInet6 // the larger of the two
	len uint32
}

func sockaddrOf(a netip.AddrPort) (s sockaddr) {
	s.set(a)
	return s
}

// set stores an address; a zone is no part of it.
func (s *sockaddr) set(a netip.AddrPort) {
	if a.Addr().Is4() {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(a.Port()), Addr: a.Addr().As4()}
		s.len = unix.SizeofSockaddrInet4
		return
	}
	s.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(a.Port()), Addr: a.Addr().As16()}
	s.len = unix.SizeofSockaddrInet6
}

// get returns the address, the zero value for one of another family.
func (s *sockaddr) get() netip.AddrPort {
	switch s.raw.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), networkOrder(in4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), networkOrder(s.raw.Port))
	}
	return netip.AddrPort{}
}

// networkOrder turns a port into the order of the network, or back.
func networkOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}
