package lvscf

import (
	"slices"
	"strings"
)

// longestWord is the length of the longest word that is compared; no word of
// the language is longer.
const longestWord = 32

// nearest returns the candidate that a misspelt word likely means, or "".
func nearest(word string, candidates []string) string {
	if word == "" || len(word) > longestWord {
		return ""
	}
	lower := strings.ToLower(word)
	if slices.Contains(candidates, lower) {
		return lower
	}
	if len(word) > 3 {
		for _, c := range candidates {
			if strings.HasPrefix(c, lower+"_") {
				return c
			}
		}
	}
	best, bestDistance := "", min(len(word)/3, 2)+1
	for _, c := range candidates {
		if d := editDistance(lower, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		best = begunBy(lower, candidates)
	}
	return best
}

// begunBy returns the one word that begins so, as addr does address. Those that
// go on from it do not count, as scheduler_flags beside scheduler.
func begunBy(begin string, candidates []string) string {
	if len(begin) < 3 {
		return ""
	}
	whole := ""
	for _, c := range candidates {
		switch {
		case !strings.HasPrefix(c, begin):
		case whole == "" || strings.HasPrefix(whole, c):
			whole = c
		case !strings.HasPrefix(c, whole):
			return ""
		}
	}
	return whole
}

// editDistance counts the least insertions, deletions, replacements and swaps
// of neighbours between two short words; it may return limit for any larger
// number.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	var rows [3][longestWord + 1]int
	prev2, prev, cur := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			replace := prev[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			cur[j] = min(replace, prev[j]+1, cur[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}
