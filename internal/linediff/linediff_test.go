package linediff

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnified(t *testing.T) {
	numbers := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintln(&b, i)
		}
		return b.String()
	}
	tests := []struct{ name, old, new, want string }{
		{"equal texts", "a\nb\n", "a\nb\n", ""},
		{"a changed line", "a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		{"from nothing", "", "a\n", "@@ -0,0 +1 @@\n+a\n"},
		{"to nothing", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"},
		{"no newline at the end", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{
			"two hunks", numbers(20), strings.Replace(strings.Replace(numbers(20), "3\n", "x\n", 1), "\n18\n", "\n", 1),
			"@@ -1,7 +1,7 @@\n 0\n 1\n 2\n-3\n+x\n 4\n 5\n 6\n@@ -16,5 +16,4 @@\n 15\n 16\n 17\n-18\n 19\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want = "--- old\n+++ new\n" + want
			}
			if diff := cmp.Diff(want, Unified("old", "new", tt.old, tt.new)); diff != "" {
				t.Errorf("diff (-want +got):\n%s", diff)
			}
		})
	}
}

// Any difference, applied to the old text, gives the new one.
func TestUnifiedCanBeApplied(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(lines, words int) string {
		var b strings.Builder
		for range lines {
			fmt.Fprintln(&b, rng.IntN(words))
		}
		return strings.TrimSuffix(b.String(), strings.Repeat("\n", rng.IntN(2)))
	}
	for range 2000 {
		old, new := text(rng.IntN(12), 5), text(rng.IntN(12), 5)
		if got := patch(t, old, Unified("a", "b", old, new)); got != new {
			t.Fatalf("%q with the difference to %q gives %q", old, new, got)
		}
	}
	// Beyond the exact comparison.
	old := strings.Split(text(30000, 1<<30), "\n")
	lines := append([]string(nil), old...)
	for range 500 {
		lines[rng.IntN(len(lines))] = "changed " + strconv.Itoa(rng.IntN(100))
	}
	lines = append(lines[:100], lines[200:]...)
	a, b := strings.Join(old, "\n"), strings.Join(lines, "\n")
	diff := Unified("a", "b", a, b)
	if got := patch(t, a, diff); got != b {
		t.Error("a large text comes out otherwise")
	}
	if n := strings.Count(diff, "\n+"); n > 600 {
		t.Errorf("%d new lines shown, of about 500", n)
	}
	// With no line in common to hold on to.
	a, b = strings.Repeat("x\ny\n", 5000), strings.Repeat("y\ny\nx\n", 5000)
	if got := patch(t, a, Unified("a", "b", a, b)); got != b {
		t.Error("a text of few words comes out otherwise")
	}
}

// patch applies a unified difference.
func patch(t *testing.T, old, diff string) string {
	t.Helper()
	if diff == "" {
		return old
	}
	a := splitLines(old)
	var out strings.Builder
	at := 0
	lines := splitLines(diff)[2:]
	for i, l := range lines {
		text := l[1:]
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\\") {
			text = strings.TrimSuffix(text, "\n")
		}
		switch l[0] {
		case '@':
			var from int
			if _, err := fmt.Sscanf(l, "@@ -%d", &from); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(l[:strings.Index(l, "+")], ",0 ") {
				from--
			}
			for ; at < from; at++ {
				out.WriteString(a[at])
			}
		case ' ', '-':
			if a[at] != text {
				t.Fatalf("line %d is %q, the difference says %q", at+1, a[at], text)
			}
			at++
			if l[0] == ' ' {
				out.WriteString(text)
			}
		case '+':
			out.WriteString(text)
		}
	}
	for ; at < len(a); at++ {
		out.WriteString(a[at])
	}
	return out.String()
}
