package lvscf

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse checks what holds for any input in both dialects: it is printed as
// it was read, diagnostics point into it and are one printable line each, and
// an accepted configuration survives JSON. What the strict dialect accepts the
// default one accepts, with the same meaning.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"testdata/*.cf", "testdata/extensions/*.cf", "testdata/bad/*.cf"} {
		files, err := filepath.Glob(folder)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: no fixtures, error %v", folder, err)
		}
		for _, path := range files {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(checkAnyInput)
}

func checkAnyInput(t *testing.T, src []byte) {
	texts := map[Dialect]string{}
	octal := false
	for _, dialect := range []Dialect{Strict, Lenient} {
		o := Options{Dialect: dialect}
		tree, first := o.Parse("lvs.cf", src)
		if got := tree.Bytes(); !bytes.Equal(got, src) {
			t.Fatalf("%v: printing gives other bytes than were read:\nread    %.200q\nprinted %.200q", dialect, src, got)
		}
		checkTokens(t, tree)
		again, second := o.Parse("lvs.cf", tree.Bytes())
		if diff := cmp.Diff(first, second); diff != "" || again == nil {
			t.Errorf("%v: second reading (-first +second):\n%s", dialect, diff)
		}
		cfg, ds := o.Load("lvs.cf", src)
		checkDiagnostics(t, src, cfg, ds)
		if cfg == nil {
			continue
		}
		if tree.faulty {
			t.Errorf("%v: accepted although the parser had to guess", dialect)
		}
		for _, d := range ds {
			octal = octal || d.Code == codeLeadingZero || d.Code == codeOddAddress
		}
		texts[dialect] = roundTripJSON(t, cfg)
	}
	strict, accepted := texts[Strict]
	lenient, also := texts[Lenient]
	switch {
	case !accepted || octal:
	case !also:
		t.Error("the strict dialect accepts what the default one refuses")
	case strict != lenient:
		t.Errorf("the dialects differ:\n%s\n%s", strict, lenient)
	}
}

// checkTokens checks that words and comments stand where they say.
func checkTokens(t *testing.T, f *File) {
	t.Helper()
	for l := range f.Lines() {
		last := 0
		for _, k := range l.Tokens {
			start, end := k.Column-1, k.End()-1
			if k.Quote != 0 {
				start++
				end = min(end-1, len(l.Text)) // the closing quote may be missing
			}
			if start < last || end > len(l.Text) || end < start || !strings.EqualFold(l.Text[start:min(end, start+len(k.Text))], k.Text) {
				t.Fatalf("line %d %q: token %+v stands elsewhere", l.Number, l.Text, k)
			}
			last = end
		}
		if l.Comment != 0 && (l.Comment <= last || l.Text[l.Comment-1] != '#') {
			t.Fatalf("line %d %q: comment at %d", l.Number, l.Text, l.Comment)
		}
	}
}

// roundTripJSON checks that a configuration survives JSON, and returns it.
func roundTripJSON(t *testing.T, cfg *Config) string {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	back := NewConfig()
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if text2, err := json.Marshal(back); err != nil || !bytes.Equal(text, text2) {
		t.Errorf("JSON is read as another configuration, error %v:\n%s\n%s", err, text, text2)
	}
	return string(text)
}

// checkDiagnostics checks the promises about diagnostics for one input.
func checkDiagnostics(t *testing.T, src []byte, cfg *Config, ds Diagnostics) {
	t.Helper()
	var ends []int // length of each line
	for rest := string(src); rest != ""; {
		var line string
		line, _, rest = cutLine(rest)
		ends = append(ends, len(line))
	}
	if len(ends) == 0 {
		ends = []int{0}
	}
	if (cfg == nil) != ds.HasErrors() {
		t.Errorf("configuration %v with errors %v", cfg != nil, ds.HasErrors())
	}
	if len(ds) > 3*MaxDiagnostics+1 {
		t.Errorf("%d diagnostics, more than the bound", len(ds))
	}
	errorLines := map[int]int{}
	for i, d := range ds {
		more := strings.HasPrefix(d.Message, "and ")
		if d.Line < 1 || d.Line > len(ends) || d.Column < 1 || d.Column > ends[d.Line-1]+1 {
			t.Errorf("%v is out of the file", d)
		}
		if i > 0 && !more && (d.Line < ds[i-1].Line || d.Line == ds[i-1].Line && d.Column < ds[i-1].Column) {
			t.Errorf("%v stands after %v", d, ds[i-1])
		}
		if d.EndColumn < d.Column || d.EndColumn > ends[d.Line-1]+1 || d.Character > d.Column || d.EndCharacter < d.Character {
			t.Errorf("%v ends at column %d, in characters %d to %d", d, d.EndColumn, d.Character, d.EndCharacter)
		}
		if _, ok := Explain(string(d.Code)); !ok {
			t.Errorf("%v has no code", d)
		}
		text := d.String()
		if d.Message == "" || d.Cure == "" || len(text) > 2000 || strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) {
			t.Errorf("bad diagnostic %q", text)
		}
		if len(d.Source) > 700 || strings.ContainsAny(d.Source, "\r\n\x00\x1b") {
			t.Errorf("bad source %q", d.Source)
		}
		if d.Severity == Error && !more {
			errorLines[d.Line]++
		}
	}
	for line, n := range errorLines {
		// A line may be wrong by itself and also where the file ends.
		if n > 2 {
			t.Errorf("%d errors on line %d of %q: %v", n, line, src, ds)
		}
	}
}
