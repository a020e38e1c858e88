package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// Bounds on the reading of an ldirectord.cf. A range of real servers makes
// many of one line, so these are counted too.
const (
	// MaxLdirectordSize is the most bytes of a file.
	MaxLdirectordSize = 16 << 20
	// MaxLdirectordServers is the most real servers of a file, ranges counted
	// out.
	MaxLdirectordServers = 100_000

	maxLdirectordLine = 64 << 10
)

// ldirectordPlaces tells where a directive of ldirectord(8), version 4.12, may
// stand: g for the left margin, v for the section of a virtual service.
var ldirectordPlaces = map[string]string{
	"autoreload": "g", "callback": "g", "checkcount": "gv", "checkinterval": "gv", "checktimeout": "gv", "cleanstop": "gv",
	"emailalert": "gv", "emailalertfreq": "gv", "emailalertfrom": "g", "emailalertstatus": "gv", "execute": "g",
	"failurecount": "gv", "fallback": "gv", "fallback6": "gv", "fallbackcommand": "gv", "fork": "g", "logfile": "g",
	"maintenancedir": "g", "negotiatetimeout": "gv", "quiescent": "gv", "readdquiescent": "g", "smtp": "gv", "supervised": "g",

	"checkcommand": "v", "checkport": "v", "checktype": "v", "comment": "v", "database": "v", "httpmethod": "v", "load": "v",
	"login": "v", "monitorfile": "v", "netmask": "v", "ops": "v", "passwd": "v", "persistent": "v", "protocol": "v",
	"real": "v", "real6": "v", "receive": "v", "request": "v", "schedflags": "v", "scheduler": "v", "secret": "v",
	"service": "v", "servicename": "v", "virtualhost": "v",
}

// ldirectordGone are directives of older versions, with what replaced them.
var ldirectordGone = map[string]string{
	"connecttimeout": "write negotiatetimeout = N in its place",
	"timeout":        "write checktimeout = N, negotiatetimeout = N or both in its place",
}

// ldLine is one directive. Its value has no blanks around it, and its quotes.
type ldLine struct {
	name, value string
	where       Where  // of the name
	column      int    // of the value
	source      string // for messages; without what is secret
}

// at returns the place of the value.
func (d *ldLine) at() Where {
	w := d.where
	w.Column = d.column
	return w
}

// ldSection is a virtual service with the lines below it.
type ldSection struct {
	head  ldLine
	lines []ldLine
}

// last returns the line that counts of those with a name: the last one, nil if
// there is none.
func (s *ldSection) last(name string) *ldLine { return lastLine(s.lines, name) }

func lastLine(lines []ldLine, name string) *ldLine {
	for i := range slices.Backward(lines) {
		if lines[i].name == name {
			return &lines[i]
		}
	}
	return nil
}

// ldFile is a whole ldirectord.cf.
type ldFile struct {
	globals  []ldLine
	sections []*ldSection
	comments int
}

// ldParser reads lines into a file. Where ldirectord is stricter than the
// meaning needs, so is not this: sections may be indented by any depth, blank
// lines may stand in them, and the quotes of a value may be missing.
type ldParser struct {
	file   ldFile
	faults *faults
	// depth is the indentation of the open section's head, -1 without one.
	depth int
}

// parseLdirectord reads the lines of a file. Faults are entered into f; with
// any, what is returned is not whole.
func parseLdirectord(name string, src []byte, f *faults) *ldFile {
	p := &ldParser{faults: f, depth: -1}
	where := Where{File: name, Pos: lvscf.Pos{Line: 1, Column: 1}}
	if len(src) > MaxLdirectordSize {
		f.stop(where, fmt.Sprintf("more than %d bytes", MaxLdirectordSize), "split the configuration")
		return &p.file
	}
	text := strings.TrimPrefix(string(src), "\ufeff")
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		where.Pos = lvscf.Pos{Line: n, Column: 1}
		switch {
		case strings.IndexByte(line, 0) >= 0:
			f.stop(where, "not a text: there is a zero byte", "convert an ldirectord.cf")
			return &p.file
		case len(line) > maxLdirectordLine:
			f.add(where, "", fmt.Sprintf("a line of more than %d bytes", maxLdirectordLine), "shorten the line")
			continue
		}
		p.line(strings.TrimRight(line, blanks), where)
	}
	return &p.file
}

// line takes one line, without blanks at its end.
func (p *ldParser) line(line string, where Where) {
	text := strings.TrimLeft(line, blanks)
	if text == "" || text[0] == '#' {
		p.comment(text)
		return
	}
	where.Column = len(line) - len(text) + 1
	depth := indentation(line[:len(line)-len(text)])
	if strings.HasPrefix(text, "[") {
		if depth <= p.depth {
			p.depth = -1
		}
		p.faults.add(where, text, "a section title in brackets is no line of ldirectord.cf", "titles, and the lines below those without a virtual = line, are of another program: remove them")
		return
	}
	name, rest, ok := strings.Cut(text, "=")
	name = strings.TrimRight(name, blanks)
	if uncommented := strings.TrimRight(ldUncomment(name, true), blanks); !ok && uncommented == "supervised" {
		name, rest, ok = uncommented, "yes", true // as older versions had it
	}
	d := ldLine{name: name, where: where, source: text}
	// Also where it is misspelled or the sign is missing.
	if word, _, _ := strings.Cut(name, " "); strings.Contains(word, "pass") || strings.Contains(word, "secret") {
		d.source = word + " = ..."
	}
	if !ok {
		p.faults.add(where, d.source, "no directive: there is no equals sign", "write NAME = VALUE, or # before a comment")
		return
	}
	isHead := name == "virtual" || name == "virtual6"
	inSection := !isHead && p.depth >= 0 && depth > p.depth
	value := ldUncomment(rest, inSection || isHead)
	p.comment(rest[len(value):])
	d.value = strings.Trim(value, blanks)
	d.column = where.Column + len(text) - len(strings.TrimLeft(rest, blanks))
	switch {
	case isHead:
		p.file.sections = append(p.file.sections, &ldSection{head: d})
		p.depth = depth
	case inSection:
		p.add(d, "v", &p.file.sections[len(p.file.sections)-1].lines)
	default:
		p.depth = -1
		p.add(d, "g", &p.file.globals)
	}
}

// comment counts a comment.
func (p *ldParser) comment(text string) {
	if isComment(text) {
		p.file.comments++
	}
}

// add enters a directive if it may stand there.
func (p *ldParser) add(d ldLine, place string, to *[]ldLine) {
	places, known := ldirectordPlaces[d.name]
	cure, gone := ldirectordGone[d.name]
	switch {
	case gone:
		p.faults.add(d.where, d.source, d.name+" is a directive of old versions that ldirectord refuses", cure)
	case !known:
		p.faults.add(d.where, d.source, fmt.Sprintf("unknown directive %q", clip(d.name)), unknownCure(d.name))
	case d.value == "" && d.name != "comment" && d.name != "servicename":
		p.faults.add(d.where, d.source, d.name+" has no value", "write one")
	case strings.Contains(places, place):
		*to = append(*to, d)
	case place == "v":
		p.faults.add(d.where, d.source, d.name+" is no directive of a virtual service", "write it at the left margin, above the virtual services")
	default:
		p.faults.add(d.where, d.source, d.name+" stands outside of a virtual service", "write it below a virtual = line, indented by a tab")
	}
}

// unknownCure suggests the directive that may have been meant.
func unknownCure(name string) string {
	best, distance := "", 3
	for known := range ldirectordPlaces {
		if d := editDistance(name, known); d < distance || d == distance && best != "" && known < best {
			best, distance = known, d
		}
	}
	if best == "" || len(name) > 30 {
		return "see ldirectord(8) for the directives"
	}
	return "did you mean " + best + "?"
}

// editDistance counts the letters to change, add or leave out between two
// short words.
func editDistance(a, b string) int {
	if len(a) > 30 || len(b) > 30 {
		return 30
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// indentation is the width of blanks, a tab being four as in ldirectord.
func indentation(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] == '\t' {
			n += 4
		} else {
			n++
		}
	}
	return n
}

// ldUncomment removes a comment. Within a section it begins with any # that is
// not between quotes, elsewhere with one after a blank.
func ldUncomment(s string, section bool) string {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted && strings.IndexByte(s[i+1:], '"') >= 0
		case '#':
			if !quoted && (section || i == 0 || strings.IndexByte(blanks, s[i-1]) >= 0) {
				return s[:i]
			}
		}
	}
	return s
}

// shellVariable finds a $NAME, the mark of a template that was not filled in.
var shellVariable = regexp.MustCompile(`\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\{\{.*\}\}`)

// templateCure is the cure for a value that is no address, number or the like:
// the one given, unless the value is a variable of a template.
func templateCure(value, cure string) string {
	if v := shellVariable.FindString(value); v != "" {
		return fmt.Sprintf("%s is a variable of a template: convert the file that the script writes, with the variables filled in", clip(v))
	}
	return cure
}
