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
	// Hint is advice: the file does what it says, and could say it better.
	Hint
)

var severityWords = []string{Error: "error", Warning: "warning", Hint: "hint"}

// String returns "error", "warning" or "hint".
func (s Severity) String() string { return wordOf(severityWords, int(s)) }

// MarshalText writes the same text as String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	for n, w := range severityWords {
		if w == string(text) {
			*s = Severity(n)
			return nil
		}
	}
	return fmt.Errorf("severity %q: want error, warning or hint", text)
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
	// EndColumn is the column just past what is meant, on the same line; it is
	// that of Pos when no one word is at fault.
	EndColumn int `json:"end_column"`
	// Character and EndCharacter are the same places counted in characters.
	Character    int      `json:"character"`
	EndCharacter int      `json:"end_character"`
	Severity     Severity `json:"severity"`
	// Code names the kind of finding; see [Explain].
	Code Code `json:"code"`
	// Message says what is wrong; it starts with the words of Piranha's
	// parser where that has words for it.
	Message string `json:"message"`
	// Cure says how to mend it.
	Cure string `json:"cure"`
	// Source is the line in question, cut to a bounded length and with
	// unprintable characters replaced; empty when no one line is at fault.
	Source string `json:"source,omitempty"`
}

// String returns "file:line:column: what: how to mend it [code]" in one line,
// with "warning: " or "hint: " before the what of those.
func (d Diagnostic) String() string {
	name := d.File
	if name == "" {
		name = "lvs.cf"
	}
	what := d.Message
	if d.Severity != Error {
		what = d.Severity.String() + ": " + what
	}
	text := fmt.Sprintf("%s:%d:%d: %s: %s", name, d.Line, d.Column, what, d.Cure)
	if d.Code != "" {
		text += " [" + string(d.Code) + "]"
	}
	return text
}

// Diagnostics is a list of faults and doubts, ordered by place. At most
// [MaxDiagnostics] errors, as many warnings and as many hints are kept; one
// last entry then tells how many more there were.
type Diagnostics []Diagnostic

// MaxDiagnostics is the number of errors, of warnings, and of hints that are
// reported one by one.
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

// Error returns the errors, one a line, without the rest.
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
	dialect  Dialect
	diags    Diagnostics
	count    [3]int // found, by severity
	firstCut Pos    // where the first one that was not kept stands
	cutLevel Severity
	// included is what was found in included files.
	included Diagnostics
}

// severityOf returns the severity of a code in the dialect.
func (c *collector) severityOf(code Code) Severity {
	if c.dialect == Strict {
		return severityTable()[code][Strict]
	}
	return severityTable()[code][Lenient]
}

func (c *collector) add(code Code, pos Pos, source, message, cure string) {
	c.addAs(c.severityOf(code), code, pos, source, message, cure)
}

// addAs reports a finding that is milder or graver than others of its code.
func (c *collector) addAs(sev Severity, code Code, pos Pos, source, message, cure string) {
	if c.full(sev, pos) {
		return
	}
	c.diags = append(c.diags, Diagnostic{
		File: c.file, Pos: pos, EndColumn: pos.Column, Character: pos.Column, EndCharacter: pos.Column, Severity: sev, Code: code,
		Message: message, Cure: cure, Source: source,
	})
}

// full counts a finding and reports whether it is one too many to be kept.
func (c *collector) full(sev Severity, pos Pos) bool {
	c.count[sev]++
	if c.count[sev] <= MaxDiagnostics {
		return false
	}
	if !c.firstCut.IsValid() {
		c.firstCut, c.cutLevel = pos, sev
	}
	c.cutLevel = min(c.cutLevel, sev)
	return true
}

// at reports a diagnostic on a line of the file.
func (c *collector) at(code Code, l *Line, column int, message, cure string) {
	c.atAs(c.severityOf(code), code, l, column, message, cure)
}

// atAs is addAs for a place on a line of the file.
func (c *collector) atAs(sev Severity, code Code, l *Line, column int, message, cure string) {
	pos := Pos{Line: l.Number, Column: column}
	if c.full(sev, pos) {
		return
	}
	d := Diagnostic{File: c.file, Pos: pos, Severity: sev, Code: code, Message: message, Cure: cure}
	d.quoteLine(l)
	c.diags = append(c.diags, d)
}

// quoteLine fills in what depends on the text of the line.
func (d *Diagnostic) quoteLine(l *Line) {
	d.Source = displayLine(l.Text)
	d.EndColumn = l.wordEnd(d.Column)
	d.Character = characters(l.Text, d.Column)
	d.EndCharacter = characters(l.Text, d.EndColumn)
}

// characters turns a column of bytes into one of characters.
func characters(text string, column int) int {
	return utf8.RuneCountInString(text[:min(max(column-1, 0), len(text))]) + 1
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
		return append(c.diags, c.included...)
	}
	var parts []string
	for _, sev := range []Severity{Error, Warning, Hint} {
		if n := c.count[sev] - MaxDiagnostics; n > 0 {
			parts = append(parts, plural(n, "more "+sev.String()))
		}
	}
	return append(append(c.diags, Diagnostic{
		File: c.file, Pos: c.firstCut, EndColumn: c.firstCut.Column, Character: c.firstCut.Column, EndCharacter: c.firstCut.Column, Severity: c.cutLevel, Code: codeMore,
		Message: "and " + strings.Join(parts, " and "),
		Cure:    "mend the ones above, then check again",
	}), c.included...)
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
	s = hideSecret(s)
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

// secretWords stand in the names that people give to secrets.
var secretWords = []string{"pass", "secret", "key"}

// hideSecret replaces the value of what looks like a secret, one character by
// another: a finding is shown in logs and reviews. The name of a file is none.
// The sign may be missing, as in the files of other programs.
func hideSecret(s string) string {
	name, value, ok := strings.Cut(s, "=")
	sign := "="
	if !ok || strings.ContainsAny(strings.TrimSpace(name), " \t") {
		s, indent := strings.TrimLeft(s, " \t"), s[:len(s)-len(strings.TrimLeft(s, " \t"))]
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			return indent + s
		}
		name, sign, value = indent+s[:end], s[end:end+1], s[end+1:]
	}
	word := strings.ToLower(strings.TrimSpace(name))
	from := secretFrom(word, value)
	if from < 0 || strings.HasSuffix(word, "_file") || strings.ContainsAny(word, " \t#") {
		return s
	}
	hidden := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return r
		}
		return '*'
	}, value[from:])
	return name + sign + value[:from] + hidden
}

// secretFrom returns where the secret begins in what stands behind a name, or
// -1 if there is none.
func secretFrom(name, value string) int {
	start := len(value) - len(strings.TrimLeft(value, " \t=\"'"))
	end := start + indexBlank(value[start:], 0)
	switch {
	case slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) }):
		return 0
	case name == "auth": // where others have the password behind its kind
		word := strings.Trim(value[start:end], "\"'")
		if nearest(word, vrrpAuthWords) == "" && !slices.Contains(vrrpAuthWords, word) {
			return start
		}
		return end
	case name == "header": // the name may be shown
		if i := strings.IndexByte(value, ':'); i >= 0 {
			return i + 1
		}
		if end == len(value) {
			return start
		}
		return end
	}
	return -1
}

// quoteToken returns a word of a line for use in a message, without what may be
// a secret.
func quoteToken(l *Line, t Token) string {
	hidden := hideSecret(l.Text)
	if hidden == l.Text {
		return quote(t.Text)
	}
	from, n := characters(l.Text, t.Column)-1, utf8.RuneCountInString(t.Text)
	if t.Quote != 0 {
		from++
	}
	runes := []rune(hidden)
	from = min(from, len(runes))
	return quote(string(runes[from:min(from+n, len(runes))]))
}

// displayLine bounds a line and makes it printable, one character for each
// one of the file.
func displayLine(s string) string {
	s = hideSecret(s)
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
