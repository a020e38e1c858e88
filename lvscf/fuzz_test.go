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

// FuzzParse checks what holds for any input: it is printed as it was read,
// diagnostics point into it and are one printable line each, and an accepted
// configuration survives JSON.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.cf")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures, error %v", err)
	}
	more, err := filepath.Glob("testdata/extensions/*.cf")
	if err != nil || len(more) == 0 {
		f.Fatalf("no fixtures of extensions, error %v", err)
	}
	for _, path := range append(files, more...) {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		tree := checkIdentity(t, src)
		checkDiagnostics(t, src)
		lenient, first := Parse("lvs.cf", src)
		again, second := Parse("lvs.cf", tree.Bytes())
		if diff := cmp.Diff(first, second); diff != "" || again == nil {
			t.Errorf("second reading (-first +second):\n%s", diff)
		}
		cfg, _ := Load("lvs.cf", src)
		if cfg != nil && lenient.faulty {
			t.Error("accepted although the parser had to guess")
		}
		if cfg == nil {
			return
		}
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
	})
}

// checkDiagnostics checks the promises about diagnostics for one input.
func checkDiagnostics(t *testing.T, src []byte) {
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
	cfg, ds := Load("lvs.cf", src)
	if (cfg == nil) != ds.HasErrors() {
		t.Errorf("configuration %v with errors %v", cfg != nil, ds.HasErrors())
	}
	if len(ds) > 2*MaxDiagnostics+1 {
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
