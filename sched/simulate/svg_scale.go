package simulate

import (
	"math"
	"time"
)

// scale is a vertical axis.
type scale struct {
	low, high   float64
	logarithmic bool
	ticks       []float64
	label       func(float64) string
}

// at is where a value stands, 0 being the bottom and 1 the top.
func (s *scale) at(v float64) float64 {
	if s.logarithmic {
		v = max(v, s.low)
		return math.Log(v/s.low) / math.Log(s.high/s.low)
	}
	return (v - s.low) / (s.high - s.low)
}

// linear is a scale from zero that holds most.
func linear(most float64, n int) scale {
	t := ticks(max(most, 1), n)
	step := t[1] - t[0]
	high := step * math.Ceil(max(most, 1)/step-1e-9)
	return scale{high: high, ticks: ticks(high, n+1), label: number}
}

// ticks are round numbers from 0 to most, about n of them and at least two.
func ticks(most float64, n int) []float64 {
	raw := most / float64(max(n, 1))
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= raw*(1-1e-9) {
			step = m * unit
			break
		}
	}
	out := []float64{0}
	for i := 1; float64(i)*step <= most*(1+1e-9); i++ {
		out = append(out, float64(i)*step)
	}
	if len(out) == 1 {
		out = append(out, most)
	}
	return out
}

// logTime is a scale of nanoseconds from low to high, in powers of ten.
func logTime(low, high float64) scale {
	first, last := math.Floor(math.Log10(max(low, 1))), math.Ceil(math.Log10(max(high, 10)))
	if last <= first {
		last = first + 1
	}
	s := scale{low: math.Pow(10, first), high: math.Pow(10, last), logarithmic: true, label: func(v float64) string { return brief(time.Duration(math.Round(v))) }}
	every := math.Ceil((last - first) / 5)
	for e := first; e <= last; e += every {
		s.ticks = append(s.ticks, math.Pow(10, e))
	}
	return s
}

// timeUnit is the unit in which a length of time is a number of two or three
// digits.
func timeUnit(d time.Duration) (time.Duration, string) {
	switch {
	case d >= 3*time.Hour:
		return time.Hour, "hours"
	case d > 5*time.Minute:
		return time.Minute, "minutes"
	case d >= time.Second:
		return time.Second, "seconds"
	}
	return time.Millisecond, "milliseconds"
}
