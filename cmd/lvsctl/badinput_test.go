package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Large and hostile files are refused in a few lines, quickly and with the
// place.
func TestCheckHostileFiles(t *testing.T) {
	noise := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	for name, content := range map[string]string{
		"10 MB of braces":         strings.Repeat("{", 10<<20),
		"10 MB of opening lines":  strings.Repeat("virtual a {\n", 10<<20/12),
		"10 MB of closing braces": strings.Repeat("}\n", 5<<20),
		"binary noise":            string(noise),
		"one endless line":        "send = " + strings.Repeat("x", 10<<20),
		"a huge file":             strings.Repeat("# comment\n", 3<<20),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.cf")
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := run(t.Context(), []string{"lvsctl", "check", path}, &out, &errs); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			if out.Len() > 64<<10 || strings.Count(out.String(), "\n") > 250 {
				t.Errorf("%d bytes in %d lines of complaint", out.Len(), strings.Count(out.String(), "\n"))
			}
			first, _, _ := strings.Cut(out.String(), "\n")
			if !strings.HasPrefix(first, path+":") || len(first) > 500+len(path) {
				t.Errorf("first line %q", first)
			}
		})
	}
}
