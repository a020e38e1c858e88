package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json, go help buildjson).
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// keepOutput bounds what is kept of one test's output; the end is kept.
const keepOutput = 1 << 20

// A counter adds up the events of one command.
type counter struct {
	out       io.Writer
	verbose   bool
	pkgs      map[string]*pkg
	builds    map[string]*bytes.Buffer
	total     Tier
	outOfTime int // fuzz tests whose end go test took for a failure
}

// pkg is a package that is being tested.
type pkg struct {
	output bytes.Buffer // what belongs to no test
	tests  map[string]*test
	order  []string
}

type test struct {
	output bytes.Buffer
	result string // pass, fail, skip, or empty while it runs
	parent bool   // has subtests
}

func newCounter(out io.Writer, verbose bool) *counter {
	return &counter{out: out, verbose: verbose, pkgs: map[string]*pkg{}, builds: map[string]*bytes.Buffer{}}
}

// read takes in all events. Lines that are none are printed as they are.
func (c *counter) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				c.out.Write(line)
			} else {
				c.add(&e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *counter) add(e *event) {
	switch e.Action {
	case "build-output":
		b := c.builds[e.ImportPath]
		if b == nil {
			b = new(bytes.Buffer)
			c.builds[e.ImportPath] = b
		}
		keep(b, e.Output)
		return
	case "build-fail":
		return // the package's own failure follows and names it
	}
	p := c.pkgs[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		c.pkgs[e.Package] = p
	}
	if e.Action == "output" && c.verbose {
		io.WriteString(c.out, e.Output)
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			keep(&p.output, e.Output)
		case "pass", "fail", "skip":
			c.finish(e, p)
			delete(c.pkgs, e.Package)
		}
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = new(test)
		p.tests[e.Test] = t
		p.order = append(p.order, e.Test)
		for name := e.Test; ; {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				break
			}
			name = name[:i]
			if above := p.tests[name]; above != nil {
				above.parent = true
			}
		}
	}
	switch e.Action {
	case "output":
		keep(&t.output, e.Output)
	case "pass", "fail", "skip":
		t.result = e.Action
	}
}

// finish counts a package that has ended.
func (c *counter) finish(e *event, p *pkg) {
	var passed, failed, skipped int
	var broken []string
	late := 0
	for _, name := range slices.Backward(p.order) { // subtests before their parents
		t := p.tests[name]
		result := t.result
		if result == "" {
			// A test without an end was cut off, a benchmark just has none.
			result = e.Action
		}
		if result == "fail" && onlyOutOfTime(name, t.output.String()) {
			fmt.Fprintf(c.out, "%s found nothing; go test took the end of its time for a failure\n", name)
			result = "pass"
			late++
		}
		switch result {
		case "fail":
			// A parent fails with its subtests; by itself only without them.
			within := slices.ContainsFunc(broken, func(b string) bool { return strings.HasPrefix(b, name+"/") })
			if !within {
				failed++
				broken = append(broken, name)
			}
		case "skip":
			skipped++
			c.total.Skips = append(c.total.Skips, Skip{e.Package, name, reason(t.output.String())})
		default:
			if !t.parent {
				passed++
			}
		}
	}
	c.outOfTime += late
	if e.Action == "fail" && failed == 0 && late == 0 {
		failed++
		broken = append(broken, "(the package)")
	}
	c.total.Passed += passed
	c.total.Failed += failed
	c.total.Skipped += skipped
	for _, b := range slices.Backward(broken) {
		c.total.Failures = append(c.total.Failures, e.Package+" "+b)
	}
	if failed > 0 {
		c.show(e, p)
	}
	if passed+failed+skipped > 0 {
		word := "ok  "
		if failed > 0 {
			word = "FAIL"
		}
		fmt.Fprintf(c.out, "%s %s %.1fs: %d passed, %d failed, %d skipped\n", word, e.Package, e.Elapsed, passed, failed, skipped)
	}
}

// show prints all that a failed package said of its failure.
func (c *counter) show(e *event, p *pkg) {
	if c.verbose {
		return // it is all there
	}
	if b := c.builds[e.FailedBuild]; b != nil {
		c.out.Write(b.Bytes())
	}
	for _, name := range p.order {
		if t := p.tests[name]; t.result == "fail" || t.result == "" {
			c.out.Write(t.output.Bytes())
		}
	}
	c.out.Write(p.output.Bytes())
}

// tier returns what was counted. Packages without an end were cut off.
func (c *counter) tier(name string) *Tier {
	var names []string
	for n := range c.pkgs {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		c.finish(&event{Action: "fail", Package: n}, c.pkgs[n])
	}
	clear(c.pkgs)
	t := c.total
	t.Name = name
	return &t
}

// keep appends, and forgets the beginning of what gets too long.
func keep(b *bytes.Buffer, s string) {
	b.WriteString(s)
	if over := b.Len() - keepOutput; over > keepOutput {
		b.Next(over)
	}
}

// onlyOutOfTime reports whether a fuzz test failed with nothing but the end of
// -fuzztime: now and then go test takes the context that ends its workers for
// an error of theirs. A real failure names a line or the input that it wrote.
func onlyOutOfTime(name, output string) bool {
	said := false
	for line := range strings.Lines(output) {
		switch line = strings.TrimSpace(line); {
		case line == "context deadline exceeded":
			said = true
		case line == "", strings.HasPrefix(line, "=== "), strings.HasPrefix(line, "--- FAIL: "), strings.HasPrefix(line, "fuzz: elapsed: "):
		default:
			return false
		}
	}
	return said && strings.HasPrefix(name, "Fuzz") && !strings.Contains(name, "/")
}

// reason finds in a skipped test's output what it gave as its reason: the
// line with the place before the line that says SKIP, or after it.
func reason(output string) string {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if place, text, ok := strings.Cut(line, ": "); ok && strings.Contains(place, ".go:") {
			return text
		}
		return line
	}
	return "no reason given"
}
