package ipvs

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMatchLikeMaps compares with what maps say, for lists in which keys come
// more than once.
func TestMatchLikeMaps(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	m := newMatcher()
	for round := range 2000 {
		draw := func() []int {
			list := make([]int, r.IntN(40))
			for i := range list {
				list[i] = r.IntN(60)
			}
			return list
		}
		have, want := draw(), draw()
		if round%3 == 0 { // mostly alike, as tables are
			want = slices.Clone(have)
			if len(want) > 0 {
				want[r.IntN(len(want))] = 99
			}
		}
		haveAt, wantAt := map[int]int{}, map[int]int{}
		for i, k := range have {
			haveAt[k] = i
		}
		for i, k := range want {
			wantAt[k] = i
		}
		collide := func(seed uint64, k int) uint64 { return uint64(k % 7) }
		at, kept := match(m, len(have), len(want), func(i int) int { return have[i] }, func(i int) int { return want[i] }, collide)
		for i, k := range want {
			j, there := haveAt[k]
			switch {
			case wantAt[k] != i:
				j = isReplaced
			case !there:
				j = isNew
			}
			if int(at[i]) != j {
				t.Fatalf("seed %d: entry %d of %v among %v: got %d, want %d", seed, i, want, have, at[i], j)
			}
		}
		for i, k := range have {
			_, wanted := wantAt[k]
			if alone := wanted || haveAt[k] != i; kept[i] != alone {
				t.Fatalf("seed %d: entry %d of %v, wanted %v: kept %v", seed, i, have, want, kept[i])
			}
		}
	}
}
