package simulate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Shape is the kind of a [Distribution].
type Shape uint8

// The shapes. Zero is Exponential.
const (
	// Exponential spreads widely: two thirds are below the mean, one in a
	// hundred is above 4.6 times the mean.
	Exponential Shape = iota
	// Fixed is the mean every time.
	Fixed
	// LogNormal has a long tail, as answers of real servers do.
	LogNormal
)

var shapeNames = []string{"exponential", "constant", "lognormal"}

// String returns "exponential", "constant" or "lognormal", or the number of an
// unknown shape.
func (s Shape) String() string { return enumString("shape", shapeNames, uint8(s)) }

// MarshalText writes the name; an unknown shape is an error.
func (s Shape) MarshalText() ([]byte, error) { return enumText("distribution", shapeNames, uint8(s)) }

// UnmarshalText reads a name.
func (s *Shape) UnmarshalText(text []byte) error {
	return enumRead("distribution", shapeNames, text, (*uint8)(s))
}

// Distribution is a random length of time. The zero value is always 0.
type Distribution struct {
	Shape Shape
	// Mean is 0 or more.
	Mean time.Duration
	// Sigma is the standard deviation of the logarithm, for LogNormal: 0
	// means 1, where one in a hundred is above 6.2 times the mean; at most 4.
	Sigma float64
}

const (
	defaultSigma = 1
	maxSigma     = 4
	// maxTime bounds every time of a scenario: 1,000 hours.
	maxTime = 1000 * time.Hour
)

// ParseDistribution reads the text form: "20ms" and "exponential 20ms" are the
// same, "constant 5ms", "lognormal 20ms" or, with a sigma, "lognormal 20ms 1.5".
func ParseDistribution(text string) (Distribution, error) {
	words := strings.Fields(text)
	var d Distribution
	if len(words) > 0 && d.Shape.UnmarshalText([]byte(words[0])) == nil {
		words = words[1:]
	}
	if len(words) == 0 || len(words) > 2 || len(words) == 2 && d.Shape != LogNormal {
		return Distribution{}, fmt.Errorf("time %q: want a mean such as 20ms, perhaps after exponential, constant or lognormal", text)
	}
	var err error
	if d.Mean, err = parseTime(words[0]); err != nil {
		return Distribution{}, fmt.Errorf("time %q: %w", text, err)
	}
	if len(words) == 2 {
		if d.Sigma, err = strconv.ParseFloat(words[1], 64); err != nil {
			return Distribution{}, fmt.Errorf("time %q: sigma %q: want a number such as 1.5", text, words[1])
		}
	}
	if err := d.validate(); err != nil {
		return Distribution{}, fmt.Errorf("time %q: %w", text, err)
	}
	return d, nil
}

// parseTime reads a duration of this package.
func parseTime(text string) (time.Duration, error) {
	t, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: want a number with a unit, such as 20ms, 1.5s or 2m", text)
	}
	return t, inTime(t)
}

// inTime tells whether a time is within the bounds.
func inTime(t time.Duration) error {
	if t < 0 || t > maxTime {
		return fmt.Errorf("%v: want 0 to %dh", t, maxTime/time.Hour)
	}
	return nil
}

// String returns the text form that [ParseDistribution] reads.
func (d Distribution) String() string {
	if d.Shape == LogNormal && d.Sigma != 0 {
		return fmt.Sprintf("%v %v %v", d.Shape, d.Mean, d.Sigma)
	}
	return fmt.Sprintf("%v %v", d.Shape, d.Mean)
}

// MarshalText writes the text form.
func (d Distribution) MarshalText() ([]byte, error) { return []byte(d.String()), d.validate() }

// UnmarshalText reads what [ParseDistribution] does.
func (d *Distribution) UnmarshalText(text []byte) error {
	got, err := ParseDistribution(string(text))
	if err == nil {
		*d = got
	}
	return err
}

func (d Distribution) validate() error {
	_, err := d.Shape.MarshalText()
	if terr := inTime(d.Mean); terr != nil {
		err = errors.Join(err, fmt.Errorf("mean %w", terr))
	}
	if !(d.Sigma >= 0 && d.Sigma <= maxSigma) {
		err = errors.Join(err, fmt.Errorf("sigma %v: want 0 to %v", d.Sigma, maxSigma))
	}
	return err
}

// source is a distribution made ready for drawing.
type source struct {
	shape     Shape
	mean      float64
	mu, sigma float64
}

func (d Distribution) source() source {
	s := source{shape: d.Shape, mean: float64(d.Mean)}
	if d.Shape == LogNormal && d.Mean > 0 {
		if s.sigma = d.Sigma; s.sigma == 0 {
			s.sigma = defaultSigma
		}
		s.mu = math.Log(s.mean) - s.sigma*s.sigma/2
	}
	return s
}

// draw turns random bits into nanoseconds. The same bits give the same place
// in the distribution, whatever its mean.
func (s *source) draw(bits uint64) int64 {
	if s.mean == 0 {
		return 0
	}
	var x float64
	switch s.shape {
	case Fixed:
		x = s.mean
	case LogNormal:
		// Box and Muller, with the two halves of the bits.
		u, v := unit(bits), float64(mix(bits)>>11)*0x1p-53
		// The conversion keeps processors from fusing the two steps, which
		// would round otherwise there.
		x = math.Exp(s.mu + float64(s.sigma*math.Sqrt(-2*math.Log(u))*math.Cos(2*math.Pi*v)))
	default:
		x = -math.Log(unit(bits)) * s.mean
	}
	return int64(min(x, float64(maxTime)))
}

// unit turns bits into a number above 0 and at most 1.
func unit(bits uint64) float64 { return float64(bits>>11+1) * 0x1p-53 }

// mix is the finisher of SplitMix64 (Steele, Lea and Flood, 2014): it scatters
// counters over all 64 bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
