package sched

import (
	"errors"
	"fmt"
	"net/netip"
)

// mh is Maglev hashing: a table in which every server takes slots in an order
// of its own, so that a change of the servers moves few clients. Source of
// the rule: net/netfilter/ipvs/ip_vs_mh.c, as 64-bit kernels run it.
//
// The table is made from the latest weights above 0: a server that is
// quiesced keeps its slots, and no other client moves.
type mh struct {
	table
	// size is the number of slots, a prime; half is half of its index and
	// bounds the bits of the turns.
	size uint32
	half int
}

// The keys of the two hashes.
const (
	mhStartKey = 2654435761
	mhSkipKey  = 2654446892
)

func mhSize(index int) uint32 {
	return [...]uint32{251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071}[index-8]
}

var errTooManyServers = errors.New("more servers than slots")

func bindMH(v *view, o Options) (algorithm, error) {
	m := &mh{size: mhSize(o.MHIndex), half: o.MHIndex / 2}
	if len(v.servers) > int(m.size) {
		return nil, fmt.Errorf("%d servers, %d slots: %w; raise MHIndex", len(v.servers), m.size, errTooManyServers)
	}
	m.fill(v)
	return m, nil
}

func (m *mh) added(v *view)          { m.fill(v) }
func (m *mh) edited(v *view)         { m.fill(v) }
func (m *mh) removed(v *view, _ int) { m.fill(v) }

// fill makes the table. With more servers than slots the old one stays, as
// in the kernel.
func (m *mh) fill(v *view) {
	if len(v.servers) > int(m.size) {
		return
	}
	m.now.Store(&slots{view: v, index: m.populate(v)})
}

// A mhWalk is a server's way through the slots.
type mhWalk struct {
	at, skip uint32
	// turns is how many slots in a row the server takes in each round.
	turns int32
}

func (m *mh) walks(v *view) []mhWalk {
	var heaviest, divisor int32
	for _, s := range v.servers {
		heaviest = max(heaviest, s.lastWeight)
		divisor = gcd(s.lastWeight, divisor)
	}
	if divisor == 0 {
		return nil
	}
	shift := max(0, bitLen(heaviest/divisor)-m.half)
	walks := make([]mhWalk, len(v.servers))
	for i, s := range v.servers {
		turns := s.lastWeight / divisor >> shift
		if turns == 0 && s.lastWeight > 0 {
			turns = 1
		}
		walks[i] = mhWalk{
			at:    mhHash(s.addr.Addr(), uint32(s.addr.Port()), mhStartKey) % m.size,
			skip:  mhHash(s.addr.Addr(), uint32(s.addr.Port()), mhSkipKey)%(m.size-1) + 1,
			turns: turns,
		}
	}
	return walks
}

func (m *mh) populate(v *view) []uint32 {
	walks := m.walks(v)
	if len(walks) == 0 {
		return nil
	}
	index := make([]uint32, m.size)
	taken := make([]bool, m.size)
	left := m.size
	for {
		for i := range walks {
			w := &walks[i]
			for range w.turns {
				for taken[w.at] {
					if w.at += w.skip; w.at >= m.size {
						w.at -= m.size
					}
				}
				taken[w.at], index[w.at] = true, uint32(i)
				if left--; left == 0 {
					return index
				}
			}
		}
	}
}

func mhHash(a netip.Addr, add uint32, key uint64) uint32 { return siphash(fold(a)+add, key, key) }

func (m *mh) pick(f Flow, flags Flags, avoid *cell) *Server {
	t := m.now.Load()
	if len(t.index) == 0 {
		return nil
	}
	client := fold(f.Client.Addr()) + clientPort(&f, flags)
	first := siphash(client, mhStartKey, mhStartKey) % m.size
	d := t.at(first, avoid)
	if d != nil || flags&FlagFallback == 0 {
		return d
	}
	for o := range m.size {
		offset := (o + first) % m.size
		if d := t.at(siphash(client+offset, mhStartKey, mhStartKey)%m.size, avoid); d != nil {
			return d
		}
	}
	return nil
}
