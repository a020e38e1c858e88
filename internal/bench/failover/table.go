package failover

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are the figures of all moves, by row and contestant.
type results map[string]map[string][]float64

func (r results) note(row, who string, v float64) {
	if r[row] == nil {
		r[row] = make(map[string][]float64)
	}
	r[row][who] = append(r[row][who], v)
}

// never is a time that did not come.
var never = math.Inf(1)

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns the middle one, the mean of both if there are two.
func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	n := len(s)
	if n%2 == 1 || s[n/2-1] == s[n/2] {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// write returns the table: medians, with least and most.
func (r results) write(rows, names []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "median (min to max)")
	for _, n := range names {
		fmt.Fprintf(w, "\t%s", n)
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		if r[row] == nil {
			continue
		}
		fmt.Fprint(w, row)
		for _, n := range names {
			list := r[row][n]
			if len(list) == 0 {
				fmt.Fprint(w, "\t-")
				continue
			}
			fmt.Fprintf(w, "\t%s (%s to %s)", number(median(list)), number(slices.Min(list)), number(slices.Max(list)))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// goal bounds the median of a row.
type goal struct {
	row string
	// limit is the most; versus, if not empty, is the contestant whose median is.
	limit  float64
	versus string
	// least: limit is the least.
	least bool
}

// judge tells which contestants met which goals.
func (r results) judge(goals []goal, names []string) string {
	var b strings.Builder
	for _, g := range goals {
		limit, word := g.limit, "at most"
		if g.least {
			word = "at least"
		}
		if g.versus != "" {
			if len(r[g.row][g.versus]) == 0 {
				continue
			}
			limit = median(r[g.row][g.versus])
		}
		var said []string
		for _, n := range names {
			list := r[g.row][n]
			if len(list) == 0 || n == g.versus {
				continue
			}
			verdict := "met"
			if v := median(list); v > limit != g.least && v != limit {
				verdict = "missed"
			}
			said = append(said, fmt.Sprintf("%s %s (%s)", n, verdict, number(median(list))))
		}
		if said != nil {
			fmt.Fprintf(&b, "goal %s %s %s: %s\n", word, number(limit), g.versus, strings.Join(said, ", "))
			fmt.Fprintf(&b, "     %s\n", g.row)
		}
	}
	return b.String()
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "never"
	}
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
