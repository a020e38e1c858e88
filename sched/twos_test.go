package sched

import (
	"math/rand/v2"
	"testing"
)

// Weights 2 and 3 make a die of 6 sides, 0 to 5: in the list b a, b (3) has
// 0, 1, 2 and 3, and a has 4 and 5.
func TestTwosDrawsDerivedByHand(t *testing.T) {
	tests := []struct {
		name, script, want string
		first, second      uint32
	}{
		{"the first server has a side more than its weight", "+a2 +b3", "b", 3, 3},
		{"the last side is the last server's", "+a2 +b3", "a", 5, 5},
		{"the numbers are cut to the sides", "+a2 +b3", "a", 10, 16},
		{"a tie goes to the first number", "+a2 +b3", "a", 4, 0},
		{"the second has less for its weight", "+a2 +b3 a/2,0 b/2,0", "b", 4, 0},
		// 3*512 > 2*768 does not hold.
		{"the second has the same for its weight", "+a2 +b3 a/2,0 b/3,0", "a", 4, 0},
		{"the second has more", "+a2 +b3 a/1,0 b/3,0", "a", 4, 0},
		{"quiesced servers have no side", "+a2 +b0 +c1", "a", 2, 2},
		{"without a server", "+a0", "-", 1, 1},
		// The sum is 2^31, and one more; its half is the first one's.
		{"a sum of more than 31 bits", "+a1 +b2147483647", "b", 1 << 30, 1 << 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			draw := uint64(tt.first)<<32 | uint64(tt.second)
			s := mustNew(t, "twos", &Options{Random: func() uint64 { return draw }})
			if got := play(t, s, tt.script+" 1"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Sums that wrap to nothing must not divide by it.
func TestTwosWithSumsThatWrap(t *testing.T) {
	s := mustNew(t, "twos", nil)
	play(t, s, "+a2147483647 +b2147483647 +c1")
	for range 1000 {
		if s.Pick(Flow{}) == nil {
			t.Fatal("no server picked")
		}
	}
}

// The shares of idle servers are those of the first number: with weights 1, 2
// and 4 of 8 sides the first in the list has one side too many.
func TestTwosDistribution(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 5))
	s := mustNew(t, "twos", &Options{Random: rnd.Uint64})
	play(t, s, "+a1 +b2 +c4")
	const picks = 80000
	got := map[string]int{}
	for range picks {
		got[nameOf(s.Pick(Flow{}))]++
	}
	// Chi square with two degrees of freedom: 13.8 in one of a thousand
	// runs. The seed is fixed, so it passes always or never.
	chi := 0.0
	for name, sides := range map[string]int{"a": 1, "b": 2, "c": 5} {
		want := float64(picks * sides / 8)
		chi += (float64(got[name]) - want) * (float64(got[name]) - want) / want
	}
	if chi > 13.8 {
		t.Errorf("shares %v, chi square %.1f", got, chi)
	}
}
