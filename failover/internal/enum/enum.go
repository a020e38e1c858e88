// Package enum writes and reads the numbers of a protocol by their names, those
// that have none included: what a later version sends is shown and kept.
package enum

import (
	"fmt"
	"strconv"
)

// Name returns the name of v, or kind(N) where it has none.
func Name(kind string, names []string, v uint8) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return kind + "(" + strconv.Itoa(int(v)) + ")"
}

// Parse reads what [Name] wrote. The error begins with the name of the package
// that asks.
func Parse(pkg, kind string, names []string, text string) (uint8, error) {
	for i, n := range names {
		if n != "" && n == text {
			return uint8(i), nil
		}
	}
	if n := len(kind) + 1; len(text) > n+1 && text[:n] == kind+"(" && text[len(text)-1] == ')' {
		if v, err := strconv.ParseUint(text[n:len(text)-1], 10, 8); err == nil {
			return uint8(v), nil
		}
	}
	return 0, fmt.Errorf("%s: unknown %s %.40q", pkg, kind, text)
}
