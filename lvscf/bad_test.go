package lvscf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadInputs compares all that is said of each file of testdata/bad, in
// both dialects, with the text beside it. Names are looked up, and programs
// asked for, in a world of the test's own.
func TestBadInputs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.cf")
	if err != nil || len(files) < 120 {
		t.Fatalf("found %d fixtures, error %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".cf"), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lenient, accepted := verdict(name, src, Lenient)
			got := lenient
			if strict, also := verdict(name, src, Strict); strict != lenient {
				got += "-- strict --\n" + strict
				if also && !accepted {
					t.Error("the strict dialect accepts what the default one refuses")
				}
			}
			golden := strings.TrimSuffix(path, ".cf") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; run go test -update and read what it writes", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
			if !strings.Contains(got, "[LVS") {
				t.Error("no fault is found in the file")
			}
		})
	}
}

// verdict returns all diagnostics of a file in a dialect as text.
func verdict(name string, src []byte, dialect Dialect) (text string, accepted bool) {
	cfg, ds := allDiagnostics(name, src, dialect)
	var out bytes.Buffer
	for _, d := range ds {
		fmt.Fprintln(&out, d)
	}
	if cfg != nil {
		fmt.Fprintln(&out, "accepted")
	} else {
		fmt.Fprintln(&out, "refused")
	}
	return out.String(), cfg != nil
}

// allDiagnostics loads, resolves and probes.
func allDiagnostics(name string, src []byte, dialect Dialect) (*Config, Diagnostics) {
	cfg, ds := Options{Dialect: dialect}.Load(name, src)
	if cfg == nil {
		return nil, ds
	}
	ds = append(ds, cfg.Resolve(func(name string) (netip.Addr, error) {
		if strings.HasPrefix(name, "gone.") {
			return netip.Addr{}, errors.New("no such host")
		}
		return netip.MustParseAddr("198.51.100.7"), nil
	})...)
	ds = append(ds, cfg.CheckPrograms(func(path string) error {
		switch {
		case strings.Contains(path, "missing"):
			return fs.ErrNotExist
		case path == "/etc/hosts":
			return fs.ErrPermission
		}
		return nil
	})...)
	ds = append(ds, cfg.CheckKeys(func(r *VRRP) (string, error) {
		path := cfg.HeartbeatKeyFile
		if r != nil {
			path = r.KeyFile
		}
		switch {
		case path == "":
			return "make one", errors.New("no file of the key is named")
		case strings.Contains(path, "missing"):
			return "make one", fmt.Errorf("key %s: %w", path, fs.ErrNotExist)
		case strings.Contains(path, "unreadable"):
			return "let the user of the daemon read it", fmt.Errorf("key %s: %w", path, fs.ErrPermission)
		case strings.Contains(path, "short"):
			return "make a longer one", fmt.Errorf("key %s: 3 bytes are too few", path)
		}
		return "", nil
	})...)
	if ds.HasErrors() {
		return nil, ds
	}
	return cfg, ds
}

// builtCodes need inputs too large to keep; TestTheBoundsOfSizeHaveCodes
// builds them.
var builtCodes = []Code{codeTooLarge, codeTooManyLines}

func TestTheBoundsOfSizeHaveCodes(t *testing.T) {
	for code, src := range map[Code]string{
		codeTooLarge:     strings.Repeat("# comment\n", MaxSize/10+1),
		codeTooManyLines: strings.Repeat("\n", MaxLines+1),
	} {
		if _, ds := Load("big.cf", []byte(src)); len(ds) != 1 || ds[0].Code != code {
			t.Errorf("%s: %v", code, ds)
		}
	}
}
