package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// statement is a keyword with its words, and the block behind it if any.
type statement struct {
	where Where
	name  string
	// raw is the text behind the keyword, words its parts as most keywords
	// read them: double quotes hold one together, nothing is escaped.
	raw   string
	words []string
	// block tells that there is one; body is what is in it.
	block bool
	body  []*statement
}

// word returns the word with the index, "" if there is none.
func (s *statement) word(i int) string {
	if i < len(s.words) {
		return s.words[i]
	}
	return ""
}

// text returns the whole statement without its block, for messages: secrets
// are not in it.
func (s *statement) text() string {
	if s.name == "auth_pass" || s.name == "password" {
		return s.name + " ..."
	}
	return cmp.Or(clip(strings.TrimRight(s.name+" "+s.raw, blanks)), `""`) // a quote without a text
}

// treeBuilder makes a tree of lines. Braces may stand anywhere on a line.
type treeBuilder struct {
	faults *faults
	root   statement
	open   []*statement // innermost last; the root is not in it
	last   *statement   // that a brace would belong to
}

func (t *treeBuilder) body() *[]*statement {
	if n := len(t.open); n > 0 {
		return &t.open[n-1].body
	}
	return &t.root.body
}

// line adds a line.
func (t *treeBuilder) line(l sourceLine) {
	start := 0
	for i := 0; i < len(l.text); i++ {
		switch l.text[i] {
		case '"', '\'':
			end := skipQuoted(l.text, i)
			if end == len(l.text) {
				t.faults.add(l.at(i), clip(l.text), "a quote without its end", `close the text with a second "`)
			}
			i = end
		case '$': // what is not defined stays, braces and all
			if _, end, name := reference(l.text, i); name != "" && strings.HasPrefix(l.text[i:], "${") {
				i = end - 1
			}
		case '{':
			t.statement(l, start, i)
			t.openBlock(l.at(i), l.text)
			start = i + 1
		case '}':
			t.statement(l, start, i)
			t.closeBlock(l.at(i), l.text)
			start = i + 1
		}
	}
	t.statement(l, start, len(l.text))
}

// statement adds what stands between two places of a line.
func (t *treeBuilder) statement(l sourceLine, from, to int) {
	from = min(from, len(l.text))
	part := sourceLine{l.text[from:max(from, min(to, len(l.text)))], l.at(from), l.exact}.trim()
	if part.text == "" {
		return
	}
	words := plainWords(part.text)
	end := strings.IndexAny(part.text, blanks+`"`)
	if end <= 0 {
		end = len(part.text)
	}
	if part.text[0] == '"' { // a quoted keyword: a line of data
		end = min(skipQuoted(part.text, 0)+1, len(part.text))
	}
	s := &statement{where: part.where, name: words[0], raw: strings.Trim(part.text[end:], blanks), words: words[1:]}
	body := t.body()
	*body = append(*body, s)
	t.last = s
}

// outermost are the blocks that stand in no other one, and real_server that
// does not stand in its like: where one opens, a brace is missing above.
var outermost = map[string]bool{
	"global_defs": true, "virtual_server": true, "virtual_server_group": true, "vrrp_instance": true,
	"vrrp_sync_group": true, "vrrp_script": true, "static_ipaddress": true, "static_routes": true, "static_rules": true,
}

// closeForgotten closes the blocks that s cannot stand in, so that a missing
// brace costs no more than its own block.
func (t *treeBuilder) closeForgotten(s *statement) {
	keep := len(t.open)
	if outermost[s.name] {
		keep = 0
	} else if s.name == "real_server" {
		if i := slices.IndexFunc(t.open, func(o *statement) bool { return o.name == s.name }); i >= 0 {
			keep = i
		}
	}
	if keep == len(t.open) {
		return
	}
	from := t.body()
	*from = (*from)[:len(*from)-1]
	for _, o := range t.open[keep:] {
		t.faults.add(o.where, o.text(), "the block "+o.text()+" is not closed before the next one", "add a } at its end; it was read as if it ended there")
	}
	t.open = t.open[:keep]
	to := t.body()
	*to = append(*to, s)
}

func (t *treeBuilder) openBlock(where Where, source string) {
	s := t.last
	if s != nil && !s.block {
		t.closeForgotten(s)
	}
	if s == nil || s.block {
		t.faults.add(where, clip(source), "a { without a word before it", "remove it, or write what the block is")
		s = &statement{where: where, name: "{"}
		body := t.body()
		*body = append(*body, s)
	}
	if len(t.open) >= MaxKeepalivedDepth {
		t.faults.add(where, clip(source), fmt.Sprintf("blocks nested more than %d deep", MaxKeepalivedDepth), "close the blocks above")
		return
	}
	s.block = true
	t.open = append(t.open, s)
	t.last = nil
}

func (t *treeBuilder) closeBlock(where Where, source string) {
	t.last = nil
	if len(t.open) == 0 {
		t.faults.add(where, clip(source), "a } without a { before it", "remove it, or look for a { that is missing above")
		return
	}
	t.open = t.open[:len(t.open)-1]
}

// finish returns the tree.
func (t *treeBuilder) finish() []*statement {
	for _, s := range t.open {
		t.faults.add(s.where, s.text(), "the block "+s.text()+" is not closed", "add a } at its end")
	}
	return t.root.body
}

// unbraced finds a name that keepalived does not take for one: it needs a
// blank behind it, or braces.
var unbraced = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)`)

// braced returns the cure for a word that should be an address: the one given,
// unless there is a name in it.
func braced(word, cure string) string {
	if !unbraced.MatchString(word) {
		return cure
	}
	return "write " + clip(unbraced.ReplaceAllString(word, "$${$1}")) + ", and define the name above: without braces a name ends at a blank"
}

// plainWords splits a text at blanks; double quotes hold a word together and
// end the one before.
func plainWords(s string) []string {
	var words []string
	for i := 0; i < len(s); {
		switch {
		case strings.IndexByte(blanks, s[i]) >= 0:
			i++
		case s[i] == '"':
			end := skipQuoted(s, i)
			words = append(words, s[i+1:min(end, len(s))])
			i = end + 1
		default:
			n := strings.IndexAny(s[i:], blanks+`"`)
			if n < 0 {
				n = len(s) - i
			}
			words = append(words, s[i:i+n])
			i += n
		}
	}
	if words == nil {
		return []string{""}
	}
	return words
}

// quotedWords splits a text as keywords with free text do: quotes of both
// kinds may stand anywhere in a word, and a backslash escapes what follows
// (keepalived.conf(5), quoted strings).
func quotedWords(s string) []string {
	var words []string
	var b strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			var n int
			c, n = escape(s[i+1:])
			b.WriteByte(c)
			i += n
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case strings.IndexByte(blanks, c) >= 0:
			if in {
				words = append(words, b.String())
				b.Reset()
			}
			in = false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words
}

// escape reads what follows a backslash, and returns how many bytes it took.
func escape(s string) (c byte, n int) {
	if i := strings.IndexByte("abEfnrtv", s[0]); i >= 0 {
		return "\a\b\x1b\f\n\r\t\v"[i], 1
	}
	digits := func(from, most, base int) (value, count int) {
		for count < most && from+count < len(s) {
			d := strings.IndexByte("0123456789abcdef", s[from+count]|0x20)
			if s[from+count] < '0' || d < 0 || d >= base {
				break
			}
			value, count = value*base+d, count+1
		}
		return value, count
	}
	switch {
	case s[0] == 'x':
		if v, count := digits(1, 2, 16); count > 0 {
			return byte(v), 1 + count
		}
	case s[0] == 'c' && len(s) > 1:
		return s[1] & 0x1f, 2
	case s[0] >= '0' && s[0] <= '7':
		v, count := digits(0, 3, 8)
		return byte(v), count
	}
	return s[0], 1
}
