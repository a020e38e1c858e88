package lvscf

import "strings"

// MaxTokens is the number of words of a line that are looked at, as in
// Piranha; the rest is kept and not read.
const MaxTokens = 99

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\ufeff"

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// skipBlanks returns the index of the first byte at or after i that is no
// blank or tab.
func skipBlanks(s string, i int) int {
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	return i
}

// indexBlank returns the index of the first blank or tab at or after i, or
// the length of s.
func indexBlank(s string, i int) int {
	for i < len(s) && !isBlank(s[i]) {
		i++
	}
	return i
}

// cutLine splits the first line off: its text, its end, and what follows.
func cutLine(s string) (text, end, rest string) {
	i := 0
	for i < len(s) && s[i] != '\n' && s[i] != '\r' {
		i++
	}
	if i == len(s) {
		return s, "", ""
	}
	n := i + 1
	if s[i] == '\r' && n < len(s) && s[n] == '\n' {
		n++
	}
	return s[:i], s[i:n], s[n:]
}

// lexer splits lines into words; it keeps its buffer from line to line.
type lexer struct {
	dialect Dialect
	buf     []Token
	// slab is where the words of many lines are kept together.
	slab []Token
	// notes are what the last line has that Piranha refuses.
	notes []note
}

// note is a liberty of the default dialect that a line takes.
type note struct {
	code          Code
	column        int
	message, cure string
}

func (x *lexer) note(code Code, i int, message, cure string) {
	x.notes = append(x.notes, note{code, i + 1, message, cure})
}

func (x *lexer) push(s string, start, end int) {
	x.buf = append(x.buf, Token{Text: s[start:end], Column: start + 1})
}

// split fills in the kind and the words of a line from its text. It returns
// the column of an opening quote without a partner, or 0; the word is then
// the last one and runs to the end of the line.
//
// A quoted word has no escapes. Its closing quote is the first one after the
// word's first blank; without such a quote the word must reach to the very
// end of the line, with the quote as the last byte. So a quote before the
// first blank belongs to the word, and nothing may follow a quoted word
// without blanks, not even a blank: Piranha's rule, kept because it decides
// what is accepted. The default dialect reads some more lines, but none of
// those in another way.
func (x *lexer) split(l *Line) (badQuote int) {
	s := l.Text
	lenient := x.dialect != Strict
	x.notes = x.notes[:0]
	i := 0
	if lenient && l.Number == 1 && strings.HasPrefix(s, byteOrderMark) {
		i = len(byteOrderMark)
		x.note(codeBOM, 0, "the file starts with a byte order mark, which Piranha refuses", "save it as UTF-8 without one")
	}
	i = skipBlanks(s, i)
	switch {
	case i == len(s):
		l.Kind = BlankLine
		return 0
	case s[i] == '#':
		l.Kind = CommentLine
		return 0
	}
	l.Kind = DirectiveLine
	x.buf = x.buf[:0]
	for i < len(s) && len(x.buf) < MaxTokens && badQuote == 0 {
		end := 0
		switch c := s[i]; {
		case c == '"' || c == '\'':
			if end = x.quoted(s, i); end < 0 {
				badQuote = i + 1
				end = len(s)
				x.buf = append(x.buf, Token{Text: s[i+1:], Column: i + 1, Quote: c})
			} else {
				x.buf = append(x.buf, Token{Text: s[i+1 : end-1], Column: i + 1, Quote: c})
			}
		case lenient && c == '#' && x.isTrailing(s, i):
			l.Comment = i + 1
			x.note(codeTrailing, i, "a comment follows on the line, which Piranha refuses", "move the comment to a line of its own, above this one")
			end = len(s)
		default:
			end = indexBlank(s, i)
			if lenient {
				end = x.bare(s, i, end)
			} else {
				x.push(s, i, end)
			}
		}
		i = skipBlanks(s, end)
	}
	l.Tokens = x.keep()
	return badQuote
}

// keep moves the words of the line to where they stay.
func (x *lexer) keep() []Token {
	n := len(x.buf)
	if cap(x.slab)-len(x.slab) < n {
		x.slab = make([]Token, 0, max(n, min(max(2*cap(x.slab), 8), 4096)))
	}
	x.slab = append(x.slab, x.buf...)
	end := len(x.slab)
	return x.slab[end-n : end : end]
}

// quoted returns the end of the quoted word that starts at i, past its closing
// quote, or -1 if it has none.
func (x *lexer) quoted(s string, i int) int {
	q := s[i]
	end := indexBlank(s, i)
	closed := end-i > 1 && s[end-1] == q
	if end < len(s) {
		n := strings.IndexByte(s[end:], q)
		if closed = n >= 0; closed {
			end += n + 1
		}
	}
	if !closed {
		end = -1
	}
	if x.dialect == Strict || closed && end == len(s) && strings.IndexByte(s[i:end], '#') < 0 {
		return end
	}
	// Where Piranha's rule finds no end, or one behind a comment, the end is
	// the first quote that a blank follows.
	first := i + 1
	for {
		n := strings.IndexByte(s[first:], q)
		if n < 0 {
			return end
		}
		first += n + 1
		if first == len(s) || isBlank(s[first]) {
			break
		}
	}
	after := skipBlanks(s, first)
	switch {
	case first == end:
	case after < len(s) && s[after] == '#':
		if closed && skipBlanks(s, end) == len(s) {
			x.note(codeTrailing, after, "what looks like a comment is a part of the text, which ends at the last quote", "move the comment to a line of its own, above this one")
			return end
		}
		return first
	case after == len(s) && !closed:
		x.note(codeQuoteAfter, first, "blanks follow the closing quote, which Piranha refuses", "remove the blanks at the end of the line")
		return first
	}
	return end
}

// isTrailing reports whether the # at i starts a comment behind a directive.
// A # that stands alone as the value is one.
func (x *lexer) isTrailing(s string, i int) bool {
	switch n := len(x.buf); {
	case n == 1:
		return blockKind(x.buf[0].Text) == UnknownBlock
	case n == 2 && x.buf[1].is("="):
		return skipBlanks(s, indexBlank(s, i)) < len(s)
	case n > 2 && x.buf[2].is("["):
		for _, t := range x.buf[3:] {
			if t.is("]") {
				return true
			}
		}
		return false
	}
	return true
}

// bare adds the word of s[start:end], or the first part of it where people
// leave blanks out, and returns the end of what it added.
func (x *lexer) bare(s string, start, end int) int {
	word := s[start:end]
	switch len(x.buf) {
	case 0:
		if len(word) > 1 && word[0] == '}' && word[1] == '#' {
			end = start + 1
			x.push(s, start, end)
			return end
		}
		if n := strings.IndexByte(word, '='); n > 0 && isWord(word[:n]) {
			x.note(codeGluedSign, start+n, "there is no blank before =, which Piranha needs", "put a blank on both sides of the sign")
			x.push(s, start, start+n)
			x.lower(0)
			x.push(s, start+n, start+n+1)
			return start + n + 1
		}
		x.push(s, start, end)
		x.lower(0)
		return end
	case 1:
		if word == "=" {
			break
		}
		isBlock := blockKind(x.buf[0].Text) != UnknownBlock
		if word[0] == '=' && !isBlock && word[1] != '=' && isWord(x.buf[0].Text) {
			x.note(codeGluedSign, start, "there is no blank after =, which Piranha needs", "put a blank on both sides of the sign")
			x.push(s, start, start+1)
			return start + 1
		}
		if isBlock && len(word) > 1 && word[len(word)-1] == '{' && word[len(word)-2] != '{' && !strings.HasPrefix(s[skipBlanks(s, end):], "{") {
			x.note(codeGluedBrace, end-1, "there is no blank before {, which Piranha needs", "write a blank before {")
			x.push(s, start, end-1)
			x.push(s, end-1, end)
			return end
		}
	}
	x.push(s, start, end)
	return end
}

// lower turns a word of the language in upper case into the word.
func (x *lexer) lower(i int) {
	t := &x.buf[i]
	upper := false
	for _, c := range []byte(t.Text) {
		upper = upper || c >= 'A' && c <= 'Z'
	}
	if !upper || len(t.Text) > longestWord {
		return
	}
	word := strings.ToLower(t.Text)
	if blockKind(word) != UnknownBlock || blocksOf(word) != 0 {
		x.note(codeCase, t.Column-1, quote(t.Text)+" is in upper case, which Piranha does not know", "write "+word)
		t.Text = word
	}
}

// isWord reports whether s may be the name of a directive.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// isComment reports whether the word looks like the start of a comment.
func (t Token) isComment() bool { return t.Quote == 0 && strings.HasPrefix(t.Text, "#") }

// wordEnd returns the column just past the word that stands at a column, or
// the column itself if none does.
func (l *Line) wordEnd(column int) int {
	for _, t := range l.Tokens {
		if t.Column <= column && column < t.End() {
			return min(t.End(), len(l.Text)+1)
		}
	}
	if column == l.Comment && column > 0 {
		return len(l.Text) + 1
	}
	return column
}
