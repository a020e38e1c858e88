package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardName is the name under which the program runs as its own guard.
const guardName = "lvskit-rig-guard"

// dismissal ends a guard's duty: nothing is left to tidy up.
const dismissal = "done"

// A guard is a second process that waits for this one to die. It then ends
// what the guest left: a user-mode kernel forgets some of its processes when
// it is ended, and nobody but a parent hears of it.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// IsGuard reports whether this process was started as a guard. Then
// GuardMain is all it has to do.
func IsGuard() bool { return os.Args[0] == guardName && len(os.Args) == 2 }

// GuardMain reads the session to guard, waits for the end of the process that
// guards belong to, and ends the session and removes the work folder unless
// it was dismissed.
func GuardMain() {
	work := os.Args[1]
	session := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == dismissal {
			return
		}
		session, _ = strconv.Atoi(lines.Text())
	}
	for deadline := time.Now().Add(5 * time.Second); session > 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		pids, err := processes(func(p process) bool { return p.session == session })
		if err != nil || len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	_ = os.RemoveAll(work)
}

func startGuard(program, work string) (*guard, error) {
	cmd := exec.Command(program)
	cmd.Args = []string{guardName, work}
	cmd.Env = []string{}
	// Out of reach of the signals that a terminal sends to its programs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return &guard{cmd, pipe}, nil
}

// watch names the session to guard.
func (g *guard) watch(session int) error {
	_, err := fmt.Fprintln(g.pipe, session)
	return err
}

func (g *guard) dismiss() {
	_, _ = fmt.Fprintln(g.pipe, dismissal)
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}

// process is what processes says of one process.
type process struct{ parent, session int }

// processes lists the processes that keep accepts. It reads /proc, since
// shorter ways (/proc/self/task/*/children) are missing in some kernels.
func processes(keep func(process) bool) ([]int, error) {
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
			continue // gone by now
		}
		if p, ok := parseStat(b); ok && keep(p) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// parseStat reads "pid (name) state ppid pgrp session ..." (proc(5)); the
// name may hold anything.
func parseStat(b []byte) (process, bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return process{}, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 4 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(f[1])
	session, err2 := strconv.Atoi(f[3])
	return process{parent, session}, err1 == nil && err2 == nil
}
