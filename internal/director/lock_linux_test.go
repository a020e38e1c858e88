package director

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// lockVariable has the test binary lock a state file until it is killed.
const lockVariable = "LVSKIT_TEST_DIRECTOR_LOCK"

// Who finds another daemon with its state file does not begin; once that one is
// killed nothing is in the way.
func TestOneDirectorForAStateFile(t *testing.T) {
	if path := os.Getenv(lockVariable); path != "" {
		if _, err := lockState(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		fmt.Println("locked")
		time.Sleep(10 * time.Minute)
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "state.json")
	other := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	other.Env = append(os.Environ(), lockVariable+"="+path)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}

	kernel := ipvstest.New()
	start := func() (error, bool) {
		d, err := New(t.Context(), Config{Setup: setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1"))), Dataplane: kernel, StateFile: path})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			select {
			case err := <-done:
				return err, false
			default:
			}
			for range kernel.Services(t.Context()) {
				cancel()
				return <-done, true
			}
		}
		return errors.New("it neither serves nor ends"), false
	}
	err, served := start()
	if served || !errors.Is(err, errTaken) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("process %d,", other.Process.Pid)) ||
		!strings.Contains(fmt.Sprint(err), path) || !strings.Contains(fmt.Sprint(err), "--state") {
		t.Errorf("beside another one it serves: %v, %v", served, err)
	}
	if err := other.Process.Kill(); err != nil { // and it need not be gone yet
		t.Fatal(err)
	}
	for range 2 { // the second time after an orderly end
		if err, served := start(); !served || err != nil {
			t.Errorf("without another one it serves: %v, %v", served, err)
		}
	}
	_ = other.Wait() // it was killed
}
