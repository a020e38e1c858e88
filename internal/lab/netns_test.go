//go:build linux && netns

package lab

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestNetnsClusterCarries(t *testing.T) { clusterCarries(t) }

func TestNetnsDialFromPicks(t *testing.T) { dialFromPicks(t) }

func TestNetnsSysctlStaysInside(t *testing.T) {
	l := New(t)
	a, b := l.Namespace("a"), l.Namespace("b")
	a.Forward()
	for ns, want := range map[*Namespace]string{a: "1", b: "0"} {
		if got := strings.TrimSpace(ns.Run("cat", "/proc/sys/net/ipv4/ip_forward")); got != want {
			t.Errorf("ip_forward in %s is %s, want %s", ns.Name(), got, want)
		}
	}
}

func TestNetnsDoComesBack(t *testing.T) {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	n := New(t).Namespace("a")
	inside := map[string]bool{}
	for range 20 {
		var where string
		if err := n.Do(func() (err error) { where, err = os.Readlink("/proc/thread-self/ns/net"); return err }); err != nil {
			t.Fatal(err)
		}
		inside[where] = true
	}
	if len(inside) != 1 || inside[home] {
		t.Errorf("Do ran in %v, want one namespace that is not %s", inside, home)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if got, err := os.Readlink(thread); err == nil && got != home {
			t.Errorf("%s was left in %s", thread, got)
		}
	}
}

func TestNetnsPublish(t *testing.T) {
	Need(t)
	name := "lvskit-lab-test"
	file := "/run/netns/" + name
	t.Run("while the test runs", func(t *testing.T) {
		l := New(t)
		n := l.Namespace("a")
		l.Veth(n, "only-here", l.Namespace("b"), "eth")
		n.Publish(name)
		out, err := exec.Command("ip", "-n", name, "-br", "link").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "only-here") {
			t.Errorf("ip -n %s: %v: %s", name, err, out)
		}
	})
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind: %v", file, err)
	}
}

func TestNetnsStartEndsWithTheTest(t *testing.T) {
	Need(t)
	cmd := exec.Command("sleep", "600")
	t.Run("start", func(t *testing.T) {
		n := New(t).Namespace("a")
		if err := n.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("does not run: %v", err)
		}
	})
	if cmd.ProcessState == nil {
		t.Error("still runs after its test")
	}
}

func TestNetnsRefusesNames(t *testing.T) {
	n := New(t).Namespace("a")
	if conn, err := n.DialContext(t.Context(), "tcp", "localhost:80"); err == nil {
		conn.Close()
		t.Error("a name was looked up outside the namespace")
	}
}

// TestNetnsNeedChild is the other process of TestNetnsNeed.
func TestNetnsNeedChild(t *testing.T) {
	if os.Getenv("LAB_NEED_CHILD") == "" {
		return
	}
	Need(t)
}

func TestNetnsNeed(t *testing.T) {
	Need(t) // only root can become somebody else
	// Where an ordinary user finds the program.
	dir, err := os.MkdirTemp("", "lab-need-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "lab.test")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile("/proc/self/exe", program)); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	for name, tt := range map[string]struct {
		noSkip, want string
	}{
		"skips with the reason":              {"", "--- SKIP: TestNetnsNeedChild"},
		"fails where nothing may be skipped": {"1", "--- FAIL: TestNetnsNeedChild"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, "-test.run=^TestNetnsNeedChild$", "-test.v")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), "LAB_NEED_CHILD=1", NoSkipVariable+"="+tt.noSkip)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			out, _ := cmd.CombinedOutput()
			for _, want := range []string{tt.want, "operation not permitted", "run as root"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("want %q in:\n%s", want, out)
				}
			}
		})
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
