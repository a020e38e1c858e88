package sched

// nq never queues: the first server without an active connection takes the
// new one, and if there is none it goes as with sed. Source of the rule:
// net/netfilter/ipvs/ip_vs_nq.c.
type nq struct{ scan }

func bindNQ(v *view, o Options) (algorithm, error) {
	n := &nq{}
	n.bind(v, o)
	return n, nil
}

func (n *nq) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := n.list.Load()
	best, least, weight := -1, int64(0), int64(0)
	for i, c := range v.cells {
		room := int64(c.room.Load())
		if room == 0 || c == avoid {
			continue
		}
		active := c.active()
		if active == 0 {
			return v.servers[i]
		}
		delay := int64(active + 1)
		if best < 0 || least*room > delay*weight {
			best, least, weight = i, delay, room
		}
	}
	return v.at(best)
}
