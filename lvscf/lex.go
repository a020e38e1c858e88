package lvscf

import (
	"slices"
	"strings"
)

// MaxTokens is the number of words of a line that are looked at, as in
// Piranha; the rest is kept and not read.
const MaxTokens = 99

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// indexBlank returns the index of the first blank or tab at or after i, or
// the length of s.
func indexBlank(s string, i int) int {
	if n := strings.IndexAny(s[i:], " \t"); n >= 0 {
		return i + n
	}
	return len(s)
}

// cutLine splits the first line off: its text, its end, and what follows.
func cutLine(s string) (text, end, rest string) {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
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
	buf []Token
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
// what is accepted.
func (x *lexer) split(l *Line) (badQuote int) {
	s := l.Text
	i := 0
	for i < len(s) && isBlank(s[i]) {
		i++
	}
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
		start, end := i, indexBlank(s, i)
		t := Token{Text: s[start:end], Column: start + 1}
		if q := s[start]; q == '"' || q == '\'' {
			t.Quote = q
			closed := end-start > 1 && s[end-1] == q
			if end < len(s) {
				n := strings.IndexByte(s[end:], q)
				if closed = n >= 0; closed {
					end += n + 1
				}
			}
			if closed {
				t.Text = s[start+1 : end-1]
			} else {
				badQuote = t.Column
				t.Text, end = s[start+1:], len(s)
			}
		}
		x.buf = append(x.buf, t)
		for i = end; i < len(s) && isBlank(s[i]); {
			i++
		}
	}
	l.Tokens = slices.Clone(x.buf)
	return badQuote
}

// isComment reports whether the word looks like the start of a comment.
func (t Token) isComment() bool { return t.Quote == 0 && strings.HasPrefix(t.Text, "#") }
