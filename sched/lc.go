package sched

// lc picks the server with the least connections; a weight matters only as 0
// or not. Source of the rule: net/netfilter/ipvs/ip_vs_lc.c.
type lc struct {
	stateless
	servers *list
	rules   Rules
}

// stateless is the part of an algorithm that remembers nothing.
type stateless struct{}

func (stateless) added(*Server)   {}
func (stateless) edited(*Server)  {}
func (stateless) removed(*Server) {}

func bindLC(l *list, o Options) algorithm { return &lc{servers: l, rules: o.Rules} }

func (c *lc) pick(_ Flow, avoid *Server) *Server {
	var best *Server
	var least int32
	for s := c.servers.root.next; s != &c.servers.root; s = s.next {
		if !s.eligible(avoid) {
			continue
		}
		if o := c.rules.overhead(s); best == nil || o < least {
			best, least = s, o
		}
	}
	return best
}
