package failover

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

// maxRanges is how many ranges of addresses a filter compares, so that its
// jumps reach their targets. What lies in the smallest gaps between more of
// them passes, too, and the reader compares.
const maxRanges = 100

// arpFilter passes the frames of ARP in which another machine than hw is the
// sender and has one of the addresses. It is for a socket that gets nothing
// but ARP.
func arpFilter(addrs []netip.Addr, hw [6]byte) []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 22, Size: 4}, // sender's hardware address
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(hw[:]), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 26, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(hw[4:])), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	return oneOf(f, 28, addrs)
}

// naFilter passes neighbour advertisements whose target ends as one of the
// addresses does. It is for a socket that gets nothing but IPv6.
func naFilter(addrs []netip.Addr) []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 14 + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoICMPv6, SkipTrue: 2},
		bpf.LoadAbsolute{Off: 14 + 40, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: neighbourAdvert, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	return oneOf(f, 14+40+8+12, addrs)
}

// oneOf ends a filter: the word at the offset is the last one of an address.
func oneOf(f []bpf.Instruction, off uint32, addrs []netip.Addr) []bpf.Instruction {
	words := make([]uint32, 0, len(addrs))
	for _, a := range addrs {
		b := a.AsSlice()
		words = append(words, binary.BigEndian.Uint32(b[len(b)-4:]))
	}
	ranges := rangesOf(words, maxRanges)
	f = append(f, bpf.LoadAbsolute{Off: off, Size: 4})
	for i, r := range ranges {
		end := uint8(2*(len(ranges)-i) - 2) // of the ranges, from the second jump
		f = append(f, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: r[1], SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: r[0], SkipTrue: end + 1, SkipFalse: end})
	}
	return append(f, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: claimFrame})
}

// rangesOf returns ranges in their order that hold all words, at most so many
// of them.
func rangesOf(words []uint32, most int) (out [][2]uint32) {
	if len(words) == 0 {
		return nil
	}
	slices.Sort(words)
	gap := func(i int) uint32 { return words[i] - words[i-1] }
	var begins []int // of the ranges but the first
	for i := 1; i < len(words); i++ {
		if gap(i) > 1 {
			begins = append(begins, i)
		}
	}
	slices.SortFunc(begins, func(a, b int) int { return cmp.Compare(gap(b), gap(a)) })
	begins = begins[:min(len(begins), most-1)]
	slices.Sort(begins)
	first := 0
	for _, i := range append(begins, len(words)) {
		out = append(out, [2]uint32{words[first], words[i-1]})
		first = i
	}
	return out
}

// Messages of rtnetlink(7) by their numbers in linux/rtnetlink.h, and the flag
// of an address that failed the look for duplicates in linux/if_addr.h.
const (
	newLink    = 16
	delLink    = 17
	newAddr    = 20
	delAddr    = 21
	delRoute   = 25
	dadFailed  = 0x08
	linkUp     = 1
	linkRuns   = 1 << 6
	getLink    = 18
	changesOf  = 35 // IFLA_CARRIER_CHANGES in linux/if_link.h, since Linux 3.15
	noticeHead = 16
	linkHead   = 16              // struct ifinfomsg
	noticeSize = noticeHead + 12 // as far as we read
)

// noticeFilter passes what is said of links, of addresses that went or turned
// out to be duplicates, and of routes of ours that went. The kernel writes a
// notice in the byte order of the machine, and filters load in that of the
// network.
func noticeFilter() []bpf.Instruction {
	native := func(v uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v)))
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: native(newLink), SkipTrue: 9},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: native(delLink), SkipTrue: 8},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: native(delAddr), SkipTrue: 7},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: native(delRoute), SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: native(newAddr), SkipTrue: 4},
		bpf.LoadAbsolute{Off: noticeHead + 2, Size: 1}, // ifa_flags
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: dadFailed, SkipTrue: 3, SkipFalse: 2},
		bpf.LoadAbsolute{Off: noticeHead + 5, Size: 1}, // rtm_protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: RouteProtocol, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 16},
	}
}

// notice is what is read of a message of rtnetlink(7).
type notice struct {
	kind  uint16
	index int    // of a link, or of the one an address is on
	flags uint32 // of a link
	// changes counts how often the link's carrier came or went; 0 if the kernel
	// does not tell.
	changes uint32
}

// nextNotice reads the first message of b and returns what follows it. It is
// not ok where there is none.
func nextNotice(b []byte) (n notice, rest []byte, ok bool) {
	if len(b) < noticeHead {
		return n, nil, false
	}
	size := int(binary.NativeEndian.Uint32(b))
	if size < noticeHead || size > len(b) {
		return n, nil, false
	}
	n.kind = binary.NativeEndian.Uint16(b[4:])
	switch m := b[:size]; {
	case n.kind == delRoute:
	case size >= noticeSize-4 && (n.kind == newAddr || n.kind == delAddr):
		n.index = int(int32(binary.NativeEndian.Uint32(m[noticeHead+4:])))
	case size >= noticeSize && (n.kind == newLink || n.kind == delLink):
		n.index = int(int32(binary.NativeEndian.Uint32(m[noticeHead+4:])))
		n.flags = binary.NativeEndian.Uint32(m[noticeHead+8:])
		n.changes = carrierChanges(m[min(noticeHead+linkHead, len(m)):])
	}
	return n, b[min((size+3)&^3, len(b)):], true
}

// carrierChanges returns that attribute of a link. A link that loses its carrier
// for less than the kernel takes to tell of it looks the same before and after,
// but for this count.
func carrierChanges(attrs []byte) uint32 {
	for len(attrs) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if size < 4 || size > len(attrs) {
			break
		}
		if kind == changesOf && size == 8 {
			return binary.NativeEndian.Uint32(attrs[4:])
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return 0
}

// linkQuestion asks the kernel to tell of one link as if something had happened
// to it.
func linkQuestion(index int) []byte {
	b := make([]byte, noticeHead+linkHead)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], getLink)
	binary.NativeEndian.PutUint16(b[6:], 1) // NLM_F_REQUEST
	binary.NativeEndian.PutUint32(b[noticeHead+4:], uint32(index))
	return b
}
