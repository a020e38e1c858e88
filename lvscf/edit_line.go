package lvscf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// word is one word of a value, as it is to be read again.
type word struct {
	text string
	// bare words, the brackets of a list, must not be quoted.
	bare bool
}

// values returns the words of a directive line that are its value, without the
// brackets of a list.
func (l *Line) values() []Token {
	t := l.Tokens[min(2, len(l.Tokens)):]
	if len(t) > 1 && t[0].is("[") && t[len(t)-1].is("]") {
		t = t[1 : len(t)-1]
	}
	return t
}

// check turns values into the words of a line, judges whether the directive
// can have them, and sets the field of a scope that is made for that.
func (d *directive) check(texts []string, dialect Dialect, scratch *scope) ([]word, error) {
	words := make([]word, 0, len(texts)+2)
	for _, v := range texts {
		switch {
		case strings.ContainsAny(v, "\r\n"):
			return nil, fmt.Errorf("the value %s has a line end, and a value must be on one line", quote(v))
		case strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v):
			return nil, fmt.Errorf("the value %s is no UTF-8 text", quote(v))
		case len(wordForms(v, 0, false)) == 0:
			return nil, fmt.Errorf("the value %s has quotes of both kinds, which the language cannot write: it has no escapes", quote(v))
		}
		words = append(words, word{text: v})
	}
	if d.args == listArgs {
		words = slices.Insert(words, 0, word{"[", true})
		words = append(words, word{"]", true})
	}
	if d.args != listArgs && len(texts) != d.args {
		return nil, fmt.Errorf("%s needs %s, not %d: for example %s", d.name, plural(d.args, "value"), len(texts), d.example)
	}
	if len(words)+2 > MaxTokens {
		return nil, fmt.Errorf("a line has room for %d words, not for %d", MaxTokens, len(words)+2)
	}
	l := &Line{Number: 1, Kind: DirectiveLine, Text: d.name + " ="}
	l.Tokens = []Token{{Text: d.name, Column: 1}, {Text: "=", Column: len(d.name) + 2}}
	for _, w := range words {
		l.Tokens = append(l.Tokens, Token{Text: w.text, Column: len(l.Text) + 2})
		l.Text += " " + w.text
	}
	c := &collector{dialect: dialect}
	d.set.read(scratch, &values{c: c, line: l, dir: d, args: l.Tokens[2:]})
	for _, diag := range c.finish() {
		if diag.Severity == Error {
			return nil, errors.New(diag.Message + ": " + diag.Cure)
		}
	}
	return words, nil
}

// plainWord reports whether a word is written without quotes.
func plainWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c < 0x80 && strings.IndexByte("._-:/@%+,", c) < 0 {
			return false
		}
	}
	return s != ""
}

// wordForms returns the ways to write a word, the one to prefer first: with
// the given quotes if any, and else without quotes if that is beyond doubt and
// quotes are not wanted. None means that it cannot be written.
func wordForms(s string, q byte, wanted bool) []string {
	var forms []string
	add := func(form string) {
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	quoted := func(q byte) {
		if strings.IndexByte(s, q) < 0 {
			add(string(q) + s + string(q))
		}
	}
	if q != 0 {
		quoted(q)
	}
	if q == 0 && !wanted && plainWord(s) {
		add(s)
	}
	quoted('"')
	quoted('\'')
	if s != "" && !strings.ContainsAny(s, " \t") && s[0] != '"' && s[0] != '\'' {
		add(s)
	}
	return forms
}

// split reads a text as one line of a file, which is not the first.
func (d Dialect) split(text string) (*Line, bool) {
	l := &Line{Text: text}
	bad := (&lexer{dialect: d}).split(l)
	return l, bad == 0
}

// maxTries bounds the search for a way to write words side by side.
const maxTries = 1000

// writeWords calls build with ways to write the words, or the first of them,
// until it has a line that is read as those words; build returns its text. How
// a quoted word is read depends on what follows it, so that each word's way may
// rule out another's.
func (d Dialect) writeWords(name string, words []word, style func(i int) (q byte, wanted bool), build func([]string) string) (*Line, error) {
	tries := 0
	var found *Line
	var place func(forms []string) bool
	place = func(forms []string) bool {
		i := len(forms)
		if i > 0 {
			tries++
			l, ok := d.split(build(forms))
			if !ok || !l.says(name, words[:i]) {
				return false
			}
			found = l
		}
		if i == len(words) {
			return true
		}
		choice := []string{words[i].text}
		if !words[i].bare {
			q, wanted := style(i)
			choice = wordForms(words[i].text, q, wanted)
		}
		for _, form := range choice {
			if tries < maxTries && place(append(forms[:i:i], form)) {
				return true
			}
		}
		return false
	}
	if !place(nil) || found == nil {
		return nil, fmt.Errorf("the language has no way to write this value of %s", name)
	}
	return found, nil
}

// says reports whether a directive line has exactly this name and these words.
func (l *Line) says(name string, words []word) bool {
	return l.Kind == DirectiveLine && len(l.Tokens) == len(words)+2 && l.Tokens[0].is(name) && l.Tokens[1].is("=") &&
		slices.EqualFunc(l.Tokens[2:], words, func(t Token, w word) bool { return t.Text == w.text && (t.Quote == 0 || !w.bare) })
}

// withValues returns a line with another value in place of its own, and all
// else as it was.
func (e *editor) withValues(l *Line, words []word) (*Line, error) {
	old := l.Tokens[min(2, len(l.Tokens)):]
	if len(l.Tokens) < 2 || !l.Tokens[1].is("=") {
		return nil, fmt.Errorf("line %d has no sign after %s: mend or remove it first", l.Number, l.Tokens[0].Text)
	}
	style := func(i int) (byte, bool) {
		switch {
		case len(old) == len(words):
			return old[i].Quote, false
		case len(old) > 0:
			return old[0].Quote, false
		}
		return 0, false
	}
	build := func(forms []string) string {
		start := l.Tokens[1].Column // just past the sign
		text, end := l.Text[:start]+" ", start
		if len(old) > 0 {
			text, end = l.Text[:old[0].Column-1], old[len(old)-1].End()-1
		}
		if len(old) == len(words) {
			for i, form := range forms {
				if i > 0 {
					text += l.Text[old[i-1].End()-1 : old[i].Column-1]
				}
				text += form
			}
		} else {
			text += strings.Join(forms, " ")
		}
		return text + keepColumn(l.Text[end:], len(text)-end)
	}
	n, err := e.old.dialect.writeWords(l.Tokens[0].Text, words, style, build)
	if err != nil {
		return nil, err
	}
	n.End = l.End
	return n, nil
}

// keepColumn returns what follows a value that has grown by some bytes, so
// that a comment stays in its column if two blanks or more were before it.
func keepColumn(rest string, grown int) string {
	comment := strings.TrimLeft(rest, " ")
	gap := len(rest) - len(comment)
	if gap < 2 || comment == "" || comment[0] != '#' {
		return rest
	}
	return strings.Repeat(" ", max(gap-grown, 1)) + comment
}

// scratchScope returns a place for values that are only judged.
func scratchScope(where blockMask) *scope {
	s := &scope{where: where, c: NewConfig(), origins: &Origins{}}
	switch {
	case where&inGlobal != 0:
	case where&inVirtual != 0:
		v := NewVirtual("")
		s.v = &v
	case where&inServer != 0:
		srv := NewServer("", 80)
		s.s = &srv
	case where&inCheck != 0:
		k := NewCheck("")
		s.k = &k
	case where&inVRRP != 0:
		r := NewVRRP("")
		s.r = &r
	}
	return s
}
