package lvscf

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The bounds of what is read. A file beyond one of them gets one error and is
// not read further.
const (
	// MaxSize is the largest file in bytes.
	MaxSize = 16 << 20
	// MaxLines is the largest number of lines.
	MaxLines = 500_000
	// MaxDepth is how deep blocks may nest; the language itself needs 2.
	MaxDepth = 8
)

// maxStructureErrors is the number of errors after which the rest of a file
// is left unread: it is not an lvs.cf.
const maxStructureErrors = 10 * MaxDiagnostics

// Parse reads a file of the default dialect into a tree. The name is used in diagnostics only. The
// tree is never nil and holds every byte, whatever errors are reported.
//
// Parse judges what makes lines and blocks: quotes, braces, opening lines,
// and whether the input is text at all. What the directives say is judged by
// [File.Config].
func Parse(name string, src []byte) (*File, Diagnostics) {
	return Options{}.Parse(name, src)
}

func parse(c *collector, name string, src []byte) *File {
	p := &parser{c: c, file: &File{Name: name, dialect: c.dialect}, lex: lexer{dialect: c.dialect}, rest: string(src)}
	if !p.acceptable(p.rest) {
		p.file.faulty = true
		if p.rest != "" {
			p.file.Body = []Node{&Line{Number: 1, Kind: OpaqueLine, Text: p.rest}}
		}
		return p.file
	}
	for number := 1; p.rest != ""; number++ {
		if p.giveUp || number > MaxLines {
			if !p.giveUp {
				p.c.add(codeTooManyLines, Pos{number, 1}, "", fmt.Sprintf("too many lines: only the first %d were read", MaxLines),
					"split the file or remove what is not configuration")
				p.file.faulty = true
			}
			p.keep(&Line{Number: number, Kind: OpaqueLine, Text: p.rest})
			p.giveUp = true
			break
		}
		l := p.newLine(number)
		l.Text, l.End, p.rest = cutLine(p.rest)
		if l.End != "\n" && l.End != "" && !p.endsTold {
			p.endsTold = true
			p.carriageReturn(l, bytes.IndexByte(src, '\n') >= 0)
		}
		p.line(l)
		p.last = l
	}
	if !p.giveUp {
		p.end()
	}
	return p.file
}

// carriageReturn tells what Piranha makes of the first line that ends in CR.
// Its parser looks for the next CR, and for LF only where no CR is left.
func (p *parser) carriageReturn(l *Line, feeds bool) {
	if !feeds {
		p.c.at(codeOnlyCR, l, len(l.Text)+1, "the lines end in CR alone", "save the file with LF line ends")
		return
	}
	what := fmt.Sprintf("the line ends in %q: Piranha looks for CR before LF", l.End)
	if l.Number > 1 {
		what += fmt.Sprintf(", takes lines 1 to %d for one", l.Number)
	}
	if l.End == "\r\n" {
		what += " and loses what follows"
	}
	p.file.faulty = p.file.faulty || p.c.dialect == Strict
	p.c.at(codeLineEnds, l, len(l.Text)+1, what, "save the file with LF line ends")
}

// acceptable reports whether the input is a text within bounds, and says so
// if not.
func (p *parser) acceptable(text string) bool {
	switch {
	case text == "":
		p.c.add(codeEmpty, Pos{1, 1}, "", "Empty configuration: the file has no bytes",
			"write at least one virtual block, or restore the file from a copy")
		return false
	case len(text) > MaxSize:
		p.c.add(codeTooLarge, Pos{1, 1}, "", fmt.Sprintf("file too large: %d bytes, the limit is %d", len(text), MaxSize),
			"check that this is the right file; remove what is not configuration")
		return false
	case utf8.ValidString(text) && strings.IndexByte(text, 0) < 0:
		return true
	}
	commentWarned := false
	number := 1
	for rest := text; rest != ""; number++ {
		var line string
		line, _, rest = cutLine(rest)
		at := badByte(line)
		if at < 0 {
			continue
		}
		nul := line[at] == 0
		if !nul && strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") && strings.IndexByte(line, 0) < 0 {
			// Piranha skips comments unread, and old ones are in old encodings.
			if !commentWarned {
				p.c.add(codeComment8Bit, Pos{number, at + 1}, displayLine(line), "comment is not UTF-8 text",
					"save the file as UTF-8; the configuration itself is not affected")
				commentWarned = true
			}
			continue
		}
		cure := "give the name of an lvs.cf, saved as plain UTF-8 text"
		if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			cure = "this looks like UTF-16; save the file as plain UTF-8 text"
		}
		p.c.add(codeNotText, Pos{number, at + 1}, "", fmt.Sprintf("not a text file: byte 0x%02x", line[at]), cure)
		return false
	}
	return true
}

// badByte returns the index of the first byte that no text has, or -1.
func badByte(s string) int {
	for i, r := range s {
		if r == 0 {
			return i
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

// parser builds the tree. Its recovery aims at one error for each cause.
type parser struct {
	c    *collector
	file *File
	lex  lexer
	// open holds the blocks that are open, outermost first.
	open []*Block
	last *Line
	// lastVirtual is the virtual or failover block closed last.
	lastVirtual *Block
	// suspended are the kinds of the blocks, outermost first, that an error
	// already told of may have closed too early: what follows decides.
	suspended []BlockKind
	// forgive is the number of closing braces that an error already told of
	// will leave over.
	forgive int
	// braceless is set after an opening line without its brace, which may
	// follow on a line of its own.
	braceless bool
	// accepted tells that the brace on the next line was foreseen.
	accepted bool
	content  bool // some line is neither blank nor comment
	giveUp   bool
	endsTold bool // about line ends
	// rest is what follows the line, skip the number of lines that belong to
	// a broken one.
	rest string
	skip int
	slab []Line
}

// newLine returns a line, of many that are kept together.
func (p *parser) newLine(number int) *Line {
	if len(p.slab) == cap(p.slab) {
		p.slab = make([]Line, 0, min(max(2*cap(p.slab), 32), 1024))
	}
	p.slab = append(p.slab, Line{Number: number})
	return &p.slab[len(p.slab)-1]
}

func (p *parser) top() *Block {
	if len(p.open) == 0 {
		return nil
	}
	return p.open[len(p.open)-1]
}

// keep appends a node to the body that is open.
func (p *parser) keep(n Node) {
	if b := p.top(); b != nil {
		b.Body = append(b.Body, n)
	} else {
		p.file.Body = append(p.file.Body, n)
	}
}

// inUnknown reports whether some open block is not of the language; nothing
// within it is judged.
func (p *parser) inUnknown() bool {
	for _, b := range p.open {
		if b.Kind == UnknownBlock {
			return true
		}
	}
	return false
}

func (p *parser) errorAt(code Code, l *Line, column int, message, cure string) {
	l.faulty = true
	p.file.faulty = true
	if p.inUnknown() {
		return
	}
	code, cure = teachLine(l, code, cure)
	p.c.atAs(Error, code, l, column, message, cure)
	if p.c.count[Error] >= maxStructureErrors {
		p.giveUp = true
	}
}

func (p *parser) line(l *Line) {
	badQuote := p.lex.split(l)
	if p.skip > 0 {
		p.skip--
		l.faulty = l.Kind == DirectiveLine
		p.keep(l)
		return
	}
	if len(p.lex.notes) > 0 && !p.inUnknown() {
		for _, n := range p.lex.notes {
			p.c.at(n.code, l, n.column, n.message, n.cure)
		}
	}
	if l.Kind != DirectiveLine {
		p.keep(l)
		return
	}
	p.content = true
	if badQuote > 0 {
		p.mismatch(l, badQuote)
	}
	braceless, accepted := p.braceless, p.accepted
	p.braceless, p.accepted = false, false
	first := l.Tokens[0]
	switch {
	case first.Quote == 0 && strings.HasPrefix(first.Text, "}"):
		p.closeLine(l)
	case p.opensBlock(l):
		if braceless && len(l.Tokens) == 1 && first.is("{") {
			// The brace of the opening line before, already told of.
			l.faulty = !accepted
			l.Kind = OpenLine
			p.keep(l)
			return
		}
		p.openLine(l)
	default:
		p.directiveLine(l)
	}
}

// mismatch reports a quoted text without an end, which starts at a column.
func (p *parser) mismatch(l *Line, column int) {
	text := l.Text[column-1:]
	what := "quotation mismatch: " + quoteToken(l, Token{Text: text, Column: column})
	n := strings.IndexByte(text[1:], text[0])
	if n < 0 {
		if p.skip = p.wraps(text[0]); p.skip > 0 {
			p.errorAt(codeWrapped, l, column, what+fmt.Sprintf(" has no closing quote on its line; one stands on line %d", l.Number+p.skip),
				`join the lines; a line feed within a text is written \n`)
			return
		}
		p.errorAt(codeQuoteOpen, l, column, what+" has no closing quote", "end the value with "+text[:1])
		return
	}
	code, cure := codeQuoteAfter, "end the line with the closing quote"
	switch after := strings.TrimLeft(text[n+2:], " \t"); {
	case after == "":
		cure = "remove the blanks after the closing quote"
	case strings.HasPrefix(after, "#"):
		code, cure = codeTrailing, "move the comment to a line of its own, above this one"
	}
	p.errorAt(code, l, column, what+" goes on after its closing quote", cure)
}

// wraps returns the number of the following lines that a quoted text goes on
// over, if they look like it, or 0.
func (p *parser) wraps(q byte) int {
	const most = 8
	rest := p.rest
	for n := 1; n <= most && rest != ""; n++ {
		var line string
		line, _, rest = cutLine(rest)
		line = strings.TrimLeft(line, " \t")
		word := line[:indexBlank(line, 0)]
		after := line[skipBlanks(line, len(word)):]
		if line == "" || word == "}" || blockKind(word) != UnknownBlock || strings.HasPrefix(after, "=") {
			return 0
		}
		if strings.IndexByte(line, q) >= 0 {
			return n
		}
	}
	return 0
}

// end judges what is left when the file ends.
func (p *parser) end() {
	if !p.content {
		p.file.faulty = true
		p.c.add(codeEmpty, Pos{1, 1}, "", "Empty configuration: the file has only blank lines and comments",
			"write at least one virtual block, or restore the file from a copy")
		return
	}
	var open []string
	for _, b := range p.open {
		if b.Open != nil {
			what := b.Open.Tokens[0].Text
			if b.Kind != UnknownBlock {
				what = strings.TrimSpace(b.Kind.String() + " " + b.Name)
			}
			open = append(open, fmt.Sprintf("%s, opened on line %d", quote(what), b.Open.Number))
		}
	}
	if len(open) == 0 {
		return
	}
	if p.last.End == "" && (p.last.Kind == DirectiveLine || p.last.Kind == OpenLine && !strings.HasSuffix(p.last.Text, "{")) {
		// The file breaks off, likely within this line: one cause, one error.
		p.c.dropLine(p.last.Number)
		p.last.faulty = true
	}
	p.file.faulty = true
	p.c.at(codeUnclosed, p.last, len(p.last.Text)+1, "unexpected end of file: still open: "+strings.Join(open, "; "),
		"close each with } on a line of its own; if the end is lost, restore the file from a copy")
}
