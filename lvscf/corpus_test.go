package lvscf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCorpus reads every file of the folder that LVSKIT_CORPUS names, and logs
// whether the strict grammar accepts it.
func TestCorpus(t *testing.T) {
	folder := os.Getenv("LVSKIT_CORPUS")
	if folder == "" {
		t.Skip("LVSKIT_CORPUS names no folder of lvs.cf files")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		files++
		src, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Error(err)
			continue
		}
		f, _ := Parse(e.Name(), src)
		if !bytes.Equal(f.Bytes(), src) {
			t.Errorf("%s: printing gives other bytes than were read", e.Name())
		}
		cfg, ds := Load(e.Name(), src)
		verdict := "accepted"
		if cfg == nil {
			verdict = "refused "
		}
		first := "no remark"
		if len(ds) > 0 {
			first = ds[0].String()
		}
		t.Logf("%-45s %s (%s) %s", e.Name(), verdict, plural(len(ds), "remark"), first)
		if testing.Verbose() {
			for _, d := range ds[min(1, len(ds)):] {
				t.Log("    " + d.String())
			}
		}
	}
	if files == 0 {
		t.Errorf("LVSKIT_CORPUS: no file in %s", folder)
	}
}
