package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/lvskit/lvskit/health"
)

// answer is what came of one check.
type answer struct {
	// Kind is empty if the check was not chosen by its kind.
	Kind   string        `json:"kind,omitempty"`
	Target health.Target `json:"target"`
	// Check is the identity of the check.
	Check  string     `json:"check"`
	Result seenResult `json:"result"`
}

// seenResult is a result whose answer can be read by people.
type seenResult struct {
	health.Result
	// Seen has the escapes of Go for what is not printable.
	Seen string `json:"seen,omitempty"`
}

func readable(r health.Result) seenResult {
	out := seenResult{Result: r}
	if len(r.Seen) > 0 {
		quoted := strconv.QuoteToASCII(string(r.Seen))
		out.Seen = quoted[1 : len(quoted)-1]
	}
	return out
}

func newAnswer(kind string, c health.Checker, t health.Target, r health.Result) answer {
	return answer{Kind: kind, Target: t, Check: c.Identity(), Result: readable(r)}
}

func (a answer) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "target\t%s\n", targetText(a.Target))
	if a.Kind != "" {
		fmt.Fprintf(tw, "kind\t%s\n", a.Kind)
	} else {
		fmt.Fprintf(tw, "check\t%s\n", a.Check)
	}
	r := a.Result
	fmt.Fprintf(tw, "verdict\t%v\n", r.Verdict)
	fmt.Fprintf(tw, "reason\t%s\n", r.Reason)
	for i, p := range r.Phases {
		label := ""
		if i == 0 {
			label = "phases"
		}
		fmt.Fprintf(tw, "%s\t%s %s\n", label, p.Name, millis(p.Duration))
	}
	fmt.Fprintf(tw, "took\t%s\n", millis(r.Duration))
	if r.Seen != "" {
		fmt.Fprintf(tw, "seen\t%s\n", r.Seen)
	}
	if r.Weight != nil {
		fmt.Fprintf(tw, "weight\t%d\n", *r.Weight)
	}
	if r.Load != nil {
		fmt.Fprintf(tw, "load\t%s\n", strings.TrimPrefix(r.Load.String(), "load "))
	}
	for i, p := range r.Perf {
		label := ""
		if i == 0 {
			label = "measured"
		}
		fmt.Fprintf(tw, "%s\t%s\n", label, printableOnly(p.String()))
	}
	return tw.Flush()
}

// printableOnly keeps a plugin from writing on the terminal what it likes.
func printableOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, s)
}

// targetText leaves out a port that is none.
func targetText(t health.Target) string {
	if t.Addr.Port() != 0 {
		return t.String()
	}
	if t.Name == "" {
		return t.Addr.Addr().String()
	}
	return t.Name + " (" + t.Addr.Addr().String() + ")"
}

// millis is a duration in the unit of all columns.
func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}
