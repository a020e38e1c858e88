package sched

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
)

// table is the part that dh, sh and mh share: a table that names a server for
// each hash. It is made anew by a change and never changed itself, so that a
// pick reads it without a lock.
type table struct{ now atomic.Pointer[slots] }

type slots struct {
	view *view
	// index has places of the view. It is empty when there is no server to
	// name, and otherwise as long as the table is to be.
	index []uint32
}

// at returns the server in a slot if it may take a connection, or nil.
func (t *slots) at(slot uint32, avoid *cell) *Server {
	i := t.index[slot]
	if !t.view.cells[i].open(avoid) {
		return nil
	}
	return t.view.servers[i]
}

// fold makes 32 bits of an address: those of IPv4 as they are, the four words
// of IPv6 by exclusive or.
func fold(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	both := high ^ low
	return uint32(both>>32) ^ uint32(both)
}

// golden is the multiplier of the kernel's hash_32 (include/linux/hash.h):
// 2^32 divided by the square of the golden ratio.
const golden = 0x61C88647

// hash32 returns the upper bits of the product, as many as asked for.
func hash32(v uint32, width int) uint32 { return v * golden >> (32 - width) }

// bitLen is the number of bits that v needs.
func bitLen(v int32) int { return bits.Len32(uint32(v)) }

// clientPort is the port that sh and mh add to the hash.
func clientPort(f *Flow, flags Flags) uint32 {
	if flags&FlagPort == 0 {
		return 0
	}
	return uint32(f.Client.Port())
}
