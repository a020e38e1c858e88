package lvscf

import (
	"bytes"
	"strings"
)

// Format returns the file in the canonical layout:
//
//   - four blanks of indentation for each block around a line, also for
//     comments on lines of their own,
//   - one blank on both sides of the sign, between words and before a brace,
//     which stands on the line of its name,
//   - two blanks before a comment behind a value,
//   - a blank line before and after each block and its comments, none at the
//     start and end of a block or file, never two in a row, and none between
//     directives where the file has one after almost each,
//   - no blanks at the ends of lines, LF line ends, also of the last line, no
//     byte order mark.
//
// Words, their quotes, comments and the order of all lines stay as they are,
// and so does the meaning. A file in this layout is returned equal. A file
// with errors is refused with [InvalidFileError].
func (f *File) Format() (*File, error) {
	o := Options{Dialect: f.dialect}
	if _, ds := o.Parse(f.Name, f.Bytes()); ds.HasErrors() {
		return nil, ds.Err()
	}
	before, ds := f.Config()
	if err := ds.Err(); err != nil {
		return nil, err
	}
	p := &printer{dense: f.almostDoubleSpaced()}
	p.body(f.Body, 0)
	g, ds := o.Parse(f.Name, p.out.Bytes())
	if err := ds.Err(); err != nil {
		return nil, err
	}
	after, ds := g.Config()
	if err := ds.Err(); err != nil {
		return nil, err
	}
	if err := saysSame(before, after); err != nil {
		return nil, err
	}
	return g, nil
}

// printer prints a tree in the canonical layout.
type printer struct {
	out bytes.Buffer
	// dense leaves out blank lines between directives.
	dense bool
	// blank tells that a blank line belongs before what comes next, fresh
	// that nothing was printed in the body yet.
	blank, fresh bool
}

func (p *printer) line(depth int, text string) {
	if p.blank && !p.fresh {
		p.out.WriteByte('\n')
	}
	p.blank, p.fresh = false, false
	p.out.WriteString(strings.Repeat(indentUnit, depth) + text + "\n")
}

func (p *printer) body(nodes []Node, depth int) {
	p.blank, p.fresh = false, true
	unitAt := map[int]bool{} // where blocks start, or the comments above them
	for i, n := range nodes {
		if _, ok := n.(*Block); ok {
			for i > 0 && isLineOf(nodes[i-1], CommentLine) {
				i--
			}
			unitAt[i] = true
		}
	}
	afterDirective, afterBlock := false, false
	for i, n := range nodes {
		if unitAt[i] || afterBlock {
			p.blank = true
		}
		_, afterBlock = n.(*Block)
		switch n := n.(type) {
		case *Block:
			p.block(n, depth)
		case *Line:
			switch n.Kind {
			case BlankLine:
				p.blank = true
				continue
			case OpenLine: // the brace below the name, printed there
				if n.Comment == 0 {
					continue
				}
				p.line(depth, strings.TrimRight(n.Text[n.Comment-1:], " \t"))
				continue
			case DirectiveLine:
				if p.dense && afterDirective {
					p.blank = false
				}
			}
			p.line(depth, n.canonical())
		}
		afterDirective = isLineOf(n, DirectiveLine)
	}
	p.blank = false
}

func (p *printer) block(b *Block, depth int) {
	open := *b.Open
	if len(open.Tokens) == 2 { // the brace stands below
		open.Tokens = append(open.Tokens[:2:2], Token{Text: "{"})
	}
	p.line(depth, open.canonical())
	p.body(b.Body, depth+1)
	p.fresh = false
	p.line(depth, b.Close.canonical())
}

// canonical returns the text of a line without its indentation: the words as
// they are written, and the comment.
func (l *Line) canonical() string {
	text := strings.TrimPrefix(l.Text, byteOrderMark)
	if l.Kind == CommentLine {
		return strings.Trim(text, " \t")
	}
	var words []string
	for _, t := range l.Tokens {
		word := t.Text
		if t.Quote != 0 {
			word = string(t.Quote) + word + string(t.Quote)
		}
		words = append(words, word)
	}
	text = strings.Join(words, " ")
	if l.Comment > 0 {
		text += "  " + strings.TrimRight(l.Text[l.Comment-1:], " \t")
	}
	return text
}

// almostDoubleSpaced reports whether the file has blank lines between most
// directives.
func (f *File) almostDoubleSpaced() bool {
	top := &Block{Body: f.Body}
	tight, spaced := top.spacing()
	for b := range top.blocks() {
		t, s := b.spacing()
		tight, spaced = tight+t, spaced+s
	}
	return spaced >= 4 && spaced > 4*tight
}
