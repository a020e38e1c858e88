//go:build linux && rigguest

package guesttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestPass(t *testing.T) {}

func TestFail(t *testing.T) { t.Error("as asked") }

func TestPanic(t *testing.T) { panic("as asked") }

// TestSleep passes after half a minute.
func TestSleep(t *testing.T) {
	fmt.Println("sleeping")
	time.Sleep(30 * time.Second)
}

// TestHang never ends.
func TestHang(t *testing.T) {
	fmt.Println("hanging")
	for {
		time.Sleep(time.Hour)
	}
}

func TestKilled(t *testing.T) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Minute)
}

// TestKernelPanic ends the guest's first process, which no kernel survives.
func TestKernelPanic(t *testing.T) {
	fmt.Println("about to break the kernel")
	// In qemu the output goes by way of the process that is about to die.
	time.Sleep(time.Second)
	_ = syscall.Kill(1, syscall.SIGQUIT)
	time.Sleep(time.Minute)
}

// TestPowerOff ends the guest behind the back of its first process.
func TestPowerOff(t *testing.T) {
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	time.Sleep(time.Minute)
}

// TestOutput writes a million bytes in numbered lines.
func TestOutput(t *testing.T) {
	for i := range 1_000_000 / 10 {
		fmt.Fprintf([]*os.File{os.Stdout, os.Stderr}[i%2], "%09d\n", i)
	}
}

// TestEcho prints what it was given.
func TestEcho(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"args": flag.Args(), "dir": dir, "env": os.Getenv("GUESTTEST"), "guest": os.Getenv("LVSKIT_GUEST"), "parent": os.Getppid(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadOnly expects a root nobody can write to, and temporary files.
func TestReadOnly(t *testing.T) {
	for _, name := range []string{"/etc/lvskit-guest", "/usr/lvskit-guest", "lvskit-guest"} {
		if err := os.WriteFile(name, nil, 0o644); !errors.Is(err, syscall.EROFS) {
			t.Errorf("write %s: %v, want a read-only file system", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), []byte("y"), 0o644); err != nil {
		t.Error(err)
	}
}

// TestTestdata reads a file beside the test.
func TestTestdata(t *testing.T) {
	b, err := os.ReadFile("testdata/greeting")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.TrimSpace(b)); got != "hello guest" {
		t.Errorf("testdata says %q", got)
	}
}

// TestTool runs a program that is linked dynamically.
func TestTool(t *testing.T) {
	out, err := exec.Command("ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = exec.Command("ipvsadm", "-Sn").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "-A -t 192.0.2.1:80 -s rr"; !strings.Contains(string(out), want) {
		t.Errorf("table %q, want %q", out, want)
	}
}

// TestRace has a data race, which only the race detector minds.
func TestRace(t *testing.T) {
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 1000 {
				n++
			}
		})
	}
	wg.Wait()
	t.Log(n)
}
