//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/demo"
)

// The tour as a newcomer takes it, judged by what it prints for scripts.
func TestDemo(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "demo", "--json")
	cmd.Env = append(os.Environ(), asLvsctl+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Errorf("%v\n%s", err, &errs)
	}
	var res demo.Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, e := range res.Expectations {
		if !e.Held {
			t.Errorf("not held: %s (%s)", e.What, e.Saw)
		}
	}
	if !res.OK || len(res.Expectations) < 10 {
		t.Errorf("ok %v with %d expectations", res.OK, len(res.Expectations))
	}
	var names []string
	for _, p := range res.Phases {
		if names = append(names, p.Name); p.Name == "server gone" && p.Served["web2"] > 0 {
			t.Errorf("a server that is gone served %d requests", p.Served["web2"])
		}
	}
	if !slices.Contains(names, "server returns") {
		t.Errorf("phases %v: what a server gets while it comes back counts as if it were gone", names)
	}
	t.Logf("took %v: removed after %.2f s, returned after %.2f s, taken over after %.2f s", time.Since(began).Round(time.Millisecond),
		res.RemoveSeconds, res.ReturnSeconds, res.TakeoverSeconds)
}

// A reader that goes away ends the tour, and nothing stays behind.
func TestDemoCleansUpWhenItsReaderLeaves(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), exe, "demo")
	cmd.Env = append(os.Environ(), asLvsctl+"=1", "TMPDIR="+tmp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 16))
	out.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("it ended with %v, want exit code %d", err, exitFailed)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("%v stays behind", left)
	}
}
