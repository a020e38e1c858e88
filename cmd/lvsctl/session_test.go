package main

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// fake is a kernel in memory that outlives the verbs, as a real one does.
type fake struct{ *ipvstest.Kernel }

func (fake) Close() error { return nil }

func fakeHost() host {
	k := fake{ipvstest.New()}
	return host{dial: func(context.Context, string) (kernel, error) { return k, nil }}
}

// A session is what somebody types and what they see, from one table to the
// next: "$ " begins a command, "! " a line of stderr, "exit N" tells of a
// failure. "< FILE" after a command is its standard input, "<tty FILE" what is
// typed at it; "~" is an empty line of output. The same sessions run on the real kernel.
func TestSessions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the errors in the sessions are worded as Unix has them")
	}
	for _, path := range sessions(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			playSession(t, path, fakeHost())
		})
	}
}

func sessions(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/session/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("sessions: %v, %v", paths, err)
	}
	for i := range paths {
		if paths[i], err = filepath.Abs(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func playSession(t *testing.T, path string, h host) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The files are named as they stand in the session.
	t.Chdir(t.TempDir())
	t.Setenv("LVSCTL_SOCKET", "none.sock")
	for _, f := range archive.Files {
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(archive.Comment), "\r\n", "\n")) {
		switch {
		case strings.HasPrefix(line, "#") || line == "\n":
			got.WriteString(line)
		case strings.HasPrefix(line, "$ "):
			got.WriteString(line)
			got.WriteString(playCommand(t, h, strings.TrimSpace(line[2:])))
		}
	}
	want := strings.ReplaceAll(string(archive.Comment), "\r\n", "\n")
	if *update && got.String() != want {
		archive.Comment = []byte(got.String())
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}

// playCommand returns what a command shows.
func playCommand(t *testing.T, h host, command string) string {
	t.Helper()
	command, input, _ := strings.Cut(command, " <")
	file, typed := strings.CutPrefix(input, "tty ")
	h.stdin, h.terminal = strings.NewReader(""), typed
	if file = strings.TrimSpace(file); file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h.stdin = bytes.NewReader(data)
	}
	var out, errs bytes.Buffer
	code := h.run(t.Context(), strings.Fields(command), &out, &errs)
	var b strings.Builder
	for line := range strings.Lines(out.String()) {
		b.WriteString(stdcmp.Or(strings.TrimRight(line, " \n"), "~") + "\n")
	}
	for line := range strings.Lines(errs.String()) {
		b.WriteString("! " + strings.TrimRight(line, " \n") + "\n")
	}
	if code != exitDone {
		fmt.Fprintf(&b, "exit %d\n", code)
	}
	return b.String()
}
