package sched

// sed picks the server with the shortest expected delay: the least active
// connections, the new one counted, for its weight. Source of the rule:
// net/netfilter/ipvs/ip_vs_sed.c.
type sed struct{ scan }

func bindSED(v *view, o Options) (algorithm, error) {
	s := &sed{}
	s.bind(v, o)
	return s, nil
}

func (s *sed) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := s.list.Load()
	best, least, weight := -1, int64(0), int64(0)
	for i, c := range v.cells {
		room := int64(c.room.Load())
		if room == 0 || c == avoid {
			continue
		}
		delay := int64(c.active() + 1)
		if best < 0 || least*room > delay*weight {
			best, least, weight = i, delay, room
		}
	}
	return v.at(best)
}
