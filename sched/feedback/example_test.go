package feedback_test

import (
	"fmt"

	"github.com/lvskit/lvskit/sched/feedback"
)

// A server of weight 2 returns: Piranha knows two steps, the gradual law
// sixty.
func Example() {
	old, gradual := feedback.Piranha{}, feedback.Gradual{}
	a, b := old.Start(2), gradual.Start(2)
	for seconds := 0; seconds <= 60; seconds++ {
		if seconds%20 == 0 {
			fmt.Printf("after %2d s: %d of %d, or %3d of %d\n", seconds, a.Weight, 2, b.Weight, gradual.Steady(2).Weight)
			a = old.Next(a, feedback.Sample{})
		}
		b = gradual.Next(b, feedback.Sample{Load: 2.8, Cores: 4, Elapsed: gradual.Interval()})
	}
	// Output:
	// after  0 s: 1 of 2, or   4 of 128
	// after 20 s: 2 of 2, or  47 of 128
	// after 40 s: 2 of 2, or  89 of 128
	// after 60 s: 2 of 2, or 128 of 128
}
