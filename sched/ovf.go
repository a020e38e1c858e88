package sched

// ovf is overflow: the heaviest server takes all until it has more active
// connections than its weight, then the next. Source of the rule:
// net/netfilter/ipvs/ip_vs_ovf.c.
type ovf struct{ scan }

func bindOVF(v *view, opts Options) (algorithm, error) {
	o := &ovf{}
	o.bind(v, opts)
	return o, nil
}

func (o *ovf) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := o.list.Load()
	best, heaviest := -1, int32(0)
	for i, c := range v.cells {
		if room := c.room.Load(); room > heaviest && c.active() <= room && c != avoid {
			best, heaviest = i, room
		}
	}
	return v.at(best)
}
