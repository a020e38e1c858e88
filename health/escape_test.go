package health

import (
	"errors"
	"regexp/syntax"
	"strings"
	"testing"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		``:                       ``,
		`a`:                      `a`,
		`\`:                      `\`,
		`\n`:                     "\n",
		`\r\n\t`:                 "\r\n\t",
		`\\`:                     `\`,
		`\\n`:                    `\n`,
		`\'\"`:                   `'"`,
		`\x41`:                   `\x41`,
		`\.`:                     `\.`,
		`end\`:                   `end\`,
		`GET / HTTP/1.0\r\n\r\n`: "GET / HTTP/1.0\r\n\r\n",
		"\x00\xff\\n":            "\x00\xff\n",
	} {
		if got := Unescape(in); got != want {
			t.Errorf("Unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{``, `\`, `\n`, `\\\`, `a\qb`, "\x00\\\xff"} {
		f.Add(s)
	}
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `"`, `\"`, `'`, `\'`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := Unescape(s); len(got) > len(s) || len(s) > 0 && got == "" {
			t.Errorf("Unescape(%q) = %q", s, got)
		}
		if got := Unescape(escape.Replace(s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}

// FuzzCompilePOSIX looks for expressions that are refused only after they
// were understood, which would mean that their printed form is another one.
func FuzzCompilePOSIX(f *testing.F) {
	f.Add(`^a.[^b]*$|(c|d){2,3}[[:alpha:]]\.`, "a\nb")
	f.Fuzz(func(t *testing.T, expr, text string) {
		re, err := compilePOSIX(expr)
		if err == nil {
			re.MatchString(text)
			return
		}
		var e *syntax.Error
		tooMuch := errors.As(err, &e) && (e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth)
		if _, understood := syntax.Parse(expr, syntax.MatchNL|syntax.OneLine); understood == nil && !tooMuch {
			t.Errorf("expression %q was understood, and then: %v", expr, err)
		}
	})
}

func TestCompilePOSIX(t *testing.T) {
	for _, tt := range []struct {
		expr, text string
		want       bool
	}{
		{`a.b`, "a\nb", true},
		{`a[^x]b`, "a\nb", true},
		{`^b`, "a\nb", false},
		{`a$`, "a\nb", false},
		{`b$`, "a\nb", true},
		{`b$`, "a\nb\n", false},
		{`[[:digit:]]+`, "a1", true},
		{`a{2}`, "aba", false},
		{`a|b`, "b", true},
	} {
		re, err := compilePOSIX(tt.expr)
		if err != nil {
			t.Errorf("%q: %v", tt.expr, err)
		} else if got := re.MatchString(tt.text); got != tt.want {
			t.Errorf("%q on %q: %t", tt.expr, tt.text, got)
		}
	}
}
