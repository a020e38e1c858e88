package sched

// fo is failover: the heaviest server takes all. Source of the rule:
// net/netfilter/ipvs/ip_vs_fo.c.
type fo struct{ scan }

func bindFO(v *view, o Options) (algorithm, error) {
	f := &fo{}
	f.bind(v, o)
	return f, nil
}

func (f *fo) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := f.list.Load()
	best, heaviest := -1, int32(0)
	for i, c := range v.cells {
		if room := c.room.Load(); room > heaviest && c != avoid {
			best, heaviest = i, room
		}
	}
	return v.at(best)
}
