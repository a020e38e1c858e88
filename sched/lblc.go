package sched

// lblc sends all connections to one destination address to one server, found
// as wlc does, until that has more active connections than its weight while
// another is half empty. Source of the rule: net/netfilter/ipvs/ip_vs_lblc.c.
//
// A server that is overloaded by its thresholds keeps the addresses it has,
// as in the kernel.
type lblc struct{ caching }

func bindLBLC(v *view, o Options) (algorithm, error) {
	l := &lblc{}
	l.bind(v, o, o.LBLCExpiration)
	return l, nil
}

func (l *lblc) pick(f Flow, _ Flags, avoid *cell) *Server {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	l.cache.advance(f.Now)
	v := l.list.Load()
	at := l.cache.slot(f.Service.Addr())
	if e := *at; e != nil {
		e.used = l.cache.now
		s := e.set[0]
		if s.listed() && s.cell.weight.Load() > 0 && s.cell != avoid && !v.crowded(s) {
			return s
		}
	}
	s := v.leastForWeight(l.rules, avoid)
	if s == nil || *at != nil && (*at).set[0] == s {
		return s
	}
	if *at != nil {
		l.cache.unchain(at)
		if l.rules == NewerRules {
			l.cache.entries--
		}
	}
	l.cache.insert(f.Service.Addr(), s)
	return s
}
