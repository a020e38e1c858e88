package simulate

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Label names a run in tables and pictures: "wlc", or "wlc, gradual".
func (r *Run) Label() string {
	if r.Feedback == NoFeedback {
		return r.Scheduler
	}
	return r.Scheduler + ", " + r.Feedback.String()
}

// WriteTable writes the result as text for people: the runs, and the servers
// of each.
func (res *Result) WriteTable(w io.Writer) error {
	s := &res.Scenario
	out := bufio.NewWriter(w)
	if s.Title != "" {
		fmt.Fprintln(out, s.Title)
	}
	fmt.Fprintf(out, "%s; %d connections in %v, seed %d\n\n", res.Summary(), res.Runs[0].Connections, s.Duration, s.Seed)
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tREFUSED\tBROKEN\tMOVED\tMEDIAN\tP99\tSLOWEST\tLOAD MAX/MEAN\tCV\tWORST\tSHARE MAX/MEAN\tCV")
	for i := range res.Runs {
		r := &res.Runs[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f at %v\t%.2f\t%.2f\n", r.Label(), r.Refused, r.Broken, percent(r.Moved, r.Returning),
			brief(r.Latency.P50), brief(r.Latency.P99), brief(r.Latency.Max), r.Load.MaxMean, r.Load.CV, r.Load.Worst, r.Load.WorstAt, r.Share.MaxMean, r.Share.CV)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range res.Runs {
		r := &res.Runs[i]
		fmt.Fprintf(out, "\n%s: %s\n", r.Label(), r.Excess)
		for _, n := range r.Notes {
			fmt.Fprintf(out, "note: %s\n", n)
		}
		fmt.Fprintln(t, "SERVER\tWEIGHT\tCONNECTIONS\tSHARE\tPEAK/S\tOPEN\tPEAK\tMEDIAN\tP99\tREFUSED\tBROKEN\tEDITS")
		for k, v := range r.Servers {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%.0f\t%.0f\t%d\t%s\t%s\t%d\t%d\t%d\n", v.Name, s.Servers[k].Weight, v.Connections, percent(v.Connections, r.Connections),
				v.PeakRate, v.MeanOpen, v.PeakOpen, brief(v.Latency.P50), brief(v.Latency.P99), v.Refused, v.Broken, v.Edits)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "\nMOVED: of the connections of clients that had been there, those that came to another server than before.")
	fmt.Fprintln(out, "LOAD: open connections per weight over time, SHARE: all connections per weight; 1.00 with CV 0.00 is a balance.")
	return out.Flush()
}

// Summary says in a line who comes and who serves.
func (res *Result) Summary() string {
	s := &res.Scenario
	var b strings.Builder
	if a := &s.Arrivals; a.Process == Closed {
		fmt.Fprintf(&b, "%d clients that think (%v)", s.Clients.Count, a.Think)
	} else {
		fmt.Fprintf(&b, "%s connections a second (%v)", number(a.Rate), a.Process)
	}
	if s.Hold.Mean > 0 {
		fmt.Fprintf(&b, ", held %s", brief(s.Hold.Mean))
	}
	if s.Persistence > 0 {
		fmt.Fprintf(&b, ", persistence %v", s.Persistence)
		if s.PersistencePrefix > 0 {
			fmt.Fprintf(&b, " by /%d", s.PersistencePrefix)
		}
	}
	fmt.Fprintf(&b, "; ")
	const most = 8
	for i, r := range s.Servers[:min(len(s.Servers), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s weight %d", r.Name, r.Weight)
	}
	if n := len(s.Servers) - most; n > 0 {
		fmt.Fprintf(&b, " and %d more", n)
	}
	return b.String()
}

// String says the excess in a sentence.
func (x Excess) String() string {
	if x.For == 0 {
		return "no server got far more than its share"
	}
	return fmt.Sprintf("%s got %.0f %% of the new connections for %s from %s on (its share is %.0f %%)", x.Server, 100*x.Share, brief(x.For), brief(x.From), 100*x.Fair)
}

// WriteCSV writes the series: a row for each window and server, and one for
// each window with the server "*" for what concerns all.
func (res *Result) WriteCSV(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "scheduler,feedback,time_s,server,new_per_s,open,waiting,weight,lost,p50_ms,p99_ms")
	for i := range res.Runs {
		r := &res.Runs[i]
		sec := r.Series.Window.Seconds()
		for k := range r.Series.Lost {
			at := strconv.FormatFloat((time.Duration(k+1) * r.Series.Window).Seconds(), 'f', -1, 64)
			var fresh, open, wait int
			for _, v := range r.Series.Servers {
				fmt.Fprintf(out, "%s,%v,%s,%s,%.2f,%d,%d,%d,,,\n", r.Scheduler, r.Feedback, at, csvWord(v.Name), float64(v.New[k])/sec, v.Open[k], v.Waiting[k], v.Weight[k])
				fresh, open, wait = fresh+v.New[k], open+v.Open[k], wait+v.Waiting[k]
			}
			fmt.Fprintf(out, "%s,%v,%s,*,%.2f,%d,%d,,%d,%.3f,%.3f\n", r.Scheduler, r.Feedback, at, float64(fresh)/sec, open, wait,
				r.Series.Lost[k], 1e3*r.Series.P50[k].Seconds(), 1e3*r.Series.P99[k].Seconds())
		}
	}
	return out.Flush()
}

// csvWord quotes a name that has a comma or a quote (RFC 4180).
func csvWord(s string) string {
	if strings.ContainsAny(s, ",\"") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func percent(part, whole int) string {
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(max(whole, 1)))
}

// brief is a time in three digits.
func brief(t time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if u.unit > time.Second && t < 2*u.unit {
			continue
		}
		if t >= u.unit {
			return number(float64(t)/float64(u.unit)) + " " + u.name
		}
	}
	return strconv.Itoa(int(t)) + " ns"
}

// number is a number in three digits, or more where it is whole.
func number(x float64) string {
	switch {
	case x >= 100 || x == float64(int(x)):
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x < 1:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case x >= 10:
		return trimZeros(strconv.FormatFloat(x, 'f', 1, 64))
	}
	return trimZeros(strconv.FormatFloat(x, 'f', 2, 64))
}

func trimZeros(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }
