package lvscf

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected results into testdata")

// strict reads Piranha's own grammar.
var strict = Options{Dialect: Strict}

// TestGolden compares what the strict dialect says of each file of testdata with the text
// beside it: the diagnostics, and the configuration of an accepted file.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.cf")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d fixtures, error %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".cf")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkIdentity(t, src)
			cfg, ds := strict.Load(name+".cf", src)
			var out bytes.Buffer
			for _, d := range ds {
				out.WriteString(d.String() + "\n")
			}
			if cfg == nil {
				out.WriteString("refused\n")
			} else {
				out.WriteString("accepted\n")
				text, err := json.MarshalIndent(cfg, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				out.Write(append(text, '\n'))
			}
			golden := strings.TrimSuffix(path, ".cf") + ".want"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; run go test -update and read what it writes", err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func checkIdentity(t *testing.T, src []byte) *File {
	t.Helper()
	f, _ := strict.Parse("lvs.cf", src)
	if got := f.Bytes(); !bytes.Equal(got, src) {
		t.Fatalf("printing gives other bytes than were read:\nread    %.200q\nprinted %.200q", src, got)
	}
	return f
}
