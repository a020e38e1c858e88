package lvscf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity tells whether a diagnostic keeps a file from being used.
type Severity uint8

// The severities. The zero value is an error.
const (
	// Error is a fault that makes the file unusable.
	Error Severity = iota
	// Warning is a doubt: the file can be used, perhaps not as meant.
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText writes the same text as String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("severity %q: want error or warning", text)
	}
	return nil
}

// Pos is a place in a file. The zero value is no place.
type Pos struct {
	// Line counts from 1.
	Line int `json:"line"`
	// Column counts bytes from 1; one past the last byte is the line's end.
	Column int `json:"column"`
}

// IsValid reports whether the position names a place.
func (p Pos) IsValid() bool { return p.Line > 0 && p.Column > 0 }

// String returns "line:column".
func (p Pos) String() string { return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) }

// Diagnostic is one fault or doubt found in a file.
type Diagnostic struct {
	// File is the name given to [Parse].
	File string `json:"file"`
	Pos
	Severity Severity `json:"severity"`
	// Message says what is wrong; it starts with the words of Piranha's
	// parser where that has words for it.
	Message string `json:"message"`
	// Cure says how to mend it.
	Cure string `json:"cure"`
	// Source is the line in question, cut to a bounded length and with
	// unprintable characters replaced; empty when no one line is at fault.
	Source string `json:"source,omitempty"`
}

// String returns "file:line:column: what: how to mend it" in one line, with
// "warning: " before the what of a warning.
func (d Diagnostic) String() string {
	name := d.File
	if name == "" {
		name = "lvs.cf"
	}
	what := d.Message
	if d.Severity == Warning {
		what = "warning: " + what
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", name, d.Line, d.Column, what, d.Cure)
}

// Diagnostics is a list of faults and doubts, ordered by place. At most
// [MaxDiagnostics] errors and as many warnings are kept; one last entry then
// tells how many more there were.
type Diagnostics []Diagnostic

// MaxDiagnostics is the number of errors, and of warnings, that are reported
// one by one.
const MaxDiagnostics = 100

// HasErrors reports whether any entry is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err returns nil when no entry is an error, and otherwise an
// [InvalidFileError] with the whole list.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return &InvalidFileError{Diagnostics: ds}
}

// InvalidFileError tells that a file has errors; use errors.As to reach them.
type InvalidFileError struct {
	// Diagnostics holds all that was found, warnings included.
	Diagnostics Diagnostics
}

// Error returns the errors, one a line, without the warnings.
func (e *InvalidFileError) Error() string {
	var lines []string
	for _, d := range e.Diagnostics {
		if d.Severity == Error {
			lines = append(lines, d.String())
		}
	}
	return strings.Join(lines, "\n")
}

// collector gathers diagnostics within bounds.
type collector struct {
	file     string
	diags    Diagnostics
	count    [2]int // found, by severity
	firstCut Pos    // where the first one that was not kept stands
	cutLevel Severity
}

func (c *collector) add(sev Severity, pos Pos, source, message, cure string) {
	c.count[sev]++
	if c.count[sev] > MaxDiagnostics {
		if !c.firstCut.IsValid() {
			c.firstCut, c.cutLevel = pos, sev
		}
		c.cutLevel = min(c.cutLevel, sev)
		return
	}
	c.diags = append(c.diags, Diagnostic{
		File: c.file, Pos: pos, Severity: sev,
		Message: message, Cure: cure, Source: source,
	})
}

// at reports a diagnostic on a line of the file.
func (c *collector) at(sev Severity, l *Line, column int, message, cure string) {
	c.add(sev, Pos{Line: l.Number, Column: column}, displayLine(l.Text), message, cure)
}

// dropLine forgets what was said about one line, which another cause explains.
func (c *collector) dropLine(number int) {
	c.diags = slices.DeleteFunc(c.diags, func(d Diagnostic) bool {
		if d.Line != number {
			return false
		}
		c.count[d.Severity]--
		return true
	})
}

// finish orders what was found and adds the count of what was not kept.
func (c *collector) finish() Diagnostics {
	slices.SortStableFunc(c.diags, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if !c.firstCut.IsValid() {
		return c.diags
	}
	var parts []string
	for _, sev := range []Severity{Error, Warning} {
		if n := c.count[sev] - MaxDiagnostics; n > 0 {
			parts = append(parts, plural(n, "more "+sev.String()))
		}
	}
	return append(c.diags, Diagnostic{
		File: c.file, Pos: c.firstCut, Severity: c.cutLevel,
		Message: "and " + strings.Join(parts, " and "),
		Cure:    "mend the ones above, then check again",
	})
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// quote returns text of the file for use in a message: printable, short, and
// in double quotes, or in back quotes when it has double quotes itself.
func quote(s string) string {
	const most = 40
	cut := ""
	if len(s) > most {
		n := most
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s, cut = s[:n], "..."
	}
	if strings.ContainsRune(s, '"') && strconv.CanBackquote(s) && !strings.ContainsRune(s, '\t') {
		return "`" + s + "`" + cut
	}
	return strconv.Quote(s) + cut
}

// displayLine bounds a line and makes it printable, one character for each
// one of the file.
func displayLine(s string) string {
	const most = 160
	cut := ""
	if len(s) > most {
		n := most
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s, cut = s[:n], "..."
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s) + cut
}
