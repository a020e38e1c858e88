package feedback_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/sched/feedback"
)

func TestPiranhaSlowStart(t *testing.T) {
	tests := map[string]struct {
		weight int
		want   []int
	}{
		"a hundred":                 {100, []int{3, 6, 12, 24, 48, 96, 100, 100}},
		"a power of two":            {64, []int{2, 4, 8, 16, 32, 64, 64}},
		"too small for steps":       {2, []int{1, 2, 2}},
		"one":                       {1, []int{1, 1}},
		"a drain stays one":         {0, []int{0, 0}},
		"thirty-two has five steps": {32, []int{1, 2, 4, 8, 16, 32}},
		"the largest weight":        {math.MaxInt32, []int{67108863, 134217726, 268435452, 536870904, 1073741808, 2147483616, math.MaxInt32, math.MaxInt32}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			law := feedback.Piranha{Load: true}
			s := law.Start(tt.weight)
			got := []int{s.Weight}
			for len(got) < len(tt.want) {
				// The load plays no part before the weight is reached, and a
				// load of 1 none after it.
				s = law.Next(s, feedback.Sample{Load: 1})
				got = append(got, s.Weight)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPiranhaSlowStartIgnoresTheLoad(t *testing.T) {
	law := feedback.Piranha{Load: true}
	s := law.Next(law.Start(100), feedback.Sample{Load: 50, Cores: 1})
	if s.Weight != 6 {
		t.Errorf("weight %d under a load of 50 during the slow start, want 6", s.Weight)
	}
}

// The numbers are worked out by hand from the formula.
func TestPiranhaLoad(t *testing.T) {
	tests := map[string]struct {
		weight, now int
		load        float64
		want        int
	}{
		"idle":                             {100, 100, 0, 150},          // 100 + 50*1
		"an eighth of a load below one":    {100, 100, 0.875, 125},      // cube root of 1/8 is 1/2
		"an eighth over it, at the weight": {100, 100, 1.125, 100},      // 75, but not below 100
		"an eighth over it, above it":      {100, 200, 1.125, 175},      // 200 - 25
		"a load of nine":                   {100, 300, 9, 200},          // 300 - 50*2
		"never below the weight":           {100, 120, 1000, 120},       // 100 is only 20 away from 120
		"down to the weight":               {100, 130, 1000, 100},       // 30 away
		"ten times is the most":            {100, 980, 0, 980},          // 1000 is only 20 away
		"up to ten times":                  {100, 960, 0, 1000},         // 1010, at most 1000, 40 away
		"too small a change":               {100, 100, 0.9, 100},        // 100 + 50*0.4642 = 123, 23 away
		"cut, not rounded":                 {10, 10, 0.3, 14},           // 10 + 5*0.8879 = 14.4
		"half a weight of one is cut":      {1, 1, 0.5, 1},              // 1 + 0.5*0.79 = 1.39
		"the whole half of one":            {1, 1, 0, 1},                // 1.5
		"two grows by one":                 {2, 2, 0, 3},                // 2 + 1
		"exactly one":                      {100, 500, 1, 500},          //
		"unknown":                          {100, 500, -1, 500},         //
		"not a number":                     {100, 500, math.NaN(), 500}, //
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := feedback.State{Configured: tt.weight, Weight: tt.now}
			if got := (feedback.Piranha{Load: true}).Next(s, feedback.Sample{Load: tt.load, Cores: 64}); got.Weight != tt.want {
				t.Errorf("weight %d from %d of %d under load %v, want %d", got.Weight, tt.now, tt.weight, tt.load, tt.want)
			}
			if got := (feedback.Piranha{}).Next(s, feedback.Sample{Load: tt.load}); got.Weight != tt.now {
				t.Errorf("without a load monitor the weight went from %d to %d", tt.now, got.Weight)
			}
		})
	}
}

func TestPiranhaScale(t *testing.T) {
	law := feedback.Piranha{Load: true, Scale: 2}
	s := law.Steady(8)
	for range 10 {
		s = law.Next(s, feedback.Sample{})
	}
	if s.Weight != 16 {
		t.Errorf("an idle server has weight %d with scale 2, want 16", s.Weight)
	}
}
