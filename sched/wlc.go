package sched

// wlc picks the server with the least connections for its weight. Source of
// the rule: net/netfilter/ipvs/ip_vs_wlc.c.
type wlc struct{ scan }

func bindWLC(v *view, o Options) (algorithm, error) {
	w := &wlc{}
	w.bind(v, o)
	return w, nil
}

func (w *wlc) pick(_ Flow, _ Flags, avoid *cell) *Server {
	return w.list.Load().leastForWeight(w.rules, avoid)
}

// leastForWeight is the pick of wlc, which lblc and lblcr make as well.
func (v *view) leastForWeight(rules Rules, avoid *cell) *Server {
	best, least, weight := -1, int64(0), int64(0)
	for i, c := range v.cells {
		room := int64(c.room.Load())
		if room == 0 || c == avoid {
			continue
		}
		o := int64(rules.overhead(c))
		// least/weight > o/room, without a division. Products of two 32-bit
		// numbers fit.
		if best < 0 || least*room > o*weight {
			best, least, weight = i, o, room
		}
	}
	return v.at(best)
}
