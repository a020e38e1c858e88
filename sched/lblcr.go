package sched

import "slices"

// lblcr is lblc with a set of servers for each destination address, which
// grows when its least loaded one is crowded, and shrinks when it was not
// changed for long. Source of the rule: net/netfilter/ipvs/ip_vs_lblcr.c.
type lblcr struct{ caching }

func bindLBLCR(v *view, o Options) (algorithm, error) {
	l := &lblcr{}
	l.bind(v, o, o.LBLCRExpiration)
	return l, nil
}

func (l *lblcr) pick(f Flow, _ Flags, avoid *cell) *Server {
	c := &l.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(f.Now)
	v := l.list.Load()
	e := *c.slot(f.Service.Addr())
	if e == nil {
		s := v.leastForWeight(l.rules, avoid)
		if s != nil {
			c.insert(f.Service.Addr(), s)
		}
		return s
	}
	e.used = c.now
	s := e.least(l.rules, avoid)
	if len(e.set) > 1 && c.now-e.changed > c.expiration {
		if i := e.most(l.rules); i >= 0 {
			e.set = slices.Delete(e.set, i, i+1)
			e.changed = c.now
		}
	}
	if s != nil && !v.crowded(s) {
		return s
	}
	s = v.leastForWeight(l.rules, avoid)
	if s != nil && !slices.Contains(e.set, s) {
		e.join(s, v, c.now)
	}
	return s
}

// least is the pick of wlc among the servers of the set.
func (e *cacheEntry) least(rules Rules, avoid *cell) *Server {
	var best *Server
	var least, weight int64
	for _, s := range e.set {
		room := int64(s.cell.room.Load())
		if room == 0 || s.cell == avoid || !s.listed() {
			continue
		}
		o := int64(rules.overhead(s.cell))
		if best == nil || least*room > o*weight {
			best, least, weight = s, o, room
		}
	}
	return best
}

// most returns the place of the server with the most connections for its
// weight, overloaded or removed as it may be, or -1 if all are quiesced.
func (e *cacheEntry) most(rules Rules) int {
	best, most, weight := -1, int64(0), int64(0)
	for i, s := range e.set {
		w := int64(s.cell.weight.Load())
		if w == 0 {
			continue
		}
		o := int64(rules.overhead(s.cell))
		if best < 0 || most*w < o*weight {
			best, most, weight = i, o, w
		}
	}
	return best
}
