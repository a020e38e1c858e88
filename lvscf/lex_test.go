package lvscf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesAreSplitIntoWords(t *testing.T) {
	word := func(text string, column int) Token { return Token{Text: text, Column: column} }
	quoted := func(q byte, text string, column int) Token { return Token{Text: text, Column: column, Quote: q} }
	for _, tt := range []struct {
		name     string
		line     string
		kind     LineKind
		tokens   []Token
		badQuote int
	}{
		{"nothing", "", BlankLine, nil, 0},
		{"blanks and tabs", " \t ", BlankLine, nil, 0},
		{"comment", "  # port = 80", CommentLine, nil, 0},
		{"plain words", "\tport =\t 80 ", DirectiveLine, []Token{word("port", 2), word("=", 7), word("80", 10)}, 0},
		{"no other white space", "a\vb\u00a0c", DirectiveLine, []Token{word("a\vb\u00a0c", 1)}, 0},
		{"hash within a line is a word", "a # b", DirectiveLine, []Token{word("a", 1), word("#", 3), word("b", 5)}, 0},
		{"quoted without blanks", `e = "OK"`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "OK", 5)}, 0},
		{"quoted with blanks", `e = 'a b  c'`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('\'', "a b  c", 5)}, 0},
		{"empty quotes", `e = ""`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "", 5)}, 0},
		{"quoted blank", `e = " "`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', " ", 5)}, 0},
		{"quote before the first blank belongs to the word", `e = "a"b c"`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', `a"b c`, 5)}, 0},
		{"quote after the first blank ends the word", `e = "a b"c d`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "a b", 5), word("c", 10), word("d", 12)}, 0},
		{"the other quote is text", `e = "it's a"`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "it's a", 5)}, 0},
		{"no escapes", `e = "a \" b"`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', `a \`, 5), word(`b"`, 11)}, 0},
		{"quote within a bare word", `e = a"b`, DirectiveLine, []Token{word("e", 1), word("=", 3), word(`a"b`, 5)}, 0},
		{"no partner", `e = "OK`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "OK", 5)}, 5},
		{"a quote alone", `e = "`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', "", 5)}, 5},
		{"blank after a quoted word without blanks", `e = "OK" `, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', `OK" `, 5)}, 5},
		{"comment after a quoted word without blanks", `e = "OK" # x`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', `OK" # x`, 5)}, 5},
		{"text right after a quoted word without blanks", `e = "OK"x`, DirectiveLine, []Token{word("e", 1), word("=", 3), quoted('"', `OK"x`, 5)}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &Line{Number: 1, Text: tt.line}
			x := lexer{dialect: Strict}
			badQuote := x.split(l)
			if l.Kind != tt.kind || badQuote != tt.badQuote {
				t.Errorf("kind %v, bad quote at %d; want %v, %d", l.Kind, badQuote, tt.kind, tt.badQuote)
			}
			if diff := cmp.Diff(tt.tokens, l.Tokens); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyTheFirstWordsOfALineAreRead(t *testing.T) {
	l := &Line{}
	for range 300 {
		l.Text += "w "
	}
	x := lexer{dialect: Strict}
	if x.split(l); len(l.Tokens) != MaxTokens {
		t.Errorf("%d tokens, want %d", len(l.Tokens), MaxTokens)
	}
}

func TestLineEndsOfAllKinds(t *testing.T) {
	f := checkIdentity(t, []byte("a\nb\r\nc\rd\n\re"))
	var got []string
	for l := range f.Lines() {
		got = append(got, l.Text+"|"+l.End)
	}
	want := []string{"a|\n", "b|\r\n", "c|\r", "d|\n", "|\r", "e|"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestUnescape(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing to do", "HTTP", "HTTP"},
		{"all escapes", `a\r\n\t\\\'\"z`, "a\r\n\t\\'\"z"},
		{"others stay", `\x\0\%`, `\x\0\%`},
		{"a backslash at the end stays", `ab\`, `ab\`},
		{"one character", `\`, `\`},
		{"an escaped backslash starts no escape", `\\n`, `\n`},
		{"empty", "", ""},
		{"bytes beyond ASCII", `é\n`, "é\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Unescape(tt.in); got != tt.want {
				t.Errorf("Unescape(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
