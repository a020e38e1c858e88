package sched

// wlc picks the server with the least connections for its weight. Source of
// the rule: net/netfilter/ipvs/ip_vs_wlc.c.
type wlc struct {
	stateless
	servers *list
	rules   Rules
}

func bindWLC(l *list, o Options) algorithm { return &wlc{servers: l, rules: o.Rules} }

func (c *wlc) pick(_ Flow, avoid *Server) *Server {
	var best *Server
	var least int64
	for s := c.servers.root.next; s != &c.servers.root; s = s.next {
		if !s.eligible(avoid) {
			continue
		}
		o := int64(c.rules.overhead(s))
		// least/best.weight > o/s.weight, without a division. Products of
		// two 32-bit numbers fit.
		if best == nil || least*int64(s.weight) > o*int64(best.weight) {
			best, least = s, o
		}
	}
	return best
}
