package lvscf

import "iter"

// File is an lvs.cf as a tree. It keeps every byte of what was parsed.
type File struct {
	// Name is the name given to [Parse], used in diagnostics only.
	Name string
	// Body holds the lines and blocks of the global section in their order.
	Body []Node

	// dialect is how the file was read.
	dialect Dialect
	// faulty tells that Parse reported errors.
	faulty bool
}

// Node is a part of a body: a [*Line] or a [*Block].
type Node interface {
	// lines passes the lines of the node in order until yield says no.
	lines(yield func(*Line) bool) bool
}

// BlockKind is the kind of a block.
type BlockKind uint8

// The kinds of block. The zero value is a block that the language does not
// have; nothing is read from it.
const (
	UnknownBlock BlockKind = iota
	VirtualBlock
	FailoverBlock
	ServerBlock
	// CheckBlock and VRRPBlock are extensions.
	CheckBlock
	VRRPBlock
)

// String returns the word that opens the block, or "unknown".
func (k BlockKind) String() string {
	switch k {
	case VirtualBlock:
		return "virtual"
	case FailoverBlock:
		return "failover"
	case ServerBlock:
		return "server"
	case CheckBlock:
		return "check"
	case VRRPBlock:
		return "vrrp"
	}
	return "unknown"
}

// mask returns the place of the directives within such a block.
func (k BlockKind) mask() blockMask {
	switch k {
	case VirtualBlock, FailoverBlock:
		return inVirtual
	case ServerBlock:
		return inServer
	case CheckBlock:
		return inCheck
	case VRRPBlock:
		return inVRRP
	}
	return 0
}

// Block is a run of lines between an opening line and a closing brace.
type Block struct {
	Kind BlockKind
	// Name is the block's name, empty if it has none (an error).
	Name string
	// Open is the line that opens the block. It is nil where the parser had
	// to assume a block to make sense of an error.
	Open *Line
	Body []Node
	// Close is the line with the closing brace, nil when it is missing (an
	// error).
	Close *Line
}

// LineKind tells what a line is.
type LineKind uint8

// The kinds of line.
const (
	// BlankLine has nothing but blanks and tabs.
	BlankLine LineKind = iota
	// CommentLine starts with # after leading blanks.
	CommentLine
	// DirectiveLine is any other line that is no part of a block's frame.
	DirectiveLine
	// OpenLine opens a block.
	OpenLine
	// CloseLine closes one.
	CloseLine
	// OpaqueLine is what was not read, up to the end of the file, because
	// the input was no text or beyond a limit. It may hold line ends.
	OpaqueLine
)

// Line is one line of a file.
type Line struct {
	// Number counts from 1.
	Number int
	Kind   LineKind
	// Text is the line without its end.
	Text string
	// End is "\n", "\r\n", "\r", or "" on a last line without one.
	End string
	// Tokens are the words of a directive, opening or closing line, at most
	// [MaxTokens].
	Tokens []Token
	// Comment is the column of the # of a comment behind the words, 0 if
	// there is none; only the default dialect has such comments.
	Comment int

	// faulty tells that Parse reported an error on the line.
	faulty bool
}

// Token is one word of a line.
type Token struct {
	// Text is the word without its quotes. In the default dialect a name of a
	// directive or block in upper case is given in lower case.
	Text string
	// Column is where the word, or its opening quote, starts: in bytes from 1.
	Column int
	// Quote is the quote character around the word, 0 if there is none.
	Quote byte
}

// End returns the column just past the word and its closing quote.
func (t Token) End() int {
	if t.Quote != 0 {
		return t.Column + len(t.Text) + 2
	}
	return t.Column + len(t.Text)
}

// is reports whether the token is the bare word s.
func (t Token) is(s string) bool { return t.Quote == 0 && t.Text == s }

// endColumn returns the column just past the last token of the line.
func (l *Line) endColumn() int {
	if len(l.Tokens) == 0 {
		return len(l.Text) + 1
	}
	return min(l.Tokens[len(l.Tokens)-1].End(), len(l.Text)+1)
}

func (l *Line) lines(yield func(*Line) bool) bool { return yield(l) }

func (b *Block) lines(yield func(*Line) bool) bool {
	if b.Open != nil && !yield(b.Open) {
		return false
	}
	for _, n := range b.Body {
		if !n.lines(yield) {
			return false
		}
	}
	return b.Close == nil || yield(b.Close)
}

// Lines passes all lines of the file in order.
func (f *File) Lines() iter.Seq[*Line] {
	return func(yield func(*Line) bool) {
		for _, n := range f.Body {
			if !n.lines(yield) {
				return
			}
		}
	}
}

// Bytes returns the file as text. For a file just parsed these are the bytes
// that were read, whatever faults they have.
func (f *File) Bytes() []byte {
	size := 0
	for l := range f.Lines() {
		size += len(l.Text) + len(l.End)
	}
	out := make([]byte, 0, size)
	for l := range f.Lines() {
		out = append(out, l.Text...)
		out = append(out, l.End...)
	}
	return out
}
