package track_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/track"
)

// within waits until something is so.
func within(t *testing.T, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// script is a program of some lines.
func script(lines string, args ...string) track.Program {
	return track.Program{Path: "/bin/sh", Args: append([]string{"-c", lines, "program"}, args...)}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, lines string
		args        []string
		want        string // in the error; empty: none
	}{
		{"exits with 0", `exit 0`, nil, ""},
		{"exits with another code, and says why", "echo the disk is full\necho more >&2\nexit 3", nil, "exit status 3: the disk is full"},
		{"says what no log should show", `printf '\033[31mred\377\n' >&2; exit 1`, nil, "exit status 1:  [31mred?"},
		{"says very much", `i=0; while [ $i -lt 2000 ]; do echo -n 0123456789; i=$((i+1)); done; exit 1`, nil, "exit status 1: 0123456789"},
		{"gets its arguments as they are", `[ "$1" = 'a b;exit 9' ] && [ $# = 2 ]`, []string{"a b;exit 9", "*"}, ""},
		{"leaves a child with its output behind", `sleep 60 & exit 0`, nil, ""},
		{"dies of a signal", `kill -9 $$`, nil, "signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := script(c.lines, c.args...).Look(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("%d bytes of an error", len(err.Error()))
			}
		})
	}
	if err := (track.Program{Path: "/does/not/exist"}).Look(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// A program that takes too long ends with all that it started, before Look
// returns.
func TestProgramIsKilledWithItsGroup(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	program := script(fmt.Sprintf("sleep 600 &\necho $$ $! > %s.new && mv %s.new %s\nwait", pids, pids, pids))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- program.Look(ctx) }()
	var text []byte
	within(t, 20*time.Second, "the program runs", func() bool {
		var err error
		text, err = os.ReadFile(pids)
		return err == nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("look: %v", err)
	}
	for _, s := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		// The child may be a zombie until its new parent has seen it.
		within(t, 20*time.Second, "process "+s+" is gone", func() bool {
			stat, err := os.ReadFile("/proc/" + s + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ") || unix.Kill(pid, 0) == unix.ESRCH
		})
	}
}

// What is no regular file is not waited for.
func TestFileOpensNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (track.File{Path: path}).Number(t.Context()); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("%v", err)
	}
}
