// Package linediff prints what two texts differ in, line by line, as diff -u
// does.
package linediff

import (
	"fmt"
	"slices"
	"strings"
)

// context is the number of equal lines shown around a difference.
const context = 3

// maxTable bounds the work of one exact comparison, in pairs of lines. Larger
// texts are first cut at the lines that each of them has once.
const maxTable = 4 << 20

// edit is a run of lines that differs: a[a0:a1] became b[b0:b1].
type edit struct{ a0, a1, b0, b1 int }

// Unified returns the difference of two texts in the unified form, "" if there
// is none. A line ends after its LF; a last line without one is marked.
func Unified(oldName, newName, old, new string) string {
	if old == new {
		return ""
	}
	a, b := splitLines(old), splitLines(new)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	edits := compare(a, b, 0, 0, nil)
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && edits[n].a0-edits[n-1].a1 <= 2*context {
			n++
		}
		writeHunk(&out, a, b, edits[:n])
		edits = edits[n:]
	}
	return out.String()
}

func splitLines(s string) []string {
	var lines []string
	for l := range strings.Lines(s) {
		lines = append(lines, l)
	}
	return lines
}

func writeHunk(out *strings.Builder, a, b []string, edits []edit) {
	first, last := edits[0], edits[len(edits)-1]
	before := min(context, first.a0)
	after := min(context, len(a)-last.a1)
	a0, a1 := first.a0-before, last.a1+after
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(a0, a1), span(first.b0-before, last.b1+after))
	write := func(mark byte, lines []string) {
		for _, l := range lines {
			out.WriteByte(mark)
			out.WriteString(l)
			if !strings.HasSuffix(l, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
	}
	at := a0
	for _, e := range edits {
		write(' ', a[at:e.a0])
		write('-', a[e.a0:e.a1])
		write('+', b[e.b0:e.b1])
		at = e.a1
	}
	write(' ', a[at:a1])
}

// span is a range of lines as a hunk's head has it: counted from 1, and from 0
// when it is empty.
func span(from, to int) string {
	if from == to {
		return fmt.Sprintf("%d,0", from)
	}
	if to-from == 1 {
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

// compare appends the edits that make b of a; both stand at the given places
// of their texts.
func compare(a, b []string, a0, b0 int, edits []edit) []edit {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b, a0, b0 = a[1:], b[1:], a0+1, b0+1
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	switch {
	case len(a) == 0 && len(b) == 0:
		return edits
	case len(a) == 0 || len(b) == 0:
		return join(edits, edit{a0, a0 + len(a), b0, b0 + len(b)})
	case len(a) <= maxTable/len(b):
		return exact(a, b, a0, b0, edits)
	}
	pairs := anchors(a, b)
	if len(pairs) == 0 {
		return join(edits, edit{a0, a0 + len(a), b0, b0 + len(b)})
	}
	i, j := 0, 0
	for _, p := range pairs {
		edits = compare(a[i:p[0]], b[j:p[1]], a0+i, b0+j, edits)
		i, j = p[0]+1, p[1]+1
	}
	return compare(a[i:], b[j:], a0+i, b0+j, edits)
}

// join appends an edit, as a part of the last one if they touch.
func join(edits []edit, e edit) []edit {
	if n := len(edits); n > 0 && edits[n-1].a1 == e.a0 && edits[n-1].b1 == e.b0 {
		edits[n-1].a1, edits[n-1].b1 = e.a1, e.b1
		return edits
	}
	return append(edits, e)
}

// exact finds the fewest changed lines by the table of the longest common
// subsequences of all ends of the two texts.
func exact(a, b []string, a0, b0 int, edits []edit) []edit {
	width := len(b) + 1
	table := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				table[i*width+j] = table[(i+1)*width+j+1] + 1
			} else {
				table[i*width+j] = max(table[(i+1)*width+j], table[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && table[(i+1)*width+j] >= table[i*width+j+1]:
			edits = join(edits, edit{a0 + i, a0 + i + 1, b0 + j, b0 + j})
			i++
		default:
			edits = join(edits, edit{a0 + i, a0 + i, b0 + j, b0 + j + 1})
			j++
		}
	}
	return edits
}

// anchors pairs the lines that each text has exactly once, as many as stand in
// the same order in both.
func anchors(a, b []string) [][2]int {
	type place struct{ inA, inB, timesA, timesB int }
	places := map[string]*place{}
	for i, l := range a {
		p := places[l]
		if p == nil {
			p = &place{}
			places[l] = p
		}
		p.inA = i
		p.timesA++
	}
	for j, l := range b {
		if p := places[l]; p != nil {
			p.inB = j
			p.timesB++
		}
	}
	var pairs [][2]int // by their place in a
	for i, l := range a {
		if p := places[l]; p.timesA == 1 && p.timesB == 1 {
			pairs = append(pairs, [2]int{i, p.inB})
		}
	}
	// The longest run of pairs that rises in b too: tails[n] is the pair that
	// ends the run of n+1 pairs with the lowest end, before[i] the one ahead
	// of pair i in its run.
	var tails []int
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n, _ := slices.BinarySearchFunc(tails, p[1], func(t, inB int) int { return pairs[t][1] - inB })
		before[i] = -1
		if n > 0 {
			before[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		} else {
			tails[n] = i
		}
	}
	if len(tails) == 0 {
		return nil
	}
	var run [][2]int
	for i := tails[len(tails)-1]; i >= 0; i = before[i] {
		run = append(run, pairs[i])
	}
	slices.Reverse(run)
	return run
}
