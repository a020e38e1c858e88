package lvscf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestEditGolden makes the edits of each NAME.edit of an archive in its file,
// and compares the difference with NAME.diff, or the refusal. The text above
// the archive says what an archive cannot hold: the dialect, line ends, a byte
// order mark, that there is no last newline.
func TestEditGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/edits/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives, error %v", err)
	}
	cases := 0
	for _, path := range archives {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src, o := editFixture(t, ar)
		changed := false
		for i := 0; i < len(ar.Files); i++ {
			name, ok := strings.CutSuffix(ar.Files[i].Name, ".edit")
			if !ok {
				continue
			}
			cases++
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar")+"/"+name, func(t *testing.T) {
				got := editDiff(t, o, src, string(ar.Files[i].Data))
				if i+1 == len(ar.Files) || ar.Files[i+1].Name != name+".diff" {
					ar.Files = append(ar.Files[:i+1], append([]txtar.File{{Name: name + ".diff"}}, ar.Files[i+1:]...)...)
				}
				want := &ar.Files[i+1]
				if diff := cmp.Diff(string(want.Data), got); diff != "" {
					if *update {
						want.Data, changed = []byte(got), true
					} else {
						t.Errorf("difference (-want +got):\n%s", diff)
					}
				}
			})
		}
		if changed {
			if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cases < 60 {
		t.Errorf("only %d cases", cases)
	}
}

// editFixture returns the file of an archive as its comment has it.
func editFixture(t *testing.T, ar *txtar.Archive) ([]byte, Options) {
	t.Helper()
	src := ar.Files[0].Data
	var o Options
	for line := range strings.Lines(string(ar.Comment)) {
		switch strings.TrimSpace(line) {
		case "line ends: CRLF":
			src = bytes.ReplaceAll(src, []byte("\n"), []byte("\r\n"))
		case "line ends: CR":
			src = bytes.ReplaceAll(src, []byte("\n"), []byte("\r"))
		case "no last newline":
			src = bytes.TrimRight(src, "\r\n")
		case "byte order mark":
			src = append([]byte(byteOrderMark), src...)
		case "strict dialect":
			o.Dialect = Strict
		}
	}
	return src, o
}

// editDiff returns the difference that edits make, or why they are refused.
func editDiff(t *testing.T, o Options, src []byte, script string) string {
	t.Helper()
	f, ds := o.Parse("lvs.cf", src)
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	var edits []Edit
	for line := range strings.Lines(script) {
		e, err := ParseEdit(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		edits = append(edits, e)
	}
	g, err := f.Apply(edits...)
	if !bytes.Equal(f.Bytes(), src) {
		t.Fatal("the edits changed the file that they were made in")
	}
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	if g == f {
		return "unchanged\n"
	}
	if err := sameElsewhere(f, g, edits); err != nil {
		t.Error(err)
	}
	// Carriage returns can be seen, and do not end lines of the archive.
	show := strings.NewReplacer("\r\n", "<CR>\n", "\r", "<CR>\n", byteOrderMark, "<BOM>").Replace
	return string(diff.Diff("old", []byte(show(string(src))), "new", []byte(show(string(g.Bytes())))))
}
