package ipvsadm

import (
	"encoding/binary"
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
)

// compareServices is the order of a listing: by mark, IPv4 first, protocol,
// address, port.
func compareServices(a, b *ipvs.EntryState) int {
	k, l := a.Service.Key, b.Service.Key
	if c := compare32(k.Mark, l.Mark); c != 0 {
		return c
	}
	if k.Is6() != l.Is6() {
		return before(l.Is6())
	}
	if k.Protocol != l.Protocol {
		return before(k.Protocol < l.Protocol)
	}
	return compareAddrPorts(k.Addr, l.Addr)
}

// compareDestinations goes by address and port. IPv4 and IPv6 addresses mix:
// an IPv4 address is the first word of sixteen bytes.
func compareDestinations(a, b *ipvs.DestinationState) int { return compareAddrPorts(a.Key, b.Key) }

func before(yes bool) int {
	if yes {
		return -1
	}
	return 1
}

// compare32 is the sign of the difference cut to 32 bits: an order only among
// numbers that are less than 2^31 apart.
func compare32(a, b uint32) int { return int(int32(a - b)) }

// compareAddrPorts goes by the first word of 32 bits that differs, and then
// by port.
func compareAddrPorts(a, b netip.AddrPort) int {
	if a.Addr() != b.Addr() {
		x, y := sixteen(a.Addr()), sixteen(b.Addr())
		for i := 0; i < 16; i += 4 {
			if c := compare32(binary.BigEndian.Uint32(x[i:]), binary.BigEndian.Uint32(y[i:])); c != 0 {
				return c
			}
		}
	}
	return int(a.Port()) - int(b.Port())
}

func sixteen(ip netip.Addr) (b [16]byte) {
	if ip.Is6() {
		return ip.As16()
	}
	copy(b[:], ip.AsSlice())
	return b
}

// sorted returns the list in order. It splits at the half and merges, which
// is how the C library of the real program sorts: where compare is no order
// the outcome depends on it.
func sorted[T any](list []T, compare func(a, b *T) int) []T {
	out, scratch := make([]T, len(list)), make([]T, len(list))
	copy(out, list)
	mergeSort(out, scratch, compare)
	return out
}

func mergeSort[T any](list, scratch []T, compare func(a, b *T) int) {
	if len(list) < 2 {
		return
	}
	half := len(list) / 2
	mergeSort(list[:half], scratch, compare)
	mergeSort(list[half:], scratch, compare)
	i, j, n := 0, half, 0
	for ; i < half && j < len(list); n++ {
		if compare(&list[i], &list[j]) <= 0 {
			scratch[n] = list[i]
			i++
		} else {
			scratch[n] = list[j]
			j++
		}
	}
	n += copy(scratch[n:], list[i:half])
	copy(list, scratch[:n])
}
