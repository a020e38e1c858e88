package sched

// rr is round robin: each eligible server in its turn, whatever the weights.
// Source of the rule: net/netfilter/ipvs/ip_vs_rr.c.
//
// The mark is the number of servers up to the one picked last; 0 stands for
// the place before the first.
type rr struct{ turns }

func bindRR(v *view, _ Options) (algorithm, error) {
	r := &rr{}
	r.start(&turn{view: v}, 0)
	return r, nil
}

func (r *rr) added(v *view) {
	mark := r.freeze()
	if mark > 0 {
		mark++
	}
	r.start(&turn{view: v}, mark)
}

func (r *rr) edited(*view) {}

// removed moves the mark with the servers behind i. If the server is the one
// picked last it falls back to the one before.
func (r *rr) removed(v *view, i int) {
	mark := r.freeze()
	if mark > uint64(i) {
		mark--
	}
	r.start(&turn{view: v}, mark)
}

func (r *rr) pick(_ Flow, _ Flags, avoid *cell) *Server {
	for {
		t, mark := r.read()
		i := t.view.next(mark, avoid)
		if i < 0 {
			return nil
		}
		if next := uint64(i + 1); next == mark || t.mark.CompareAndSwap(mark, next) {
			return t.view.servers[i]
		}
	}
}

// next returns the place of the first server that is open in a turn of the
// list that begins behind the mark and ends with the server at it, or -1.
func (v *view) next(mark uint64, avoid *cell) int {
	for i, c := range v.cells[mark:] {
		if c.open(avoid) {
			return int(mark) + i
		}
	}
	for i, c := range v.cells[:mark] {
		if c.open(avoid) {
			return i
		}
	}
	return -1
}
