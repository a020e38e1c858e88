package sched

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// number is the address as the hashes see it.
func number(a netip.Addr) uint32 {
	var n uint32
	for b := a.AsSlice(); len(b) > 0; b = b[4:] {
		n ^= binary.BigEndian.Uint32(b)
	}
	return n
}

func (m *model) pickHash(f Flow, able []*entry) *entry {
	if len(m.list) == 0 {
		return nil
	}
	client := number(f.Client.Addr())
	if m.flags&FlagPort != 0 {
		client += uint32(f.Client.Port())
	}
	var table []*entry
	var hash func(offset uint32) uint32
	switch m.kind {
	case "dh":
		for k := range 1 << m.opts.DHBits {
			table = append(table, m.list[k%len(m.list)])
		}
		// The upper bits of the lower half of the product.
		h := uint64(number(f.Service.Addr())) * 0x61C88647 % (1 << 32) >> (32 - m.opts.DHBits)
		if e := table[h]; slices.Contains(able, e) {
			return e
		}
		return nil
	case "sh":
		for len(table) < 1<<m.opts.SHBits {
			for _, e := range m.list {
				for range max(e.weight, 1) {
					table = append(table, e)
				}
			}
		}
		table = table[:1<<m.opts.SHBits]
		hash = func(offset uint32) uint32 {
			return (offset + uint32(uint64(client)*0x61C88647%(1<<32)>>(32-m.opts.SHBits))) % uint32(len(table))
		}
	case "mh":
		if table = m.maglev; table == nil {
			return nil
		}
		hash = func(offset uint32) uint32 {
			return naiveHSipHash(client+offset, 2654435761) % uint32(len(table))
		}
	}
	first := hash(0)
	if e := table[first]; slices.Contains(able, e) || m.flags&FlagFallback == 0 {
		if !slices.Contains(able, e) {
			return nil
		}
		return e
	}
	for o := range uint32(len(table)) {
		if e := table[hash((o+first)%uint32(len(table)))]; slices.Contains(able, e) {
			return e
		}
	}
	return nil
}

// populate fills the table of mh: the servers choose in turns, each the first
// free slot in an order of its own.
func (m *model) populate() []*entry {
	size := []int{251, 509, 1021, 2039, 4093}[m.opts.MHIndex-8]
	heaviest, divisor := 0, 0
	for _, e := range m.list {
		heaviest = max(heaviest, e.last)
		for a, b := divisor, e.last; ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
	}
	if heaviest == 0 {
		return nil
	}
	shift := 0
	for 1<<(m.opts.MHIndex/2+shift) <= heaviest/divisor {
		shift++
	}
	table := make([]*entry, size)
	chosen := map[*entry]int{} // how far each has gone through its order
	for filled := 0; ; {
		for _, e := range m.list {
			turns := e.last / divisor >> shift
			if e.last > 0 {
				turns = max(turns, 1)
			}
			n := number(e.addr.Addr()) + uint32(e.addr.Port())
			start := int(naiveHSipHash(n, 2654435761)) % size
			skip := int(naiveHSipHash(n, 2654446892))%(size-1) + 1
			for range turns {
				for table[(start+chosen[e]*skip)%size] != nil {
					chosen[e]++
				}
				table[(start+chosen[e]*skip)%size] = e
				if filled++; filled == size {
					return table
				}
			}
		}
	}
}

func naiveHSipHash(v uint32, key uint64) uint32 {
	return uint32(naiveSipHash(1, 3, key, key, binary.LittleEndian.AppendUint32(nil, v)))
}

// naiveSipHash is SipHash-c-d of any message, step by step as in the paper.
func naiveSipHash(c, d int, k0, k1 uint64, message []byte) uint64 {
	v := [4]uint64{0x736f6d6570736575 ^ k0, 0x646f72616e646f6d ^ k1, 0x6c7967656e657261 ^ k0, 0x7465646279746573 ^ k1}
	turn := func(x uint64, by int) uint64 { return x<<by | x>>(64-by) }
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[1] = turn(v[1], 13)
			v[1] ^= v[0]
			v[0] = turn(v[0], 32)
			v[2] += v[3]
			v[3] = turn(v[3], 16)
			v[3] ^= v[2]
			v[0] += v[3]
			v[3] = turn(v[3], 21)
			v[3] ^= v[0]
			v[2] += v[1]
			v[1] = turn(v[1], 17)
			v[1] ^= v[2]
			v[2] = turn(v[2], 32)
		}
	}
	padded := slices.Clone(message)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(len(message)))
	for ; len(padded) > 0; padded = padded[8:] {
		word := binary.LittleEndian.Uint64(padded)
		v[3] ^= word
		rounds(c)
		v[0] ^= word
	}
	v[2] ^= 0xff
	rounds(d)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}
