package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// resultsFile holds a Tier as JSON on each line.
const resultsFile = "tiers.jsonl"

// Tier is the count of one command, or the reason for which a whole tier was
// skipped.
type Tier struct {
	Name     string   `json:"name"`
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	Skipped  int      `json:"skipped"`
	Seconds  float64  `json:"seconds"`
	Failures []string `json:"failures,omitempty"`
	Skips    []Skip   `json:"skips,omitempty"`
	// Reason says why the whole tier was skipped.
	Reason string `json:"reason,omitempty"`
}

// Skip is a test that was skipped.
type Skip struct {
	Package string `json:"package"`
	Test    string `json:"test"`
	Reason  string `json:"reason"`
}

func record(dir string, t *Tier) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, resultsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// readResults returns the tiers of all folders in the order they first came,
// with commands of the same tier added up.
func readResults(dirs ...string) ([]*Tier, error) {
	var tiers []*Tier
	byName := map[string]*Tier{}
	for _, dir := range dirs {
		f, err := os.Open(filepath.Join(dir, resultsFile))
		if err != nil {
			return nil, fmt.Errorf("no results: %w", err)
		}
		defer f.Close()
		for d := json.NewDecoder(f); ; {
			t := new(Tier)
			if err := d.Decode(t); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name(), err)
			}
			if sum := byName[t.Name]; sum != nil {
				sum.add(t)
				continue
			}
			byName[t.Name] = t
			tiers = append(tiers, t)
		}
	}
	return tiers, nil
}

func (t *Tier) add(o *Tier) {
	t.Passed += o.Passed
	t.Failed += o.Failed
	t.Skipped += o.Skipped
	t.Seconds += o.Seconds
	t.Failures = append(t.Failures, o.Failures...)
	t.Skips = append(t.Skips, o.Skips...)
	if t.Reason == "" {
		t.Reason = o.Reason
	}
}

// summarize prints the count and returns the exit code.
func summarize(out io.Writer, tiers []*Tier, noSkip, short bool) int {
	var passed, failed, skipped, skippedTiers int
	width := len("tier")
	for _, t := range tiers {
		passed += t.Passed
		failed += t.Failed
		skipped += t.Skipped
		if t.Reason != "" {
			skippedTiers++
		}
		width = max(width, len(t.Name))
	}
	forbidden := 0
	if noSkip {
		forbidden = skipped + skippedTiers
	}
	code := 0
	if failed+forbidden > 0 || passed == 0 {
		code = 1
	}
	if short {
		fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed+forbidden)
		return code
	}
	fmt.Fprintf(out, "\n%-*s %8s %8s %8s %8s\n", width, "tier", "passed", "failed", "skipped", "seconds")
	for _, t := range tiers {
		fmt.Fprintf(out, "%-*s %8d %8d %8d %8.0f", width, t.Name, t.Passed, t.Failed, t.Skipped, t.Seconds)
		if t.Reason != "" {
			fmt.Fprintf(out, "  skipped: %s", t.Reason)
		}
		fmt.Fprintln(out)
	}
	for _, t := range tiers {
		for _, s := range t.Skips {
			fmt.Fprintf(out, "skipped: %s: %s %s: %s\n", t.Name, s.Package, s.Test, s.Reason)
		}
	}
	for _, t := range tiers {
		for _, f := range t.Failures {
			fmt.Fprintf(out, "FAILED: %s: %s\n", t.Name, f)
		}
	}
	if forbidden > 0 {
		fmt.Fprintf(out, "FAILED: nothing may be skipped here, but %s\n", plural(skipped, "test")+" and "+plural(skippedTiers, "tier")+" were")
		failed, skipped = failed+forbidden, 0
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped", passed, failed, skipped)
	if skippedTiers > 0 && !noSkip {
		fmt.Fprintf(out, ", %s left out", plural(skippedTiers, "tier"))
	}
	fmt.Fprintln(out)
	return code
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, strings.TrimSpace(what)+"s")
}
