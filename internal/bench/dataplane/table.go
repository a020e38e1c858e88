package dataplane

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// figure is one line of the table.
type figure struct {
	name string
	// unit is how much of what is counted one stands for: 1,000 requests.
	unit float64
	// more is better; else less is.
	more bool
	// goal bounds the ratio of ours to HAProxy's better one; 0 if there is none.
	goal float64
	// limit bounds ours itself; 0 if nothing does.
	limit float64
}

// All figures, in the order of the table.
var (
	bulkRate   = figure{"bulk, GiB/s", 1 << 30, true, 0.95, 0}
	bulkCPU    = figure{"bulk, CPU s per GiB", 1 << 30, false, 1.15, 0}
	uploadRate = figure{"upload, GiB/s", 1 << 30, true, 0, 0}
	uploadCPU  = figure{"upload, CPU s per GiB", 1 << 30, false, 0, 0}
	newRate    = figure{"new connections, 1,000/s", 1000, true, 0.9, 0}
	newCPU     = figure{"new connections, CPU s per 10,000", 10000, false, 1.1, 0}
	newFailed  = figure{"new connections that failed", 1, false, 0, 0}
	newCalls   = figure{"system calls per new connection", 1, false, 0, 0}
	keptRate   = figure{"kept requests, 1,000/s", 1000, true, 0.95, 0}
	keptCPU    = figure{"kept requests, CPU s per 100,000", 100000, false, 0, 0}
	half50     = figure{"half load, median ms", 1, false, 0, 0}
	half99     = figure{"half load, 99th percentile ms", 1, false, 1, 0}
	halfCPU    = figure{"half load, CPU s per 100,000", 100000, false, 0, 0}
	idleRSS    = figure{"RSS MiB per 10,000 idle connections", 1, false, 0, 8}
	idleAll    = figure{"RSS MiB in all with them", 1, false, 0, 0}
	idleFDs    = figure{"descriptors per idle connection", 1, false, 0, 2}
	udpRate    = figure{"datagrams answered, 1,000/s", 1000, true, 0, 0}
	udpCPU     = figure{"datagrams, CPU s per 100,000 answered", 100000, false, 0, 0}
	udpLost    = figure{"datagrams lost, %", 1, false, 0, 0}
)

func figures() []figure {
	return []figure{
		bulkRate, bulkCPU, uploadRate, uploadCPU, newRate, newCPU, newFailed, newCalls, keptRate, keptCPU,
		half50, half99, halfCPU, idleRSS, idleAll, idleFDs, udpRate, udpCPU, udpLost,
	}
}

// The names that the table knows.
const (
	nameOurs   = "lvskit"
	nameHA     = "HAProxy"
	nameSplice = "HAProxy splicing"
	nameNginx  = "nginx stream"
	nameDirect = "no balancer"
)

// results are the samples, one a round, by figure and contestant.
type results map[figure]map[string][]float64

func (r results) note(f figure, contestant string, v float64) {
	if r[f] == nil {
		r[f] = map[string][]float64{}
	}
	r[f][contestant] = append(r[f][contestant], v)
}

// median returns the middle of the samples, NaN without any.
func (r results) median(f figure, contestant string) float64 {
	list := slices.Sorted(slices.Values(r[f][contestant]))
	switch n := len(list); {
	case n == 0:
		return math.NaN()
	case n%2 == 0:
		return (list[n/2-1] + list[n/2]) / 2
	default:
		return list[n/2]
	}
}

// best is the better median of several contestants, NaN without any.
func (r results) best(f figure, contestants ...string) float64 {
	out := math.NaN()
	for _, c := range contestants {
		m := r.median(f, c)
		if math.IsNaN(out) || f.more && m > out || !f.more && m < out {
			out = m
		}
	}
	return out
}

// ratio is that of the medians of a contestant and of the better of others;
// ok is false where there is none.
func (r results) ratio(f figure, contestant string, others ...string) (ratio float64, ok bool) {
	ratio = r.median(f, contestant) / r.best(f, others...)
	return ratio, !math.IsNaN(ratio) && !math.IsInf(ratio, 0)
}

// write prints the table: medians, with the least of the samples behind them,
// and the ratio of the first contestant to the better of the rivals, or to the
// substitute where they have nothing.
func (r results) write(contestants, rivals []string, substitute string) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "median (least)\t%s\tratio\tgoal\n", strings.Join(contestants, "\t"))
	for _, f := range figures() {
		if r[f] == nil {
			continue
		}
		fmt.Fprint(w, f.name)
		for _, c := range contestants {
			if len(r[f][c]) == 0 {
				fmt.Fprint(w, "\t-")
				continue
			}
			fmt.Fprintf(w, "\t%s (%s)", digits(r.median(f, c)), digits(slices.Min(r[f][c])))
		}
		ratio, goal := "-", ""
		if len(r[f][contestants[0]]) == 0 {
			fmt.Fprintln(w, "\t-\t")
			continue
		}
		if v, ok := r.ratio(f, contestants[0], rivals...); !ok {
			if v, ok := r.ratio(f, contestants[0], substitute); ok {
				ratio = fmt.Sprintf("%.2f of %s", v, substitute)
			}
		} else {
			ratio = fmt.Sprintf("%.2f", v)
			switch {
			case f.goal == 0 || !slices.Contains(rivals, nameHA): // what goals are about
			case f.more:
				goal = fmt.Sprintf("at least %.2f%s", f.goal, missed(v < f.goal))
			default:
				goal = fmt.Sprintf("at most %.2f%s", f.goal, missed(v > f.goal))
			}
		}
		if v := r.median(f, contestants[0]); f.limit > 0 {
			// Half a per cent is a descriptor of the program's own.
			goal = fmt.Sprintf("at most %v%s", f.limit, missed(v > f.limit*1.005))
		}
		fmt.Fprintf(w, "\t%s\t%s\n", ratio, goal)
	}
	w.Flush()
	return out.String()
}

func missed(yes bool) string {
	if yes {
		return ", missed"
	}
	return ""
}

// digits writes three significant digits.
func digits(v float64) string {
	switch abs := math.Abs(v); {
	case v == 0:
		return "0"
	case abs < 0.1:
		return fmt.Sprintf("%.4f", v)
	case abs < 1:
		return fmt.Sprintf("%.3f", v)
	case abs < 10:
		return fmt.Sprintf("%.2f", v)
	case abs < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
