package feedback_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/sched/feedback"
)

func TestGradualClimbsInAStraightLine(t *testing.T) {
	law := feedback.Gradual{SlowStart: 8 * time.Second, Unit: 32}
	s := law.Start(2)
	got := []int{s.Weight}
	for range 9 {
		s = law.Next(s, feedback.Sample{Load: -1, Elapsed: time.Second})
		got = append(got, s.Weight)
	}
	if diff := cmp.Diff([]int{2, 10, 18, 26, 34, 42, 50, 58, 64, 64}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
}

func TestGradualWaitsWhileTheServerIsOverwhelmed(t *testing.T) {
	law := feedback.Gradual{}
	s := law.Start(1)
	for range 100 {
		s = law.Next(s, feedback.Sample{Load: 9, Cores: 8, Elapsed: time.Second})
	}
	if s.Climb != 1.0/32 {
		t.Errorf("the climb went on to %v with more work than cores", s.Climb)
	}
	if s = law.Next(s, feedback.Sample{Load: 8, Cores: 8, Elapsed: time.Second}); s.Climb <= 1.0/32 {
		t.Error("the climb does not go on when there is no more work than cores")
	}
}

func TestGradualNeverJumpsAfterAPause(t *testing.T) {
	law := feedback.Gradual{}
	s := law.Next(law.Start(100), feedback.Sample{Load: 0, Cores: 1, Elapsed: time.Hour})
	if full := law.Steady(100).Weight; s.Weight > full/6 {
		t.Errorf("one late sample moved the weight to %d of %d", s.Weight, full)
	}
}

func TestGradualKnowsCores(t *testing.T) {
	law := feedback.Gradual{}
	settle := func(load float64, cores int) int {
		s := law.Steady(10)
		for range 600 {
			s = law.Next(s, feedback.Sample{Load: load, Cores: cores, Elapsed: time.Second})
		}
		return s.Weight
	}
	if few, many := settle(11.2, 4), settle(11.2, 16); few < 320 || few >= 352 || many != 640 {
		t.Errorf("weights %d and %d of 640 under a load of 11.2 with 4 and 16 cores, want half within a step, and all", few, many)
	}
	if small, large := settle(0.7, 1), settle(22.4, 32); small != large {
		t.Errorf("weights %d and %d under the same load per core", small, large)
	}
}

func TestGradualComesBackWhenTheLoadIsUnknown(t *testing.T) {
	law := feedback.Gradual{}
	s := law.Steady(10)
	for range 300 {
		s = law.Next(s, feedback.Sample{Load: 100, Cores: 1, Elapsed: time.Second})
	}
	if s.Weight >= 352 {
		t.Fatalf("weight %d of 640 when overloaded, want the lowest share", s.Weight)
	}
	for range 300 {
		s = law.Next(s, feedback.Sample{Load: math.NaN(), Elapsed: time.Second})
	}
	if s.Weight < 608 {
		t.Errorf("weight %d of 640 long after the load became unknown", s.Weight)
	}
}

// Whatever is measured, the weight stays within its bounds, and the zero of
// the operator stays a zero.
func TestGradualStaysWithinItsBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		law := feedback.Gradual{Lowest: 0.1 + 0.9*r.Float64(), Highest: 1 + 4*r.Float64(), Unit: 1 + r.IntN(100)}
		if err := law.Validate(); err != nil {
			t.Fatal(err)
		}
		weight := r.IntN(200)
		s := law.Start(weight)
		if r.IntN(2) == 0 {
			s = law.Steady(weight)
		}
		full := float64(weight * law.Unit)
		for range 200 {
			before := s
			s = law.Next(s, feedback.Sample{
				Load:  []float64{-1, 0, r.ExpFloat64(), 100 * r.ExpFloat64(), math.NaN(), math.Inf(1)}[r.IntN(6)],
				Cores: r.IntN(70) - 2, Elapsed: time.Duration(r.IntN(30)-1) * time.Second,
			})
			switch w := float64(s.Weight); {
			case weight == 0 && s.Weight != 0:
				t.Fatalf("weight %d for a server that is drained", s.Weight)
			case weight > 0 && s.Weight < 1, w > math.Ceil(full*law.Highest), s.Climb == 1 && before.Climb == 1 && w < math.Floor(full*law.Lowest):
				t.Fatalf("weight %d of %v with shares %v..%v: %+v after %+v", s.Weight, full, law.Lowest, law.Highest, s, before)
			case s.Climb < before.Climb || s.Climb-before.Climb > 1.0/8+1e-9:
				t.Fatalf("the climb went from %v to %v in one sample", before.Climb, s.Climb)
			}
		}
	}
}

// A server whose load follows its weight a minute late finds its rest.
func TestGradualDoesNotSwing(t *testing.T) {
	law := feedback.Gradual{Step: 1e-6}
	s := law.Steady(100)
	load := 0.1
	var low, high float64 = math.Inf(1), 0
	for second := range 1800 {
		// At the whole weight there is work for 1.2 times the cores.
		load += (1.2*float64(s.Weight)/6400 - load) / 60
		s = law.Next(s, feedback.Sample{Load: load, Cores: 1, Elapsed: time.Second})
		if second >= 1200 {
			low, high = min(low, s.Share), max(high, s.Share)
		}
	}
	// The rest is where the share is the root of 0.7/(1.2*share).
	if rest := math.Cbrt(0.7 / 1.2); math.Abs(low-rest) > 0.01 || math.Abs(high-rest) > 0.01 {
		t.Errorf("the share swings between %.3f and %.3f, want rest at %.3f", low, high, rest)
	}
}

func TestGradualSmallChangesAreLeftAlone(t *testing.T) {
	law := feedback.Gradual{}
	s := law.Steady(10)
	changes := 0
	for i := range 600 {
		before := s.Weight
		s = law.Next(s, feedback.Sample{Load: 0.7 + 0.03*float64(i%3-1), Cores: 1, Elapsed: time.Second})
		if s.Weight != before {
			changes++
		}
	}
	if changes != 0 {
		t.Errorf("%d changes of the weight under a load that hardly moves", changes)
	}
}

func TestGradualValidate(t *testing.T) {
	tests := map[string]struct {
		law  feedback.Gradual
		want string
	}{
		"zero":             {feedback.Gradual{}, ""},
		"only the highest": {feedback.Gradual{Highest: 0.4}, ""},
		"only the lowest":  {feedback.Gradual{Lowest: 2}, ""},
		"negative time":    {feedback.Gradual{SlowStart: -1}, "slow start -1ns: want more than 0"},
		"negative damping": {feedback.Gradual{TimeConstant: -1}, "time constant -1ns"},
		"bounds crossed":   {feedback.Gradual{Lowest: 2, Highest: 1}, "bounds 2..1 of the share"},
		"not a number":     {feedback.Gradual{Lowest: math.NaN()}, "bounds NaN"},
		"a step too far":   {feedback.Gradual{Step: 1}, "step 1: want above 0 and below 1"},
		"unit":             {feedback.Gradual{Unit: -1}, "unit -1: want 1..65535"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.law.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestIntervals(t *testing.T) {
	if got := (feedback.Piranha{}).Interval(); got != 20*time.Second {
		t.Errorf("Piranha adjusts every %v, want 20s", got)
	}
	for slow, want := range map[time.Duration]time.Duration{0: time.Second, time.Second: 100 * time.Millisecond, time.Hour: 5 * time.Second} {
		if got := (feedback.Gradual{SlowStart: slow}).Interval(); got != want {
			t.Errorf("a slow start of %v is sampled every %v, want %v", slow, got, want)
		}
	}
}
