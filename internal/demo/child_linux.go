package demo

import (
	"os/exec"
	"syscall"
)

// prepareChild puts the child into a process group of its own, so that a
// Ctrl-C ends the tour and the tour ends the child, and has the kernel end the
// child when the tour dies, however it does.
func prepareChild(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
