//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// A pipe without a writer must not be waited for: neither by check, nor by a
// daemon's reload.
func TestCheckRefusesAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lvs.cf")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	for file, want := range map[string]string{
		path:            path + ": is no regular file: ",
		os.DevNull:      os.DevNull + ": is no regular file: ",
		path + ".other": path + ".other: no such file or directory: ",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"lvsctl", "check", file}, &out, &errs); code != exitFailed || !strings.HasPrefix(out.String(), want) {
			t.Errorf("check %s: exit code %d, %q; want 1 and %q", file, code, out.String(), want)
		}
	}
}

// A daemon whose log nobody reads any more goes on.
func TestRunOutlivesTheReaderOfItsLog(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "lvs.cf")
	if err := os.WriteFile(conf, []byte("primary = 127.0.0.1\nservice = lvs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(t.Context(), exe, "run", "--config", conf, "--dataplane", "userspace", "--socket", socket, "--state", filepath.Join(dir, "state"))
	cmd.Env = append(os.Environ(), asLvsctl+"=1")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	log.Read(make([]byte, 1))
	log.Close()
	client := control.NewClient(socket)
	for range 3 {
		// Each reload writes to the log.
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := client.Status(t.Context()); err != nil {
			t.Fatalf("after its log was closed: %v", err)
		}
	}
}
