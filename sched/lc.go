package sched

// lc picks the server with the least connections; a weight matters only as 0
// or not. Source of the rule: net/netfilter/ipvs/ip_vs_lc.c.
type lc struct{ scan }

func bindLC(v *view, o Options) (algorithm, error) {
	l := &lc{}
	l.bind(v, o)
	return l, nil
}

func (l *lc) pick(_ Flow, _ Flags, avoid *cell) *Server {
	v := l.list.Load()
	best, least := -1, int32(0)
	for i, c := range v.cells {
		if !c.open(avoid) {
			continue
		}
		if o := l.rules.overhead(c); best < 0 || o < least {
			best, least = i, o
		}
	}
	return v.at(best)
}
