package sched

// wrr is weighted round robin: turns of the list at falling levels, in which
// a server takes a connection when its weight reaches the level. Source of
// the rule: net/netfilter/ipvs/ip_vs_wrr.c.
type wrr struct {
	servers *list
	// last is the server picked last, or the list's root.
	last *Server
	// step is the greatest common divisor of the weights above 0; top is
	// the level of the first turn, 0 when no weight is above 0.
	level, top, step int32
}

func bindWRR(l *list, _ Options) algorithm {
	w := &wrr{servers: l, last: &l.root}
	w.measure()
	w.level = w.top
	return w
}

func (w *wrr) added(*Server)   { w.changed() }
func (w *wrr) edited(*Server)  { w.changed() }
func (w *wrr) removed(*Server) { w.changed() }

// changed begins a turn anew but keeps the level, fitted to the new step, so
// that frequent edits do not favour the heavy servers.
func (w *wrr) changed() {
	w.last = &w.servers.root
	w.measure()
	switch {
	case w.level > w.top || w.level == 0:
		w.level = w.top
	case w.step > 1:
		w.level = w.level/w.step*w.step + 1
	}
}

func (w *wrr) measure() {
	var heaviest, divisor int32
	for s := w.servers.root.next; s != &w.servers.root; s = s.next {
		if s.weight > 0 {
			heaviest = max(heaviest, s.weight)
			divisor = gcd(divisor, s.weight)
		}
	}
	w.step = max(divisor, 1)
	// The lowest level that tells all weights apart: those between it and
	// the weight itself would make the same picks.
	w.top = heaviest - (w.step - 1)
}

func (w *wrr) pick(_ Flow, avoid *Server) *Server {
	if w.top == 0 {
		return nil
	}
	root, first := &w.servers.root, w.last
	// A pick that begins in the middle of the lowest turn has seen only the
	// servers behind first at that level. It may give up when it comes back
	// to the lowest level and there to first.
	partial := first != root && w.level <= w.step
	for from := first; ; from = root {
		lowest := w.level <= w.step
		for s := from.next; s != root; s = s.next {
			if s.weight >= w.level && s.takes(avoid) {
				w.last = s
				return s
			}
			if s == first && partial && lowest {
				return nil
			}
		}
		w.level -= w.step
		if w.level > 0 {
			continue
		}
		w.level = w.top
		if from == root {
			w.last = root
			return nil
		}
	}
}

func gcd(a, b int32) int32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
