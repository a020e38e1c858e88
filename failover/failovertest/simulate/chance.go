package simulate

import (
	"math/bits"
	"time"
)

// chance is a stream of random numbers: splitmix64, which needs no table, so
// that a schedule costs nothing to begin.
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (c *chance) below(n int) int {
	hi, _ := bits.Mul64(c.next(), uint64(n))
	return int(hi)
}

// one is true once in n times.
func (c *chance) one(n int) bool { return c.below(n) == 0 }

// upTo returns a time from 0 to d.
func (c *chance) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(c.below(int(d) + 1))
}

// between returns a time from low to high.
func (c *chance) between(low, high time.Duration) time.Duration { return low + c.upTo(high-low) }

// number returns a number for which 0 is not allowed.
func (c *chance) number() uint64 { return c.next() | 1 }
