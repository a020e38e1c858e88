package failover

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestNewBeatNeedsBeatMain(t *testing.T) {
	if _, err := NewBeat(nil); err != nil { // TestMain called it
		t.Error(err)
	}
	for _, value := range []string{"", "ready 1", "1 high"} { // that of another process, too
		t.Setenv(beatVariable, value)
		if _, err := NewBeat(nil); err == nil || !strings.Contains(err.Error(), "call failover.BeatMain first in main") {
			t.Errorf("%q: error %v", value, err)
		}
	}
}

// The variable alone makes no beat process: a program that inherits it is what
// it is.
func TestBeatMainLooksAtTheSocket(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, files := range map[string][]*os.File{"nothing": nil, "a pipe": {r}} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^$", "-test.v")
		cmd.Env = append(os.Environ(), beatVariable+"=1 high")
		cmd.ExtraFiles = files
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		out, err := cmd.CombinedOutput()
		timer.Stop()
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("with %s: %v, %s", name, err, out)
		}
	}
}

// What ps, top and ss show of a beat process is what it is.
func TestBeatProcessHasAName(t *testing.T) {
	p, err := spawnBeat(&BeatConfig{NormalPriority: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.kill()
		_ = p.wait() // it was killed
		p.link.conn.Close()
	}()
	var comm string
	for range 3000 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		if comm = strings.TrimSpace(string(b)); comm == beatName {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("it is called %q", comm)
}
