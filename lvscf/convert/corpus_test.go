package convert

import (
	"os"
	"path/filepath"
	"testing"
)

// corpus reads the files of other people in the folder that an environment
// variable names, by their names; without one the test is left out.
func corpus(t *testing.T, variable string) map[string][]byte {
	t.Helper()
	folder := os.Getenv(variable)
	if folder == "" {
		t.Skip(variable, "names no folder of files to read")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file in %s, error %v", folder, err)
	}
	files := make(map[string][]byte, len(paths))
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = src
	}
	return files
}

// addFixtures gives a fuzz test our own files that match each pattern.
func addFixtures(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("no fixture matches %s, error %v", pattern, err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(src))
		}
	}
}
