package demo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Schema names the form of [Result] as JSON.
const Schema = "lvskit.demo/v1"

// Result is what happened, for people ([Result.Write]) and scripts (JSON).
type Result struct {
	Schema  string    `json:"schema"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// OK tells that every expectation held.
	OK              bool          `json:"ok"`
	RemoveSeconds   float64       `json:"remove_seconds"`
	ReturnSeconds   float64       `json:"return_seconds"`
	TakeoverSeconds float64       `json:"takeover_seconds"`
	Phases          []*phase      `json:"phases"`
	Expectations    []Expectation `json:"expectations"`
}

// Expectation is something the tour promised and what was seen of it.
type Expectation struct {
	What string `json:"what"`
	Held bool   `json:"held"`
	Saw  string `json:"saw"`
}

// conclude draws the sums.
func (t *tour) conclude() {
	t.ledger.mu.Lock()
	t.ledger.close()
	t.result.Phases = t.ledger.phases
	t.ledger.mu.Unlock()
	for _, p := range t.result.Phases {
		if !p.Disrupted && p.Requests+p.Failures > 0 {
			t.expect(fmt.Sprintf("no request fails while %q", p.Name), p.Failures == 0, fmt.Sprintf("%d of %d failed %s", p.Failures, p.Requests, p.FirstError))
		}
		if p.Requests == p.Failures && !p.Disrupted {
			t.expect(fmt.Sprintf("requests are answered while %q", p.Name), false, fmt.Sprintf("%d requests", p.Requests))
		}
	}
	t.result.OK = !slices.ContainsFunc(t.result.Expectations, func(e Expectation) bool { return !e.Held })
	t.result.Seconds = time.Since(t.result.Started).Seconds()
}

// Write prints the result as tables.
func (r *Result) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PHASE\tSECONDS\tREQUESTS\tFAILED\tSERVED BY")
	for _, p := range r.Phases {
		failed := fmt.Sprint(p.Failures)
		if p.Disrupted {
			failed += " (until the answer)"
		}
		fmt.Fprintf(tw, "%s\t%.1f\t%d\t%s\t%s\n", p.Name, p.Seconds, p.Requests, failed, shares(p.Served))
	}
	fmt.Fprintln(tw)
	fmt.Fprintf(tw, "time to remove a dead server\t%.2f s\n", r.RemoveSeconds)
	fmt.Fprintf(tw, "time to take a revived one back\t%.2f s\n", r.ReturnSeconds)
	fmt.Fprintf(tw, "time to take over from a dead director\t%.2f s\n", r.TakeoverSeconds)
	fmt.Fprintln(tw)
	for _, e := range r.Expectations {
		mark := "ok"
		if !e.Held {
			mark = "FAILED"
		}
		fmt.Fprintf(tw, "%s\t%s\t(%s)\n", mark, e.What, strings.TrimSpace(e.Saw))
	}
	if r.OK {
		fmt.Fprintf(tw, "\nEvery expectation held; the tour took %.1f s.\n", r.Seconds)
	} else {
		fmt.Fprintf(tw, "\nNot every expectation held; the tour took %.1f s.\n", r.Seconds)
	}
	return tw.Flush()
}

func shares(served map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(served)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, served[name]))
	}
	return strings.Join(parts, ", ")
}
