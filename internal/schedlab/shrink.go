package schedlab

// Shrink returns a case with fewer steps that still fails, trying at most so
// many. The case given must fail.
func Shrink(c Case, tries int, fails func(Case) bool) Case {
	for size := (len(c.Steps) + 1) / 2; size > 0; {
		less := false
		for from := 0; from < len(c.Steps); {
			if tries--; tries < 0 {
				return c
			}
			without := c
			without.Steps = append(append([]Step(nil), c.Steps[:from]...), c.Steps[min(from+size, len(c.Steps)):]...)
			if fails(without) {
				c, less = without, true
			} else {
				from += size
			}
		}
		switch {
		case size > 1:
			size = (size + 1) / 2
		case !less:
			return c
		}
	}
	return c
}
