package rtnl

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
)

// Messages of rtnetlink(7) by their numbers in linux/rtnetlink.h, and the flag
// of an address that failed the look for duplicates in linux/if_addr.h.
const (
	newLink    = 16
	delLink    = 17
	newAddr    = 20
	delAddr    = 21
	delRoute   = 25
	dadFailed  = 0x08
	getLink    = 18
	changesOf  = 35 // IFLA_CARRIER_CHANGES in linux/if_link.h, since Linux 3.15
	noticeHead = 16
	linkHead   = 16              // struct ifinfomsg
	noticeSize = noticeHead + 12 // as far as we read
)

// NoticeFilter passes what is said of links, of addresses that went or turned
// out to be duplicates, and of routes of the protocol that went. The kernel
// writes a notice in the byte order of the machine, and filters load in that of
// the network.
func NoticeFilter(protocol uint8) []bpf.Instruction {
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
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(protocol), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 16},
	}
}

// Notice is what is read of a message of rtnetlink(7).
type Notice struct {
	Kind  uint16 // as unix.RTM_NEWLINK
	Index int    // of a link, or of the one an address is on
	Flags uint32 // of a link
	// Changes counts how often the link's carrier came or went; 0 if the kernel
	// does not tell.
	Changes uint32
}

// NextNotice reads the first message of b and returns what follows it. It is
// not ok where there is none.
func NextNotice(b []byte) (n Notice, rest []byte, ok bool) {
	if len(b) < noticeHead {
		return n, nil, false
	}
	size := int(binary.NativeEndian.Uint32(b))
	if size < noticeHead || size > len(b) {
		return n, nil, false
	}
	n.Kind = binary.NativeEndian.Uint16(b[4:])
	switch m := b[:size]; {
	case n.Kind == delRoute:
	case size >= noticeSize-4 && (n.Kind == newAddr || n.Kind == delAddr):
		n.Index = int(int32(binary.NativeEndian.Uint32(m[noticeHead+4:])))
	case size >= noticeSize && (n.Kind == newLink || n.Kind == delLink):
		n.Index = int(int32(binary.NativeEndian.Uint32(m[noticeHead+4:])))
		n.Flags = binary.NativeEndian.Uint32(m[noticeHead+8:])
		n.Changes = carrierChanges(m[min(noticeHead+linkHead, len(m)):])
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

// LinkQuestion asks the kernel to tell of one link as if something had happened
// to it.
func LinkQuestion(index int) []byte {
	b := make([]byte, noticeHead+linkHead)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], getLink)
	binary.NativeEndian.PutUint16(b[6:], 1) // NLM_F_REQUEST
	binary.NativeEndian.PutUint32(b[noticeHead+4:], uint32(index))
	return b
}
