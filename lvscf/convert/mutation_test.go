package convert

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// oddWords are what hands, templates and other programs leave where a value
// belongs: each has once been, or could be, one that an import takes and no
// lvs.cf can say.
var oddWords = []string{
	"0.0.0.0", "::", "[::]:80", "0.0.0.0:80", "255.255.255.255", "224.0.0.1", "[ff02::1]:80", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80", "fe80::1%eth0",
	"192.0.2.1/0", "192.0.2.1/33", "192.0.2.1-192.0.2.9", "10.0.0.1->10.0.0.9:80", "010.1.1.1", "10.1", "0x0a000001", "10.1.0.0x1", "1e3",
	"a..b", ".", "..", "-", "--", "-1", "+1", "0", "00", "1", "53", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "99999999999999999999",
	"0.5", "1.", ".5", "1e9", "NaN", "", `""`, `"`, `'`, `"it's"`, `'say "x"'`, "{", "}", "{}", "#", "!", "\\", "\\\\", "$", "$X", "${X}", "${", "%", "%h", "=", "==",
	"\x01", "\xff", "\u00e9", "\ufffd", "\u2028", "\ufeff", "\t", "\r", "\x7f", "name-of-a-device-too-long", "eth0:1", "eth0/1", "a b", "/etc/passwd", "yes", "no", "on", "none", "nothing",
	strings.Repeat("x", 64), strings.Repeat("x", 300), strings.Repeat("a.", 130) + "b", "xn--bcher-kva.example", "www.example.net.", "_srv._tcp.example", "1.2.3.4.5", "192.0.2.1:http",
}

var wordOfFile = regexp.MustCompile(`[^\s{}"=:/,]+`)

// mutated changes one to three things of a text: a word for an odd one or for
// another of its words, a line left out, said twice or moved.
func mutated(r *rand.Rand, src string) string {
	for range 1 + r.IntN(3) {
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			src = swapped(r, src, oddWords[r.IntN(len(oddWords))])
		case 4, 5:
			if words := wordOfFile.FindAllString(src, -1); len(words) > 0 {
				src = swapped(r, src, words[r.IntN(len(words))])
			}
		case 6:
			lines := strings.SplitAfter(src, "\n")
			i := r.IntN(len(lines))
			src = strings.Join(append(append([]string{}, lines[:i]...), lines[min(i+1, len(lines)):]...), "")
		case 7:
			lines := strings.SplitAfter(src, "\n")
			i, j := r.IntN(len(lines)), r.IntN(len(lines))
			src = strings.Join(lines[:j], "") + lines[i] + strings.Join(lines[j:], "")
		}
	}
	return src
}

func swapped(r *rand.Rand, src, word string) string {
	places := wordOfFile.FindAllStringIndex(src, -1)
	if len(places) == 0 {
		return word
	}
	at := places[r.IntN(len(places))]
	return src[:at[0]] + word + src[at[1]:]
}

// TestMutatedFilesAreTaken changes the fixtures by chance, the same way each
// time, and checks of each import what its fuzz target checks.
func TestMutatedFilesAreTaken(t *testing.T) {
	for _, c := range []struct {
		pattern string
		turns   int // for each fixture
		check   func(*testing.T, string)
	}{
		{"testdata/keepalived/*.conf", 50, takesAnyKeepalived},
		{"testdata/ldirectord/*.cf", 60, takesAnyLdirectord},
		{"testdata/ipvsadm/*.rules", 300, takesAnyRules},
	} {
		paths, err := filepath.Glob(c.pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures, error %v", err)
		}
		for n, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(seedOfMutations, uint64(n)))
			for range c.turns {
				text := mutated(r, string(src))
				if c.check(t, text); t.Failed() {
					t.Fatalf("%s became:\n%s", path, text)
				}
			}
		}
	}
}

const seedOfMutations = 1
