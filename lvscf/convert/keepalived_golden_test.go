package convert

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected results into testdata")

// golden compares a result with the file beside a fixture.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test -update and read what it writes", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// fixtures calls do for each file of a folder of testdata.
func fixtures(t *testing.T, pattern string, least int, do func(t *testing.T, path string, src []byte)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("found %d fixtures, error %v", len(files), err)
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) { do(t, path, src) })
	}
}

var testOptions = KeepalivedOptions{
	ConfigID: "main",
	Include: IncludeFrom(fstest.MapFS{
		"servers.d/more.conf": {Data: []byte("real_server 10.7.9.9 80 {\n    weight 3\n    TCP_CHECK {\n    }\n}\n")},
	}),
}

// TestImportKeepalivedGolden compares the losses and the configuration of each
// keepalived.conf of testdata with the file beside it.
func TestImportKeepalivedGolden(t *testing.T) {
	fixtures(t, "testdata/keepalived/*.conf", 6, func(t *testing.T, path string, src []byte) {
		cfg, losses, err := FromKeepalived(filepath.Base(path), src, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("the configuration has errors: %v", ds)
		}
		file, err := cfg.File()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		out.WriteString(losses.String())
		out.Write(file.Bytes())
		golden(t, strings.TrimSuffix(path, ".conf")+".want", out.Bytes())
		for _, secret := range []string{"topsecret", "hush-hush"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("the secret %s is shown", secret)
			}
		}
	})
}
