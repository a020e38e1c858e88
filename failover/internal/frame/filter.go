package frame

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

// ARPFilter passes the frames of ARP in which another machine than hw is the
// sender and has one of the addresses. It is for a socket that gets nothing
// but ARP.
func ARPFilter(addrs []netip.Addr, hw [6]byte) []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 22, Size: 4}, // sender's hardware address
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(hw[:]), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 26, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(hw[4:])), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	return oneOf(f, 28, addrs)
}

// AdvertisementFilter passes neighbour advertisements whose target ends as one
// of the addresses does. It is for a socket that gets nothing but IPv6.
func AdvertisementFilter(addrs []netip.Addr) []bpf.Instruction {
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
	return append(f, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: Longest})
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
