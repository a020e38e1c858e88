package track

import (
	"strconv"
	"strings"
	"testing"
)

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0", " -5\n", "+7", "2147483648", "1 2", "0x10", "1_000", strings.Repeat("0", 65)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNumber("file", b)
		if err != nil {
			if n != 0 || len(err.Error()) > 200 {
				t.Errorf("%d, %v", n, err)
			}
			return
		}
		if again, err := parseNumber("file", []byte(strconv.Itoa(n))); err != nil || again != n {
			t.Errorf("%d: %d, %v", n, again, err)
		}
	})
}
