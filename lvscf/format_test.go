package lvscf

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestFormatGolden formats the file of each archive, and compares with the one
// in its second part.
func TestFormatGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/format/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives, error %v", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src, o := editFixture(t, ar)
			got := checkFormat(t, o, src)
			if *update {
				ar.Files = append(ar.Files[:1], txtar.File{Name: "formatted.cf", Data: got})
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if len(ar.Files) != 2 {
				t.Fatal("no result to compare with; run go test -update and read what it writes")
			}
			if diff := cmp.Diff(string(ar.Files[1].Data), string(got)); diff != "" {
				t.Errorf("formatted (-want +got):\n%s", diff)
			}
		})
	}
}

// checkFormat formats a file, nil if it has errors, and checks what holds for
// any: the configuration and the words and comments are the same, and so is
// the result when it is formatted again.
func checkFormat(t *testing.T, o Options, src []byte) []byte {
	t.Helper()
	f, _ := o.Parse("lvs.cf", src)
	before, ds := f.Config()
	g, err := f.Format()
	if err != nil {
		if !f.faulty && !ds.HasErrors() {
			t.Fatalf("a good file is refused: %v in\n%s", err, src)
		}
		return nil
	}
	if f.faulty || ds.HasErrors() {
		t.Fatalf("a file with errors is formatted: %v", ds)
	}
	if !bytes.Equal(f.Bytes(), src) {
		t.Fatal("formatting changed the file itself")
	}
	after, _ := g.Config()
	if !bytes.Equal(mustJSON(t, before), mustJSON(t, after)) || before.Digest() != after.Digest() {
		t.Fatalf("another configuration comes of\n%s\nthan of\n%s", g.Bytes(), src)
	}
	if diff := cmp.Diff(contents(f), contents(g)); diff != "" {
		t.Fatalf("words and comments (-before +after):\n%s", diff)
	}
	again, err := g.Format()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(g.Bytes()), string(again.Bytes())); diff != "" {
		t.Fatalf("formatted again (-once +twice):\n%s", diff)
	}
	text := string(g.Bytes())
	if !strings.HasSuffix(text, "\n") || strings.Contains(text, "\r") || strings.Contains(text, "\n\n\n") ||
		strings.HasPrefix(text, "\n") || strings.HasPrefix(text, byteOrderMark) || strings.HasSuffix(text, "\n\n") {
		t.Fatalf("not in canonical form:\n%q", text)
	}
	for line := range strings.Lines(text) {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " ") {
			t.Fatalf("blanks at the end of %q", line)
		}
	}
	return g.Bytes()
}

// contents returns the words and comments of a file in their order.
func contents(f *File) []string {
	var all []string
	for l := range f.Lines() {
		for _, w := range l.Tokens {
			all = append(all, string([]byte{w.Quote})+w.Text)
		}
		switch {
		case l.Kind == CommentLine:
			all = append(all, strings.Trim(strings.TrimPrefix(l.Text, byteOrderMark), " \t"))
		case l.Comment > 0:
			all = append(all, strings.TrimRight(l.Text[l.Comment-1:], " \t"))
		}
	}
	// A comment between a name and its brace on the next line goes behind the
	// brace.
	slices.Sort(all)
	return all
}

func TestFormatAny(t *testing.T) {
	n := uint64(150)
	if testing.Short() {
		n = 50
	}
	formatted := 0
	editSamples(t, n, func(_ string, src []byte) {
		for _, o := range []Options{{}, {Dialect: Strict}} {
			if checkFormat(t, o, src) != nil {
				formatted++
			}
		}
	})
	if formatted < int(n)/2 {
		t.Errorf("only %d files were formatted", formatted)
	}
}

func FuzzFormat(f *testing.F) {
	editSamples(f, 5, func(_ string, src []byte) { f.Add(src, false); f.Add(src, true) })
	f.Fuzz(func(t *testing.T, src []byte, strict bool) {
		o := Options{}
		if strict {
			o.Dialect = Strict
		}
		checkFormat(t, o, src)
	})
}
