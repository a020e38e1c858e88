package convert

import (
	"fmt"
	"path"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// Bounds on the reading of a keepalived.conf and all that it includes. A
// definition or a sequence can make much of a short text, so the lines that
// result are counted too.
const (
	// MaxKeepalivedSize is the most bytes, of all files together and again
	// of what definitions make of them.
	MaxKeepalivedSize = 16 << 20
	// MaxKeepalivedLines is the most lines after definitions are put in.
	MaxKeepalivedLines = 200_000
	// MaxKeepalivedFiles is the most files included.
	MaxKeepalivedFiles = 1000
	// MaxKeepalivedDepth is how deep includes, definitions within
	// definitions, and blocks may each be nested.
	MaxKeepalivedDepth = 32

	maxKeepalivedLine = 64 << 10
	maxSubstitutions  = 1000 // in one line
)

// Included is a file that an include line asked for.
type Included struct {
	// Name is used in messages; its folder is where the file's own
	// includes look.
	Name string
	Text []byte
}

// sourceLine is a line of text on its way to the tree.
type sourceLine struct {
	text  string
	where Where // of the first byte of text
	exact bool  // columns of text are those of the file
}

// at returns the place of the byte at an offset of the text.
func (l sourceLine) at(offset int) Where {
	w := l.where
	if l.exact {
		w.Column += offset
	}
	return w
}

// trim removes blanks around a line.
func (l sourceLine) trim() sourceLine {
	cut := len(l.text) - len(strings.TrimLeft(l.text, blanks))
	l.where = l.at(cut)
	l.text = strings.Trim(l.text, blanks)
	return l
}

const blanks = " \t\r\v\f"

// lineReader turns files into the lines that count: comments off, includes
// read, conditions judged, definitions and sequences put in.
type lineReader struct {
	opt    KeepalivedOptions
	emit   func(sourceLine)
	ledger *ledger
	faults *faults

	defs map[string]string // lines of a value are separated by line ends
	// pending is the definition that goes on in the next line.
	pending struct {
		on, discard bool
		name        string
		value       strings.Builder
	}
	files, lines, bytes, made int
	stopped                   bool
}

// stop gives up reading: a bound was reached.
func (r *lineReader) stop(where Where, message, cure string) {
	if !r.stopped {
		r.stopped = true
		r.faults.stop(where, message, cure)
	}
}

// file reads one file.
func (r *lineReader) file(name string, src []byte, depth int) {
	where := Where{File: name, Pos: lvscf.Pos{Line: 1, Column: 1}}
	r.bytes += len(src)
	if r.bytes > MaxKeepalivedSize {
		r.stop(where, fmt.Sprintf("more than %d bytes", MaxKeepalivedSize), "split the configuration")
		return
	}
	text := strings.TrimPrefix(string(src), "\ufeff")
	for n := 1; text != "" && !r.stopped; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		where.Pos = lvscf.Pos{Line: n, Column: 1}
		if len(line) > maxKeepalivedLine {
			r.stop(where, fmt.Sprintf("a line of more than %d bytes", maxKeepalivedLine), "break the line")
			return
		}
		if strings.IndexByte(line, 0) >= 0 {
			r.stop(where, "not a text: there is a zero byte", "convert a keepalived.conf")
			return
		}
		plain := uncomment(line)
		if isComment(line[len(plain):]) {
			r.ledger.comments++
		}
		l := sourceLine{plain, where, true}.trim()
		if l.text == "" {
			continue
		}
		if !r.pending.on && r.include(l, depth) {
			continue
		}
		r.line(l, 0)
	}
	if r.pending.on && !r.stopped {
		r.define() // the file ended within a definition: it ends there
	}
}

// uncomment removes a comment, which starts with # or ! outside of quotes.
func uncomment(line string) string {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '#', '!':
			return line[:i]
		case '"', '\'':
			i = skipQuoted(line, i)
		}
	}
	return line
}

// skipQuoted returns the index of the quote that ends the one at i. A single
// quote counts only at the start of a word and with its like, so that an
// apostrophe is none.
func skipQuoted(s string, i int) int {
	quote := s[i]
	if quote == '\'' && i > 0 && !strings.ContainsRune(blanks+`"`, rune(s[i-1])) {
		return i
	}
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case quote:
			return j
		}
	}
	if quote == '\'' {
		return i
	}
	return len(s)
}

// includes are the words that include files, and what must be there.
var includes = []struct {
	word string
	must bool
}{
	{"include", false},
	{"includer", false}, // what matches must be readable; what we are given is
	{"includem", true},
	{"includew", true},
	{"includeb", true},
	{"includea", true},
}

// include reads the files that a line asks for, if it does.
func (r *lineReader) include(l sourceLine, depth int) bool {
	word, pattern, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
	pattern = strings.Trim(strings.TrimSpace(pattern), `"`)
	for _, inc := range includes {
		if inc.word == word {
			r.includeFiles(l, pattern, inc.must, depth)
			return true
		}
	}
	return false
}

func (r *lineReader) includeFiles(l sourceLine, pattern string, must bool, depth int) {
	what := fmt.Sprintf("include %q", pattern)
	switch {
	case pattern == "":
		r.faults.add(l.where, clip(l.text), "an include without a file name", "name a file, or remove the line")
		return
	case depth+1 >= MaxKeepalivedDepth:
		r.stop(l.where, fmt.Sprintf("includes nested more than %d deep", MaxKeepalivedDepth), "a file may include itself; break the circle")
		return
	case r.opt.Include == nil:
		r.ledger.lose(l.where, what, "other files are not read here", "convert again with a way to read them, or put their text in place of this line")
		return
	}
	files, err := r.opt.Include(path.Dir(l.where.File), pattern)
	switch {
	case err != nil:
		r.faults.add(l.where, clip(l.text), fmt.Sprintf("%s: %v", what, err), "make the file readable, or remove the line")
	case len(files) == 0 && must:
		r.faults.add(l.where, clip(l.text), what+": no file matches", "add the file, or remove the line")
	case len(files) == 0:
		r.ledger.lose(l.where, what, "no file matches", "nothing was included, as keepalived does")
	}
	for _, f := range files {
		if r.files++; r.files > MaxKeepalivedFiles {
			r.stop(l.where, fmt.Sprintf("more than %d files", MaxKeepalivedFiles), "a file may include itself; break the circle")
		}
		if r.stopped {
			return
		}
		r.file(f.Name, f.Text, depth+1)
	}
}
