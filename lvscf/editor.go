package lvscf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Apply returns a copy of the file with the edits made in their order, all of
// them or, with an [EditError], none; the file itself never changes. What the
// edits do not mean keeps every byte. New lines follow their neighbours in
// indentation, in the blanks around the sign and in their line ends, and stand
// where the canonical order of [File.Format] has them. Comments behind a
// changed value stay, in their column if there is room.
//
// When anything changed, serial_no is raised by one, once for each call. A file
// without serial_no, such as one that others include, is not given one, and an
// edit of serial_no itself is not overruled. Edits that change nothing, because
// all values are there already, return f.
//
// The result is read again before it is returned: edits are refused together
// when the file would then say anything else than was asked, or would have an
// error that it did not have before; files that it includes are not read. A
// file with broken lines or blocks, one for which [Parse] reports errors, is
// not edited.
//
// Two callers who edit copies of one file do not see each other's edits; to
// find that out is their business, for instance by serial_no.
func (f *File) Apply(edits ...Edit) (*File, error) {
	if f.faulty {
		return nil, &EditError{Index: -1, Err: errors.New("the file has broken lines or blocks: mend them first")}
	}
	e := newEditor(f)
	for i, edit := range edits {
		err := edit.check()
		if err == nil {
			err = e.apply(edit)
		}
		if err != nil {
			return nil, &EditError{Index: i, Edit: edit, Err: err}
		}
	}
	if !e.changed {
		return f, nil
	}
	err := e.bumpSerial()
	if err == nil {
		var g *File
		if g, err = e.finish(); err == nil {
			return g, nil
		}
	}
	if len(edits) == 1 {
		return nil, &EditError{Index: 0, Edit: edits[0], Err: err}
	}
	return nil, &EditError{Index: -1, Err: err}
}

// Values returns the words of a directive of the file, without quotes and
// without the brackets of a list; of several lines those of the last, unless
// the path has an index. The error wraps [fs.ErrNotExist] where there is none.
func (f *File) Values(directive Path) ([]string, error) {
	if len(directive) == 0 || directive.last().Kind != UnknownBlock {
		return nil, fmt.Errorf("%q is the path of a block, not of a directive", directive)
	}
	e := &editor{old: f, top: Block{Body: f.Body}}
	b, err := e.block(directive.Parent())
	if err != nil {
		return nil, err
	}
	at := b.directives(directive.last().Name)
	i := directive.last().Index
	if i == 0 {
		i = len(at)
	}
	if i == 0 || i > len(at) {
		return nil, notFound(directive.String() + ": there is no such line")
	}
	var words []string
	for _, t := range b.Body[at[i-1]].(*Line).values() {
		words = append(words, t.Text)
	}
	return words, nil
}

// editor makes edits in a copy of a tree. Lines are never changed in place but
// replaced by new ones, which have no number.
type editor struct {
	old *File
	// top has the global section as its body.
	top Block
	// end is the line end of the file.
	end string
	// mark is the byte order mark, which is left out of the copy.
	mark string
	// changed tells that any edit did something, serialSet that one set
	// serial_no.
	changed, serialSet bool
}

func newEditor(f *File) *editor {
	e := &editor{old: f, end: "\n"}
	e.top.Body = cloneNodes(f.Body)
	if f.dialect != Strict {
		first := true
		e.top.replaceLines(func(l *Line) *Line {
			if text, ok := strings.CutPrefix(l.Text, byteOrderMark); ok && first {
				e.mark = byteOrderMark
				c, _ := f.dialect.split(text)
				c.Number, c.Kind, c.End = l.Number, l.Kind, l.End
				l = c
			}
			first = false
			return l
		})
	}
	for l := range f.Lines() {
		if l.End != "" {
			e.end = l.End
			break
		}
	}
	return e
}

// cloneNodes copies blocks; the lines are shared.
func cloneNodes(nodes []Node) []Node {
	out := slices.Clone(nodes)
	for i, n := range out {
		if b, ok := n.(*Block); ok {
			c := *b
			c.Body = cloneNodes(b.Body)
			out[i] = &c
		}
	}
	return out
}

// place returns the places of the directives within a block, of which the
// global section is one here.
func (e *editor) place(b *Block) blockMask {
	if b == &e.top {
		return inGlobal
	}
	return b.Kind.mask()
}

// block finds a block by its path.
func (e *editor) block(p Path) (*Block, error) {
	b := &e.top
	for i, s := range p {
		at, err := b.child(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p[:i+1], err)
		}
		b = b.Body[at].(*Block)
	}
	return b, nil
}

// child returns the index in the body of the block that a step names.
func (b *Block) child(s Step) (int, error) {
	var found []int
	for i, n := range b.Body {
		if c, ok := n.(*Block); ok && c.Kind == s.Kind && c.Name == s.Name {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0 || s.Index > len(found):
		return 0, notFound("there is no such block")
	case s.Index == 0 && len(found) > 1:
		s.Index = 1
		return 0, fmt.Errorf("there are %d blocks of that name: write %q for the first", len(found), s)
	}
	return found[max(s.Index-1, 0)], nil
}

// directives returns the indexes in the body of the lines of a directive.
func (b *Block) directives(name string) []int {
	var found []int
	for i, n := range b.Body {
		if l, ok := n.(*Line); ok && l.Kind == DirectiveLine && l.Tokens[0].is(name) {
			found = append(found, i)
		}
	}
	return found
}

func (e *editor) apply(edit Edit) error {
	step := edit.Path.last()
	if step.Kind == UnknownBlock {
		return e.editDirective(edit)
	}
	b, err := e.block(edit.Path.Parent())
	if err != nil {
		return err
	}
	if edit.Op == AddOp {
		return e.addBlock(b, step)
	}
	at, err := b.child(step)
	if err != nil {
		return err
	}
	switch edit.Op {
	case RemoveOp:
		start := b.unitStart(at)
		b.Body = removeNodes(b.Body, start, at+1)
		e.changed = true
	case RenameOp:
		return e.rename(b, at, edit.Name)
	case MoveOp:
		return e.move(b, at, edit.To)
	}
	return nil
}

func (e *editor) editDirective(edit Edit) error {
	step := edit.Path.last()
	b, err := e.block(edit.Path.Parent())
	if err != nil {
		return err
	}
	at := b.directives(step.Name)
	if step.Index > len(at) || len(at) == 0 && edit.Op == RemoveOp {
		return notFound("there is no such line")
	}
	if edit.Op == RemoveOp { // also what the language does not know
		if step.Index > 0 {
			at = at[step.Index-1 : step.Index]
		}
		spaced := e.doubleSpaced(b)
		for _, i := range slices.Backward(at) {
			switch {
			case spaced && i+1 < len(b.Body) && isBlankLine(b.Body[i+1]):
				b.Body = slices.Delete(b.Body, i, i+2)
			case spaced && i > 0 && isBlankLine(b.Body[i-1]):
				b.Body = slices.Delete(b.Body, i-1, i+1)
			default:
				b.Body = removeNodes(b.Body, i, i+1)
			}
		}
		e.changed = true
		return nil
	}
	dir := findDirective(step.Name, e.place(b))
	if dir == nil {
		return unknownDirective(step.Name, e.place(b))
	}
	if edit.Op == AddOp && len(at) > 0 && !dir.repeats {
		return exists("there is such a line already: set it, or remove it first")
	}
	words, err := dir.check(edit.Values, e.old.dialect, scratchScope(dir.where))
	if err != nil {
		return err
	}
	if dir.where == inGlobal && dir.name == "serial_no" {
		e.serialSet = true
	}
	if edit.Op == AddOp || len(at) == 0 {
		return e.addLine(b, dir, words)
	}
	switch {
	case step.Index > 0:
		at = at[step.Index-1 : step.Index]
	case dir.repeats && len(at) > 1:
		return fmt.Errorf("there are %d such lines, of which each counts: write %q for the first", len(at), Step{Name: step.Name, Index: 1})
	}
	last := at[len(at)-1]
	l := b.Body[last].(*Line)
	if slices.EqualFunc(l.Tokens[min(2, len(l.Tokens)):], words, func(t Token, w word) bool {
		return t.Text == w.text && (t.Quote == 0 || !w.bare)
	}) {
		return nil
	}
	changed, err := e.withValues(l, words)
	if err != nil {
		return err
	}
	b.Body[last] = changed
	e.changed = true
	return nil
}

func unknownDirective(name string, where blockMask) error {
	switch near := nearest(name, directiveNames(where)); {
	case blocksOf(name) != 0:
		return fmt.Errorf("%s belongs in %s", name, placeOf(blocksOf(name)))
	case near != "":
		return fmt.Errorf("there is no directive %q: did you mean %q?", name, near)
	}
	return fmt.Errorf("there is no directive %q", name)
}

// bumpSerial raises serial_no where it counts.
func (e *editor) bumpSerial() error {
	at := e.top.directives("serial_no")
	if e.serialSet || len(at) == 0 {
		return nil
	}
	old, _ := e.old.Config()
	switch {
	case old.Origins.refused("serial_no") || !old.Origins.Has("serial_no"):
		return nil
	case old.Serial == math.MaxInt64:
		return errors.New("serial_no cannot be raised any more: set it")
	}
	i := at[len(at)-1]
	l, err := e.withValues(e.top.Body[i].(*Line), []word{{text: strconv.FormatInt(old.Serial+1, 10)}})
	if err == nil {
		e.top.Body[i] = l
	}
	return err
}

// finish prints the copy, reads it again and compares.
func (e *editor) finish() (*File, error) {
	e.mendEnds()
	want := &File{Name: e.old.Name, Body: e.top.Body}
	got, ds := e.reparse(append([]byte(e.mark), want.Bytes()...))
	if err := ds.Err(); err != nil {
		return nil, err
	}
	if l := differs(want.Body, got.Body); l != nil {
		return nil, fmt.Errorf("line %d would be read as something else: %s", l.Number, quote(l.Text))
	}
	return got, e.newErrors(want, got)
}

// mendEnds gives ends to all lines but the last, which has one if the last line
// of the old file had.
func (e *editor) mendEnds() {
	var last, newLast *Line
	for l := range e.old.Lines() {
		last = l
	}
	for l := range (&File{Body: e.top.Body}).Lines() {
		newLast = l
	}
	e.top.replaceLines(func(l *Line) *Line {
		end := l.End
		switch {
		case l == newLast && last.End == "":
			end = ""
		case end == "":
			end = e.end
		}
		if end != l.End {
			c := *l
			c.End = end
			l = &c
		}
		return l
	})
}

// replaceLines replaces each line of a block.
func (b *Block) replaceLines(with func(*Line) *Line) {
	if b.Open != nil {
		b.Open = with(b.Open)
	}
	for i, n := range b.Body {
		switch n := n.(type) {
		case *Line:
			b.Body[i] = with(n)
		case *Block:
			n.replaceLines(with)
		}
	}
	if b.Close != nil {
		b.Close = with(b.Close)
	}
}

// reparse reads a text as the old file was read.
func (e *editor) reparse(src []byte) (*File, Diagnostics) {
	return Options{Dialect: e.old.dialect}.Parse(e.old.Name, src)
}

// differs returns the first line of a tree that another tree, read from its
// text, has in another meaning.
func differs(want, got []Node) *Line {
	for i, n := range want {
		var other Node
		if i < len(got) {
			other = got[i]
		}
		switch n := n.(type) {
		case *Line:
			if l, ok := other.(*Line); !ok || !sameLine(n, l) {
				return n
			}
		case *Block:
			b, ok := other.(*Block)
			if !ok || n.Kind != b.Kind || n.Name != b.Name || (b.Close == nil) != (n.Close == nil) {
				return n.Open
			}
			if l := differs(n.Body, b.Body); l != nil {
				return l
			}
		}
	}
	if len(got) > len(want) {
		for l := range (&File{Body: got[len(want):]}).Lines() {
			return l
		}
	}
	return nil
}

func sameLine(a, b *Line) bool {
	return a.Kind == b.Kind && slices.EqualFunc(a.Tokens, b.Tokens, func(s, t Token) bool {
		return s.Text == t.Text && (s.Quote == 0) == (t.Quote == 0)
	})
}

// newErrors returns the errors of the edited file that the old one did not
// have on the same lines.
func (e *editor) newErrors(want, got *File) error {
	_, ds := got.Config()
	if !ds.HasErrors() {
		return nil
	}
	old := map[int]bool{}
	_, before := e.old.Config()
	for _, d := range before {
		old[d.Line] = old[d.Line] || d.Severity == Error
	}
	var numbers []int // of the lines in the old file
	for l := range want.Lines() {
		numbers = append(numbers, l.Number)
	}
	var added Diagnostics
	for _, d := range ds {
		known := d.Line > 0 && d.Line <= len(numbers) && old[numbers[d.Line-1]]
		if d.Severity == Error && !known {
			added = append(added, d)
		}
	}
	return added.Err()
}
