package ipvsadm

import (
	"strconv"
	"strings"
)

// word is one word of a command, with the place where it begins. Line 0
// marks a word of an argument list, whose column is its number there.
type word struct {
	text         string
	line, column int
	// dollar tells of a variable that a shell would have put a value for.
	dollar bool
}

// from returns the part of w that begins at byte i.
func (w word) from(i int) word {
	if w.line > 0 {
		w.column += i
	}
	w.text = w.text[i:]
	return w
}

// lexer cuts rule text into commands of words.
type lexer struct {
	text         string
	at           int
	line, column int
}

// next returns the words of the next command, in words' memory; ok is false
// at the end of the text. Where the text is not words, bad is the place and
// msg the reason, and the rest of the line is passed over.
func (l *lexer) next(words []word) (_ []word, bad word, msg string, ok bool) {
	for l.at < len(l.text) {
		c := l.text[l.at]
		switch {
		case c == '\n':
			l.newline()
			if len(words) > 0 {
				return words, bad, "", true
			}
		case c == ' ' || c == '\t' || c == '\r':
			l.step()
		case c == '\\' && l.continues():
			for l.text[l.at] != '\n' {
				l.step()
			}
			l.newline()
		case c == '#':
			l.skipLine()
		default:
			w, msg := l.word()
			if msg != "" {
				l.skipLine()
				return words[:0], w, msg, true
			}
			words = append(words, w)
		}
	}
	return words, bad, "", len(words) > 0
}

// step goes one byte on; a column is a character.
func (l *lexer) step() {
	l.at++
	if l.at == len(l.text) || l.text[l.at]&0xc0 != 0x80 {
		l.column++
	}
}

func (l *lexer) newline() {
	l.at++
	l.line++
	l.column = 1
}

func (l *lexer) skipLine() {
	if n := strings.IndexByte(l.text[l.at:], '\n'); n >= 0 {
		l.at += n
	} else {
		l.at = len(l.text)
	}
}

// continues reports whether the backslash here joins the next line.
func (l *lexer) continues() bool {
	rest := l.text[l.at+1:]
	return strings.HasPrefix(rest, "\n") || strings.HasPrefix(rest, "\r\n")
}

// word reads one word, which begins here. With a reason why it is none, the
// word is the place.
func (l *lexer) word() (word, string) {
	w := word{line: l.line, column: l.column}
	start := l.at
	// Nearly all words are plain, and a part of the text.
	for l.at < len(l.text) && plain(l.text[l.at]) {
		l.step()
	}
	w.text = l.text[start:l.at]
	if l.at == len(l.text) || isSpace(l.text[l.at]) {
		return w, ""
	}
	return l.quotedWord(w)
}

// quotedWord goes on with a word that is more than plain characters, as a
// shell would read it.
func (l *lexer) quotedWord(w word) (word, string) {
	var b strings.Builder
	b.WriteString(w.text)
	var quote byte // the open one, or 0
	open := w
	for l.at < len(l.text) {
		c := l.text[l.at]
		here := word{line: l.line, column: l.column}
		switch {
		case c == '\n' && quote != 0:
			return open, "the quote is not closed on its line"
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && isSpace(c):
			w.text = b.String()
			return w, ""
		case quote == 0 && (c == '\'' || c == '"'):
			quote, open = c, here
		case c == '\\' && quote != '\'':
			if quote == 0 && l.continues() {
				w.text = b.String()
				return w, ""
			}
			l.step()
			if l.at == len(l.text) || l.text[l.at] == '\n' {
				return here, "nothing follows the backslash"
			}
			if e := l.text[l.at]; quote == '"' && e != '"' && e != '\\' && e != '$' && e != '`' {
				b.WriteByte('\\')
			}
			b.WriteByte(l.text[l.at])
		case c == 0:
			return here, "a NUL character is no text"
		case c == '$' && quote != '\'':
			w.dollar = true
			b.WriteByte(c)
		case quote == 0 && strings.IndexByte(shellOnly, c) >= 0 || quote == '"' && c == '`':
			here.text = string(c)
			return here, quoted(here.text) + " is for a shell: rule text has one command a line, of words and quotes"
		default:
			b.WriteByte(c)
		}
		l.step()
	}
	if quote != 0 {
		return open, "the quote is not closed on its line"
	}
	w.text = b.String()
	return w, ""
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// shellOnly are the characters that make a shell do something else than read
// a word.
const shellOnly = ";&|<>()`"

// plain tells the characters that stand for themselves.
func plain(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', '\'', '"', '\\', '$', 0, ';', '&', '|', '<', '>', '(', ')', '`':
		return false
	}
	return true
}

// quoted returns s in quotes, cut if it is long: it may be anything.
func quoted(s string) string {
	const longest = 60
	if r := []rune(s[:min(len(s), 4*longest)]); len(r) > longest {
		s = string(r[:longest]) + "..."
	}
	return strconv.Quote(s)
}
