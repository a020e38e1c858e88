package demo

import (
	"os/exec"
	"syscall"
)

// tieToParent has the kernel end the child when the tour dies, however it does.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
