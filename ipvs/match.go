package ipvs

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// matcher pairs the entries of two lists by their keys. It stands in for maps,
// which cost five times as much with keys of this size, and is kept over the
// services of a table, so that they cost no allocation each.
type matcher struct {
	seed       uint64
	have, want index
	at         []int32
	kept       []bool
}

func newMatcher() *matcher { return &matcher{seed: rand.Uint64()} }

// What match says of an entry of want that has no partner.
const (
	isNew      = -1
	isReplaced = -2 // by a later one with the same key
)

// match returns, for each entry of want, the one of have with the same key,
// and for each of have whether it is to be left alone: it has a partner, or a
// later one has its key. Of several with one key the last counts. Both
// results hold until the next call.
func match[K comparable](m *matcher, have, want int, haveKey, wantKey func(i int) K, hash func(seed uint64, k K) uint64) (at []int32, kept []bool) {
	m.have.reset(have)
	m.kept = slices.Grow(m.kept[:0], have)[:have]
	clear(m.kept)
	unique := true
	for i := range have {
		if old := put(&m.have, i, haveKey, hash(m.seed, haveKey(i))); old >= 0 {
			m.kept[old] = true
			unique = false
		}
	}
	m.at = slices.Grow(m.at[:0], want)[:want]
	m.want.n = 0
	for i := want - 1; i >= 0; i-- {
		k := wantKey(i)
		// Most of two tables is in the same place in both.
		if unique && i < have && !m.kept[i] && k == haveKey(i) {
			m.kept[i] = true
			m.at[i] = int32(i)
			continue
		}
		h := hash(m.seed, k)
		j := find(&m.have, k, haveKey, h)
		switch {
		case j >= 0 && m.kept[j]:
			m.at[i] = isReplaced
		case j >= 0:
			m.kept[j] = true
			m.at[i] = int32(j)
		default:
			if m.want.n == 0 {
				m.want.reset(i + 1)
			}
			m.at[i] = isNew
			if find(&m.want, k, wantKey, h) >= 0 {
				m.at[i] = isReplaced
			} else {
				put(&m.want, i, wantKey, h)
			}
		}
	}
	return m.at, m.kept
}

// index is a hash table of positions in a list, with open addressing.
type index struct {
	slots []uint32 // position + 1
	n     int
}

// reset empties the index and makes room for n positions.
func (x *index) reset(n int) {
	size := 1 << bits.Len(uint(2*n))
	x.slots = slices.Grow(x.slots[:0], size)[:size]
	clear(x.slots)
	x.n = n
}

// put enters a position, and returns the one of the same key that it replaces
// or -1.
func put[K comparable](x *index, i int, key func(int) K, hash uint64) (old int) {
	k, mask := key(i), uint64(len(x.slots)-1)
	for s := hash & mask; ; s = (s + 1) & mask {
		switch old := int(x.slots[s]) - 1; {
		case old < 0:
			x.slots[s] = uint32(i + 1)
			return -1
		case key(old) == k:
			x.slots[s] = uint32(i + 1)
			return old
		}
	}
}

// find returns the position of a key, or -1.
func find[K comparable](x *index, k K, key func(int) K, hash uint64) int {
	mask := uint64(len(x.slots) - 1)
	for s := hash & mask; ; s = (s + 1) & mask {
		if i := int(x.slots[s]) - 1; i < 0 || key(i) == k {
			return i
		}
	}
}

// mix folds the product of its arguments, as wyhash does. The seed keeps
// whoever chooses the addresses from choosing the slots.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return hi ^ lo
}

func hashAddrPort(seed uint64, a netip.AddrPort) uint64 {
	ip := a.Addr().As16()
	high, low := binary.BigEndian.Uint64(ip[:8]), binary.BigEndian.Uint64(ip[8:])
	return mix(mix(high^seed, low), seed^uint64(a.Port()))
}

func hashServiceKey(seed uint64, k ServiceKey) uint64 {
	rest := uint64(k.Mark)<<16 | uint64(k.Protocol)<<1
	if k.Mark6 {
		rest |= 1
	}
	return hashAddrPort(mix(seed, rest), k.Addr)
}
