// Package examples_test runs the programs of this folder as a newcomer would.
package examples_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func build(t *testing.T, name string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), name)
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", exe, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return exe
}

func TestQuickstart(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), build(t, "quickstart")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, second := strings.Count(string(out), "the first server"), strings.Count(string(out), "the second server")
	if first != 2 || second != 4 {
		t.Errorf("%d answers of the first server and %d of the second, want 2 and 4:\n%s", first, second, out)
	}
}

func TestCustomDirector(t *testing.T) {
	servers := make(map[string]*httptest.Server)
	args := []string{"-listen", freeAddr(t)}
	for _, name := range []string{"one", "two"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
		defer s.Close()
		servers[name] = s
		args = append(args, s.Listener.Addr().String())
	}
	cmd := exec.CommandContext(t.Context(), build(t, "custom-director"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("it said:\n%s", &out)
		}
	}()

	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	await := func(what string, ok func(got map[string]int) bool) {
		t.Helper()
		var got map[string]int
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			got = make(map[string]int)
			for range 4 {
				resp, err := client.Get("http://" + args[1])
				if err != nil {
					got["failed"]++
					continue
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				got[string(body)]++
			}
			if ok(got) {
				return
			}
		}
		t.Fatalf("waited in vain until %s; last answers: %v", what, got)
	}
	await("both servers answer", func(got map[string]int) bool { return got["one"] == 2 && got["two"] == 2 })
	servers["two"].Close()
	await("the living server answers alone", func(got map[string]int) bool { return got["one"] == 4 })
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
