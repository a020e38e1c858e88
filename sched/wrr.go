package sched

// wrr is weighted round robin: turns of the list at falling levels, in which
// a server takes a connection when its weight reaches the level. Source of
// the rule: net/netfilter/ipvs/ip_vs_wrr.c.
type wrr struct{ turns }

// A mark of wrr is the place of the server picked last, -1 for the one before
// the first, and the level.
func wrrMark(last int, level int32) uint64 { return uint64(last+1)<<32 | uint64(uint32(level)) }

func splitMark(mark uint64) (last int, level int32) { return int(mark>>32) - 1, int32(mark) }

func bindWRR(v *view, _ Options) (algorithm, error) {
	w := &wrr{}
	t := measure(v)
	w.start(t, wrrMark(-1, t.top))
	return w, nil
}

func (w *wrr) added(v *view)          { w.changed(v) }
func (w *wrr) edited(v *view)         { w.changed(v) }
func (w *wrr) removed(v *view, _ int) { w.changed(v) }

// changed begins a turn anew but keeps the level, fitted to the new step, so
// that frequent edits do not favour the heavy servers.
func (w *wrr) changed(v *view) {
	t := measure(v)
	_, level := splitMark(w.freeze())
	switch {
	case level > t.top || level == 0:
		level = t.top
	case t.step > 1:
		level = level/t.step*t.step + 1
	}
	w.start(t, wrrMark(-1, level))
}

// measure returns a turn over the servers. Its step is the greatest common
// divisor of the weights above 0; its top is the level of the first round, 0
// when no weight is above 0.
func measure(v *view) *turn {
	t := &turn{view: v, weights: make([]int32, len(v.cells))}
	var heaviest, divisor int32
	for i, c := range v.cells {
		weight := c.weight.Load()
		t.weights[i] = weight
		if weight > 0 {
			heaviest = max(heaviest, weight)
			divisor = gcd(divisor, weight)
		}
	}
	t.step = max(divisor, 1)
	// The lowest level that tells all weights apart: those between it and
	// the weight itself would make the same picks.
	t.top = heaviest - (t.step - 1)
	return t
}

func (w *wrr) pick(_ Flow, _ Flags, avoid *cell) *Server {
	for {
		t, mark := w.read()
		if t.top == 0 {
			return nil
		}
		i, next := t.weighted(mark, avoid)
		if !t.mark.CompareAndSwap(mark, next) {
			continue
		}
		if i < 0 {
			return nil
		}
		return t.view.servers[i]
	}
}

// weighted returns the place of the server whose turn it is, -1 for none, and
// the mark after it.
func (t *turn) weighted(mark uint64, avoid *cell) (int, uint64) {
	first, level := splitMark(mark)
	// A pick that begins in the middle of the lowest round has seen only the
	// servers behind first at that level. It may give up when it comes back
	// to the lowest level and there to first.
	partial := first >= 0 && level <= t.step
	for from := first; ; from = -1 {
		lowest := level <= t.step
		for i := from + 1; i < len(t.weights); i++ {
			if t.weights[i] >= level && t.view.cells[i].open(avoid) {
				return i, wrrMark(i, level)
			}
			if i == first && partial && lowest {
				return -1, wrrMark(first, level)
			}
		}
		if from < 0 {
			level -= t.descent(level, avoid)
		} else {
			level -= t.step
		}
		if level > 0 {
			continue
		}
		level = t.top
		if from < 0 {
			return -1, wrrMark(-1, level)
		}
	}
}

// descent is how far the level falls after a whole round without a pick: by
// steps, to the first level that an open server reaches or to the lowest one.
// The rounds between would find nobody, and there may be 2^31 of them.
func (t *turn) descent(level int32, avoid *cell) int32 {
	heaviest := t.step
	for i, c := range t.view.cells {
		if t.weights[i] > heaviest && c.open(avoid) {
			heaviest = t.weights[i]
		}
	}
	// Rounded up.
	steps := (int64(level) - int64(heaviest) + int64(t.step) - 1) / int64(t.step)
	return int32(max(steps, 1)) * t.step
}

func gcd(a, b int32) int32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
