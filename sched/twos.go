package sched

// twos draws two servers by chance, the heavier the likelier, and picks the
// one with fewer connections for its weight. Source of the rule:
// net/netfilter/ipvs/ip_vs_twos.c. All its arithmetic is in 32 bits and wraps
// as it does there.
type twos struct {
	scan
	random func() uint64
}

func bindTwos(v *view, o Options) (algorithm, error) {
	t := &twos{random: o.Random}
	t.bind(v, o)
	return t, nil
}

func (t *twos) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := t.list.Load()
	// The numbers drawn may be as large as the sum, so the sides of the die
	// are one more than the sum: the first server gets a unit too much.
	sides := uint32(1)
	last := -1
	for i, c := range v.cells {
		if room := c.room.Load(); room > 0 && c != avoid {
			sides += uint32(room)
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	chance := t.random()
	draw := [2]int32{int32(below(uint32(chance>>32), sides)), int32(below(uint32(chance), sides))}
	place, weight, load := [2]int{last, last}, [2]int32{-1, -1}, [2]int32{}
	missing := 2
	for i, c := range v.cells {
		room := c.room.Load()
		if room == 0 || c == avoid {
			continue
		}
		for k := range draw {
			draw[k] -= room
			if draw[k] <= 0 && weight[k] < 0 {
				place[k], weight[k], load[k] = i, room, t.rules.overhead(c)
				missing--
			}
		}
		if missing == 0 {
			break
		}
	}
	// Where the sum has wrapped a draw may have met no server.
	if weight[1] >= 0 && weight[1]*load[0] > weight[0]*load[1] {
		return v.servers[place[1]]
	}
	return v.servers[place[0]]
}

// below returns a number under n made of a random one. No sides are as many
// as there are numbers.
func below(random, n uint32) uint32 {
	if n == 0 {
		return random
	}
	return random % n
}
