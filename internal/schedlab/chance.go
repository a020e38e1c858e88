package schedlab

import (
	"cmp"
	"math"
	"slices"
)

// Unlikely returns the probability that counts differ from what their
// probabilities predict at least as much as these do: Pearson's chi-square
// test. Where a probability is 0 but not the count, it is 0. Counts of which
// less than 5 are predicted are taken together, as the test needs.
func Unlikely(counts []int, probabilities []float64) float64 {
	n := 0
	for _, c := range counts {
		n += c
	}
	type class struct {
		got  int
		want float64
	}
	var classes []class
	for i, p := range probabilities {
		if p == 0 && counts[i] != 0 {
			return 0
		}
		if p > 0 {
			classes = append(classes, class{counts[i], p * float64(n)})
		}
	}
	slices.SortFunc(classes, func(a, b class) int { return cmp.Compare(a.want, b.want) })
	for len(classes) > 1 && classes[0].want < 5 {
		classes[1].got += classes[0].got
		classes[1].want += classes[0].want
		classes = classes[1:]
	}
	square := 0.0
	for _, c := range classes {
		square += (float64(c.got) - c.want) * (float64(c.got) - c.want) / c.want
	}
	return survival(square, len(classes)-1)
}

// survival is the probability that a chi-square variable of so many degrees
// of freedom is above x: the upper incomplete gamma function Q(freedom/2,
// x/2), by its recurrence Q(a+1, x) = Q(a, x) + x^a e^-x / Gamma(a+1).
func survival(x float64, freedom int) float64 {
	if freedom <= 0 {
		return 1
	}
	x /= 2
	a, q := 1.0, math.Exp(-x)
	if freedom%2 == 1 {
		a, q = 0.5, math.Erfc(math.Sqrt(x))
	}
	for ; a < float64(freedom)/2; a++ {
		gamma, _ := math.Lgamma(a + 1)
		if x > 0 {
			q += math.Exp(a*math.Log(x) - x - gamma)
		}
	}
	return q
}
