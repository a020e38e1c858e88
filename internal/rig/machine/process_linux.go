package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervise starts the guest's process and sees it to its end, or ends it when
// the context or the time is over, or when check says so. Afterwards no process of
// the guest is left. The error is nil when the process ended by itself,
// however it did; how is in the description.
func supervise(ctx context.Context, cmd *exec.Cmd, timeout time.Duration, check func() error) (how string, err error) {
	// The death signal is tied to the thread that started the process, not
	// to this program, so the thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A panicking user-mode kernel aborts; nobody wants its core.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	// Processes that the guest leaves behind become our children and cannot
	// slip away.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return "", fmt.Errorf("become subreaper: %w", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil {
		select {
		case werr := <-ended:
			return describe(cmd, werr), killChildren()
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-timer.C:
			err = ErrTimeout
		case <-tick.C:
			err = check()
		}
	}
	// Politely first: a user-mode kernel then ends its processes itself.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
	return "", errors.Join(err, killChildren())
}

func describe(cmd *exec.Cmd, err error) string {
	if err == nil {
		return "its process ended orderly"
	}
	if cmd.ProcessState != nil {
		return "its process: " + cmd.ProcessState.String()
	}
	return err.Error()
}

// killChildren ends every child of this process, and the children they leave,
// and waits for them.
func killChildren() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		pids, err := children()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for {
			got, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
			if got <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the guest do not end", pids)
		}
	}
}

// children lists the children of this process by reading /proc, since the
// short way (/proc/self/task/*/children) is missing in some kernels.
func children() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// "pid (name) state ppid ...", where the name may hold anything.
		i := bytes.LastIndexByte(b, ')')
		if i < 0 {
			continue
		}
		if f := bytes.Fields(b[i+1:]); len(f) > 1 && string(f[1]) == strconv.Itoa(os.Getpid()) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
