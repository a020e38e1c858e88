//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The web tool's group keeps its file, whoever formats it.
func TestReplaceFileKeepsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lvs.cf")
	if err := os.WriteFile(path, []byte("old"), 0o664); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 60001, 60002); err != nil {
		t.Skipf("only root gives files away: %v", err)
	}
	if err := replaceFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 60001 || s.Gid != 60002 {
		t.Errorf("owner %d and group %d", s.Uid, s.Gid)
	}
}
