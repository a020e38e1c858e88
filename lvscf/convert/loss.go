package convert

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/lvskit/lvskit/lvscf"
)

// Where is a place in what is converted: of a file, of the structure, or of
// both. The zero value is the whole.
type Where struct {
	// File is the name given by the caller, or that of an included file;
	// empty when a configuration without a file is converted.
	File string `json:"file,omitempty"`
	// Pos is the place in the file; the zero value is none.
	lvscf.Pos
	// Path names the block, from the outside to the inside, such as
	// `virtual_server 192.0.2.1 80 / real_server 10.0.0.1 80`; empty for the
	// top of a file.
	Path string `json:"path,omitempty"`
}

// String returns "file:line:column, path" with the parts that there are, or
// "the whole file".
func (w Where) String() string {
	var parts []string
	switch {
	case w.File != "" && w.IsValid():
		parts = append(parts, w.File+":"+w.Pos.String())
	case w.IsValid():
		parts = append(parts, "line "+w.Pos.String())
	case w.File != "":
		parts = append(parts, w.File)
	}
	if w.Path != "" {
		parts = append(parts, w.Path)
	}
	if len(parts) == 0 {
		return "the whole file"
	}
	return strings.Join(parts, ", ")
}

// Loss is one thing that a conversion cannot carry.
type Loss struct {
	// Number counts from 1 in the order of the source.
	Number int `json:"number"`
	// Where is the place in the source.
	Where Where `json:"where"`
	// What names the thing, in the words of the source.
	What string `json:"what"`
	// Why says what keeps it from being carried.
	Why string `json:"why"`
	// Nearest says what was done in its place, or what an operator can do.
	Nearest string `json:"nearest"`
	// Harmless tells that what the configuration does stays the same, as
	// without the comments of a file.
	Harmless bool `json:"harmless,omitempty"`
}

// String returns "number. where: what: why; nearest: nearest" in one line.
func (l Loss) String() string {
	return fmt.Sprintf("%d. %s: %s: %s; nearest: %s", l.Number, l.Where, l.What, l.Why, l.Nearest)
}

// Losses are all that a conversion cannot carry, numbered from 1. At most
// [MaxLosses] are kept; one last entry then tells how many more there were.
type Losses []Loss

// MaxLosses is the number of losses that are reported one by one.
const MaxLosses = 1000

// String returns the losses, one a line, each line ended.
func (ls Losses) String() string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Harmless reports whether all of them are, as none are.
func (ls Losses) Harmless() bool {
	return !slices.ContainsFunc(ls, func(l Loss) bool { return !l.Harmless })
}

// Comments returns one harmless entry for all comments of an lvs.cf, which a
// [lvscf.Config] made of it has not; none if there are none. The imports have
// such an entry for the comments of their files at the end of their list.
func Comments(f *lvscf.File) Losses {
	n := 0
	for line := range f.Lines() {
		text := ""
		switch {
		case line.Kind == lvscf.CommentLine:
			text = line.Text
		case line.Comment > 0:
			text = line.Text[line.Comment-1:]
		}
		if isComment(text) {
			n++
		}
	}
	return appendComments(nil, f.Name, n)
}

// isComment reports whether the text of a comment says something: a line of
// signs alone does not.
func isComment(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// appendComments tells of the comments of a file, if there are any.
func appendComments(ls Losses, name string, n int) Losses {
	if n == 0 {
		return ls
	}
	return append(ls, Loss{
		Number: len(ls) + 1, Where: Where{File: name}, What: counted(n, "comment", "comments"), Harmless: true,
		Why: "the meaning is written anew, without remarks", Nearest: "copy those that are worth it by hand",
	})
}

// ledger gathers losses within bounds. Its zero value is ready.
type ledger struct {
	list Losses
	more int
	last Where
	// sums counts the losses at one place for one reason, while they are
	// summed up.
	sums map[sumKey]*sum
	// comments counts those of the text, and of what it includes.
	comments int
}

// sumKey is what losses have in common that are told as one.
type sumKey struct {
	where Where
	why   string
}

// sum is where the first of them is in the list, and how many came after it.
type sum struct{ index, more int }

// summing makes one loss of all that have a place and a reason in common,
// until the function that it returns is called.
func (l *ledger) summing() (end func()) {
	l.sums = map[sumKey]*sum{}
	return func() {
		for _, s := range l.sums {
			if s.more > 0 {
				l.list[s.index].What += fmt.Sprintf(", and %d more", s.more)
			}
		}
		l.sums = nil
	}
}

// lose enters a loss. None of the texts may be empty.
func (l *ledger) lose(where Where, what, why, nearest string) {
	if s := l.sums[sumKey{where, why}]; s != nil {
		s.more++
		return
	}
	if len(l.list) >= MaxLosses {
		l.more++
		l.last = where
		return
	}
	if l.sums != nil {
		l.sums[sumKey{where, why}] = &sum{index: len(l.list)}
	}
	where.Path = shortPath(where.Path)
	l.list = append(l.list, Loss{
		Number: len(l.list) + 1, Where: where,
		What: clean(what), Why: clean(why), Nearest: clean(nearest),
	})
}

// losses returns what was entered, nil if nothing was.
func (l *ledger) losses() Losses {
	if l.more == 0 {
		return l.list
	}
	return append(l.list, Loss{
		Number: len(l.list) + 1, Where: l.last,
		What:    fmt.Sprintf("and %d more", l.more),
		Why:     fmt.Sprintf("only %d are listed one by one", MaxLosses),
		Nearest: "see to the ones above, then convert again",
	})
}

// shortPath cuts the names of blocks in a path, which may be of any length and
// of any bytes.
func shortPath(path string) string {
	const most = 100
	blocks := strings.Split(path, " / ")
	for i, b := range blocks {
		if len(b) > most {
			blocks[i] = strings.ToValidUTF8(b[:most], "") + "..."
		}
	}
	return clean(strings.Join(blocks, " / "))
}

// counted returns a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// clean bounds a text of a message and makes it one printable line.
func clean(s string) string {
	const most = 300
	cut := ""
	if len(s) > most {
		s, cut = strings.ToValidUTF8(s[:most], ""), "..."
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r == '\uFFFD':
			return '?'
		}
		return r
	}, s) + cut
}

// faults gathers what is wrong with a text, within bounds. Its zero value is
// ready.
type faults struct {
	list []fault
	more int
	// fatal tells that the text cannot be read any further.
	fatal bool
}

// fault is a line or a block that cannot be read.
type fault struct {
	where                 Where
	source, message, cure string
}

// add enters an error with its cure: what stands there is not read.
func (f *faults) add(where Where, source, message, cure string) {
	if len(f.list) >= MaxLosses {
		f.more++
		return
	}
	f.list = append(f.list, fault{where, clean(source), clean(message), clean(cure)})
}

// stop enters an error that ends the reading: nothing of the text is taken.
func (f *faults) stop(where Where, message, cure string) {
	f.fatal = true
	f.add(where, "", message, cure)
}

// settle decides on what is wrong: where something usable was read besides,
// each fault becomes a loss, and otherwise all of them are the error. The words
// before stand before each cure, to say what was done.
func (f *faults) settle(l *ledger, usable bool, before string) error {
	if f.fatal || !usable {
		return f.err()
	}
	for _, e := range f.list {
		what := clip(e.source)
		if what == "" {
			what = "this line"
		}
		l.lose(e.where, what, e.message, before+e.cure)
	}
	if f.more > 0 {
		l.lose(f.list[len(f.list)-1].where, fmt.Sprintf("and %d more", f.more), "they cannot be read", before+"mend the ones above, then convert again")
	}
	return nil
}

// err returns nil if nothing was entered, else a [*lvscf.InvalidFileError].
func (f *faults) err() error {
	var list lvscf.Diagnostics
	for _, e := range f.list[:min(len(f.list), lvscf.MaxDiagnostics)] {
		list = append(list, lvscf.Diagnostic{
			File: e.where.File, Pos: e.where.Pos, Severity: lvscf.Error,
			Message: e.message, Cure: e.cure, Source: e.source,
		})
	}
	if more := f.more + len(f.list) - len(list); more > 0 {
		last := list[len(list)-1]
		list = append(list, lvscf.Diagnostic{
			File: last.File, Pos: last.Pos, Severity: lvscf.Error,
			Message: fmt.Sprintf("and %d more errors", more),
			Cure:    "mend the ones above, then convert again",
		})
	}
	return list.Err()
}
