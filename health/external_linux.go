package health

import (
	"context"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prepareGroup makes the program the leader of a process group of its own.
func prepareGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// waitGroup waits for the program and kills its whole process group when ctx
// is done, and what is left of it when the program has ended by itself.
//
// A group's number may be given to a stranger once its leader is reaped, so
// every kill comes before that: waitid(2) with WNOWAIT tells that the leader
// has ended and leaves it a zombie.
func waitGroup(ctx context.Context, cmd *exec.Cmd) error {
	pid := cmd.Process.Pid
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(-pid, unix.SIGKILL)
	})
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	if !stop() {
		<-killed
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	cmd.WaitDelay = patience(ctx)
	return cmd.Wait()
}

// patience is how long to wait for output after the program has ended: not past
// the end of the check, and not at all where its output does not matter any
// more.
func patience(ctx context.Context) time.Duration {
	wait := stragglers
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)/2)
	}
	if ctx.Err() != nil {
		wait = 0
	}
	return max(wait, time.Millisecond) // 0 would be for ever
}
