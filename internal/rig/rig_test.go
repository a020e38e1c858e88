//go:build linux && rig

package main

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
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var kernelFlag = flag.String("kernel", "debian", "kernel to prove the rig on: debian, own or qemu")

// Built once by TestMain.
var wrapper, guestTests, raceTests string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(mainCode(m))
}

func mainCode(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rig-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	wrapper, guestTests = filepath.Join(dir, "rig"), filepath.Join(dir, "guest.test")
	builds := [][]string{
		{"CGO_ENABLED=0", "build", "-o", wrapper, "."},
		{"CGO_ENABLED=0", "test", "-c", "-tags", "rigguest", "-o", guestTests, "./guesttest"},
	}
	if *kernelFlag == "qemu" {
		raceTests = filepath.Join(dir, "race.test")
		builds = append(builds, []string{"CGO_ENABLED=1", "test", "-c", "-race", "-tags", "rigguest", "-o", raceTests, "./guesttest"})
	}
	for _, b := range builds {
		cmd := exec.Command("go", b[1:]...)
		cmd.Env = append(os.Environ(), b[0])
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(b[1:], " "), err, out)
			return 1
		}
	}
	return m.Run()
}

// A call is one run of the wrapper, with temporary files in a folder of its own.
type call struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	temp string
	dir  string
}

func newCall(t *testing.T, flags []string, program string, args ...string) *call {
	t.Helper()
	temp, err := os.MkdirTemp("", "rig-call-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	all := append([]string{"-kernel", *kernelFlag}, flags...)
	all = append(append(all, program), args...)
	c := &call{cmd: exec.Command(wrapper, all...), temp: temp}
	c.cmd.Dir, err = filepath.Abs("guesttest")
	if err != nil {
		t.Fatal(err)
	}
	c.dir = c.cmd.Dir
	c.cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	return c
}

// run runs to the end and returns the exit code.
func (c *call) run(t *testing.T) int {
	t.Helper()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c.wait(t)
}

func (c *call) wait(t *testing.T) int {
	t.Helper()
	err := c.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	c.clean(t)
	return c.cmd.ProcessState.ExitCode()
}

// clean fails the test if the call left a process or a file.
func (c *call) clean(t *testing.T) {
	t.Helper()
	var left []string
	for range 100 { // a killed process takes a moment to go
		left = nil
		cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range cmdlines {
			if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(c.temp)) {
				left = append(left, f)
			}
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(left) > 0 {
		t.Errorf("processes left behind: %q", left)
	}
	if entries, err := os.ReadDir(c.temp); err != nil || len(entries) > 0 {
		t.Errorf("files left behind: %v %v", entries, err)
	}
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		flags, args []string
		want        int
		says        string
	}{
		"pass":                  {nil, []string{"-test.run=^TestPass$"}, 0, "PASS"},
		"fail":                  {nil, []string{"-test.run=^TestFail$"}, 1, "--- FAIL: TestFail"},
		"panic":                 {nil, []string{"-test.run=^TestPanic$"}, 2, "panic: as asked"},
		"time-out of the test":  {nil, []string{"-test.run=^TestSleep$", "-test.timeout=1s"}, 2, "panic: test timed out"},
		"killed by a signal":    {nil, []string{"-test.run=^TestKilled$"}, 137, ""},
		"kernel panic":          {nil, []string{"-test.run=^TestKernelPanic$"}, 125, "guest ended without a result"},
		"power off by the test": {nil, []string{"-test.run=^TestPowerOff$"}, 125, "guest ended without a result"},
		"hang":                  {[]string{"-timeout", "10s"}, []string{"-test.run=^TestHang$"}, 124, "time is up after 10"},
		"read-only host":        {nil, []string{"-test.run=^TestReadOnly$", "-test.v"}, 0, "--- PASS: TestReadOnly"},
		"testdata":              {nil, []string{"-test.run=^TestTestdata$", "-test.v"}, 0, "--- PASS: TestTestdata"},
		"dynamic tool":          {nil, []string{"-test.run=^TestTool$", "-test.v"}, 0, "--- PASS: TestTool"},
	}
	if *kernelFlag == "qemu" {
		delete(tests, "read-only host") // it has no part of the host at all
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCall(t, tt.flags, guestTests, tt.args...)
			c.cmd.Env = append(c.cmd.Env, "LVSKIT_GUEST_FILES=/sbin/ipvsadm")
			if got := c.run(t); got != tt.want || !strings.Contains(c.out.String(), tt.says) {
				t.Errorf("exit code %d, want %d and %q in:\n%s", got, tt.want, tt.says, c.out.String())
			}
		})
	}
}

// A dead guest has to show why: the kernel's own last words.
func TestKernelPanicShowsConsole(t *testing.T) {
	c := newCall(t, nil, guestTests, "-test.run=^TestKernelPanic$")
	code := c.run(t)
	for _, want := range []string{"about to break the kernel", "Attempted to kill init"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("exit code %d, want %q in:\n%s", code, want, c.out.String())
		}
	}
}

func TestPassesOnWhatItGets(t *testing.T) {
	args := []string{"a b", `"quoted" 'twice'`, "", "$HOME `x` \\ *", "new\nline", "-not-a-flag", "ünï"}
	c := newCall(t, nil, guestTests, append([]string{"-test.run=^TestEcho$", "--"}, args...)...)
	env := "with spaces, \"quotes\" and = signs"
	c.cmd.Env = append(c.cmd.Env, "GUESTTEST="+env, "LVSKIT_GUEST=stale")
	if code := c.run(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.out.String())
	}
	line, _, _ := strings.Cut(c.out.String(), "\n")
	type echo struct {
		Args            []string
		Dir, Env, Guest string
		Parent          int
	}
	var got echo
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in %q", err, c.out.String())
	}
	want := echo{args, c.dir, env, *kernelFlag, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seen in the guest (-want +got):\n%s", diff)
	}
}

func TestOutputIsWholeAndInOrder(t *testing.T) {
	c := newCall(t, nil, guestTests, "-test.run=^TestOutput$")
	if code := c.run(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.out.String())
	}
	var want bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&want, "%09d\n", i)
	}
	want.WriteString("PASS\n")
	if !bytes.Equal(c.out.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes of output differ from the %d written", c.out.Len(), want.Len())
	}
}

func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			c := newCall(t, nil, guestTests, "-test.run=^TestHang$")
			first := &firstLine{seen: make(chan struct{})}
			c.cmd.Stdout = first
			if err := c.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-first.seen: // live, while the guest runs
			case <-time.After(4 * time.Minute): // other guests may hold the places, or the first start hang
				t.Error("no output of a running test")
			}
			began := time.Now()
			if err := c.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if sig == syscall.SIGKILL { // its guard has to tidy up
				_ = c.cmd.Wait()
				c.clean(t)
				return
			}
			if code := c.wait(t); code != 128+int(sig) {
				t.Errorf("exit code %d, want %d; the rig said:\n%s", code, 128+int(sig), c.out.String())
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("took %v to end", d)
			}
		})
	}
}

type firstLine struct {
	seen chan struct{}
	buf  bytes.Buffer
	done bool
}

func (f *firstLine) Write(b []byte) (int, error) {
	f.buf.Write(b)
	if !f.done && bytes.Contains(f.buf.Bytes(), []byte("hanging\n")) {
		f.done = true
		close(f.seen)
	}
	return len(b), nil
}

func TestSimulatedTime(t *testing.T) {
	c := newCall(t, []string{"-simulated-time", "-timeout", "25s"}, guestTests, "-test.run=^TestSleep$", "-test.v")
	code := c.run(t)
	if *kernelFlag != "own" {
		if code != 125 || !strings.Contains(c.out.String(), "has no simulated time") {
			t.Errorf("exit code %d, want 125 and a refusal:\n%s", code, c.out.String())
		}
		return
	}
	// Half a minute has to pass in the guest, and far less outside.
	if code != 0 || !strings.Contains(c.out.String(), "--- PASS: TestSleep (30.0") {
		t.Errorf("exit code %d, want 0 after 30 s of the guest's time:\n%s", code, c.out.String())
	}
}

func TestRaceDetector(t *testing.T) {
	if *kernelFlag != "qemu" {
		return // the address space of a user-mode guest is too small for it
	}
	c := newCall(t, []string{"-mem", "1G"}, raceTests, "-test.run=^TestRace$")
	if code := c.run(t); code != 1 || !strings.Contains(c.out.String(), "WARNING: DATA RACE") {
		t.Errorf("exit code %d, want 1 and a data race:\n%s", code, c.out.String())
	}
}

// An ordinary user can do all of it.
func TestUnprivileged(t *testing.T) {
	if *kernelFlag != "debian" {
		return // the others are in the cache of the user who runs the tests
	}
	c := newCall(t, nil, guestTests, "-test.run=^TestTool$|^TestReadOnly$", "-test.v")
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := os.Chown(c.temp, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		c.cmd.Dir = "/"
	}
	cache, err := os.MkdirTemp("", "rig-cache-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(cache) })
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	c.cmd.Env = append(c.cmd.Env, "XDG_CACHE_HOME="+cache)
	if code := c.run(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, c.out.String())
	}
}

func TestWrongUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no program":              {},
		"unknown kernel":          {"-kernel", "hurd", "/bin/true"},
		"unknown flag":            {"-nonsense", "/bin/true"},
		"time-out not above zero": {"-timeout", "0s", "/bin/true"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(wrapper, args...).CombinedOutput()
			exit := (*exec.ExitError)(nil)
			if !errors.As(err, &exit) || exit.ExitCode() != 2 || len(out) == 0 {
				t.Errorf("%v, want exit code 2 and a hint; said %q", err, out)
			}
		})
	}
	for name, args := range map[string][]string{
		"memory too small":    {"-mem", "1M", "/bin/true"},
		"memory without unit": {"-mem", "512", "/bin/true"},
		"no such program":     {"/nonexistent/program"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(wrapper, args...).CombinedOutput()
			exit := (*exec.ExitError)(nil)
			if !errors.As(err, &exit) || exit.ExitCode() != 125 || len(out) == 0 {
				t.Errorf("%v, want exit code 125 and a reason; said %q", err, out)
			}
		})
	}
}

// TestStartsAgain lets the first start of the guest die before its command
// begins: the command runs once, in the second guest.
func TestStartsAgain(t *testing.T) {
	dir := t.TempDir()
	real, err := exec.Command(wrapper, "which", *kernelFlag).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Where the wrapper looks for the program that is the kernel, or runs it.
	name, program := "linux.uml", strings.TrimSpace(string(real))
	env := "PATH=" + dir + ":" + os.Getenv("PATH")
	switch *kernelFlag {
	case "qemu":
		name = "qemu-system-x86_64"
		if program, err = exec.LookPath(name); err != nil {
			t.Fatal(err)
		}
	case "own":
		name = filepath.Join("lvskit/kernels", filepath.Base(filepath.Dir(program)), "linux")
		env = "XDG_CACHE_HOME=" + dir
	}
	fake := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	tried := filepath.Join(dir, "tried")
	script := fmt.Sprintf("#!/bin/sh\n[ -e '%s' ] || { : >'%s'; echo no luck; exit 1; }\nexec '%s' \"$@\"\n", tried, tried, program)
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCall(t, nil, "/bin/echo", "once")
	c.cmd.Env = append(c.cmd.Env, env)
	if code := c.run(t); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.out.String())
	}
	out := c.out.String()
	if !strings.Contains(out, "no luck") || !strings.Contains(out, "starting the guest again") || strings.Count(out, "once\n") != 1 {
		t.Errorf("output: %s", out)
	}
}
