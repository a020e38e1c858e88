package health

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// child is this test binary in another role, in a process of its own.
type child struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed when it has ended
}

const childRole = "LVSKIT_HEALTH_CHILD"

// startChild starts a child that ends with the test, or by stop.
func startChild(tb testing.TB, role string, args ...string) *child {
	tb.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], append([]string{"-test.run=^TestChild$", "--", role}, args...)...)}
	c.Env = append(os.Environ(), childRole+"=1")
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	c.stdin, c.lines = stdin, make(chan string, 1000)
	go func() {
		defer close(c.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			c.lines <- strings.TrimSpace(in.Text())
		}
	}()
	tb.Cleanup(c.stop)
	return c
}

// stop ends the child: it sees its standard input close.
func (c *child) stop() {
	if c.stdin != nil {
		c.stdin.Close()
		c.stdin = nil
		_ = c.Process.Signal(unix.SIGCONT)
		for range c.lines { // to the end, before Wait closes the pipe
		}
		_ = c.Wait()
	}
}

// line is the next line that the child prints.
func (c *child) line(tb testing.TB) string {
	tb.Helper()
	select {
	case line, ok := <-c.lines:
		if !ok {
			tb.Fatal("the child has ended")
		}
		return line
	case <-time.After(time.Minute):
		_ = c.Process.Signal(unix.SIGQUIT) // where does it hang?
		tb.Fatal("the child has said nothing for a minute")
	}
	return ""
}

// TestChild is the other end of startChild; by itself it has nothing to do.
func TestChild(t *testing.T) {
	if os.Getenv(childRole) == "" {
		return
	}
	args := os.Args
	for args[0] != "--" {
		args = args[1:]
	}
	switch role := args[1]; role {
	case "bfd":
		bfdChild(t, args[2], args[3])
	case "drain":
		drain(t)
	case "watcher":
		watcher(t, args[2:])
	default:
		t.Fatalf("no role %q", role)
	}
}

// gone blocks until the parent has no more use for this child.
func gone() { _, _ = io.Copy(io.Discard, os.Stdin) }

// drain is a server that takes connections at one port of every loopback
// address with as little work as that can be done.
func drain(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		t.Fatal(err)
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	var takers sync.WaitGroup
	takers.Go(func() {
		for {
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			switch err {
			case nil:
				unix.Close(c)
			case unix.EINTR, unix.ECONNABORTED, unix.EMFILE:
			default:
				return
			}
		}
	})
	fmt.Println(local.(*unix.SockaddrInet4).Port)
	gone()
	_ = unix.Shutdown(fd, unix.SHUT_RDWR) // wakes the one that accepts
	takers.Wait()
	unix.Close(fd)
}

// startDrain starts such a server in another process and returns its address.
func startDrain(tb testing.TB) (netip.AddrPort, *child) {
	tb.Helper()
	c := startChild(tb, "drain")
	addr, err := netip.ParseAddrPort("127.0.0.1:" + c.line(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return addr, c
}
