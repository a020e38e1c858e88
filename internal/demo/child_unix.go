//go:build unix && !linux

package demo

import (
	"os/exec"
	"syscall"
)

// prepareChild puts the child into a process group of its own, so that a
// Ctrl-C ends the tour and the tour ends the child. Only Linux ends a child
// with its parent.
func prepareChild(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
