package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervise starts the guest's process and sees it to its end, or ends it when
// the context or the time is over, or when check says so. Afterwards no process of
// the guest is left. The error is nil when the process ended by itself,
// however it did; how is in the description. The program self serves as guard
// and removes the folder work should this process be killed.
func supervise(ctx context.Context, cmd *exec.Cmd, self, work string, timeout time.Duration, check func() error) (how string, err error) {
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
	guard, err := startGuard(self, work)
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		guard.dismiss()
		return "", err
	}
	tidy := func() error {
		err := killChildren(guard.cmd.Process.Pid)
		guard.dismiss()
		return err
	}
	if err := guard.watch(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		return "", errors.Join(fmt.Errorf("guard: %w", err), cmd.Wait(), tidy())
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
			return describe(cmd, werr), tidy()
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
	return "", errors.Join(err, tidy())
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

// killChildren ends every child of this process but one, and the children
// they leave, and waits for them.
func killChildren(except int) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		pids, err := processes(func(p process) bool { return p.parent == os.Getpid() })
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == except })
		if err != nil {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the guest do not end", pids)
		}
	}
}
