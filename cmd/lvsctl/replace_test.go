package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lvs.cf")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	through := path
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o664); err != nil { // whatever the umask
			t.Fatal(err)
		}
		through = filepath.Join(dir, "link.cf")
		if err := os.Symlink("lvs.cf", through); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(through, []byte("new")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "new" {
		t.Errorf("content %q, error %v", got, err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Mode() != before.Mode() {
		t.Errorf("mode %v, was %v", after.Mode(), before.Mode())
	}
	if info, err := os.Lstat(through); err != nil || through != path && info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, error %v", info.Mode(), err)
	}
	if err := replaceFile(filepath.Join(dir, "none.cf"), nil); err == nil {
		t.Error("a file that is not there was replaced")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 2 {
		t.Errorf("files left over: %v, error %v", left, err)
	}
}
