package simulate

import (
	"math/bits"
	"time"
)

// histogram counts lengths of time with an error of at most 1.6 %: below 64 ns
// exactly, above in 32 steps for each doubling. It never allocates.
type histogram struct {
	counts [2048]uint32
	n      uint64
	sum    float64
	most   int64
}

func bucketOf(ns int64) int {
	if ns < 64 {
		return int(max(ns, 0))
	}
	shift := bits.Len64(uint64(ns)) - 6
	return shift<<5 + int(ns>>shift)
}

// middleOf is the middle of a bucket.
func middleOf(bucket int) int64 {
	if bucket < 64 {
		return int64(bucket)
	}
	shift := bucket>>5 - 1
	low := int64(bucket-shift<<5) << shift
	return low + int64(1)<<shift/2
}

func (h *histogram) add(ns int64) {
	h.counts[bucketOf(ns)]++
	h.n++
	h.sum += float64(ns)
	h.most = max(h.most, ns)
}

// quantile returns the time that a part q of all is not above; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := uint64(q*float64(h.n) + 0.5)
	var seen uint64
	for i, c := range h.counts {
		if seen += uint64(c); c > 0 && seen >= max(want, 1) {
			return time.Duration(min(middleOf(i), h.most))
		}
	}
	return time.Duration(h.most)
}

func (h *histogram) mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n))
}

func (h *histogram) reset() {
	if h.n > 0 {
		*h = histogram{}
	}
}
