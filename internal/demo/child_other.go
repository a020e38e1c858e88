//go:build !unix

package demo

import "os/exec"

// prepareChild does nothing: there are no process groups here.
func prepareChild(*exec.Cmd) {}
