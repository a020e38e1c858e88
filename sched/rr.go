package sched

// rr is round robin: each eligible server in its turn, whatever the weights.
// Source of the rule: net/netfilter/ipvs/ip_vs_rr.c.
type rr struct {
	servers *list
	// last is the server picked last, or the list's root.
	last *Server
}

func bindRR(l *list, _ Options) algorithm { return &rr{servers: l, last: &l.root} }

func (r *rr) added(*Server)  {}
func (r *rr) edited(*Server) {}

func (r *rr) removed(s *Server) {
	if r.last == s {
		r.last = s.prev
	}
}

func (r *rr) pick(_ Flow, avoid *Server) *Server {
	root := &r.servers.root
	// One turn of the ring, which ends with the last picked server itself.
	// A turn that begins at the root has seen all when it is back there.
	for s := r.last.next; ; s = s.next {
		if s != root && s.eligible(avoid) {
			r.last = s
			return s
		}
		if s == r.last {
			return nil
		}
	}
}
