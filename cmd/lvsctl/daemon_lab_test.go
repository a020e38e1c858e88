//go:build linux && (kernel || netns)

package main

import (
	"os/exec"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
)

// daemonIn is a daemon that runs in a namespace.
func daemonIn(t *testing.T, at *lab.Namespace, conf string, args ...string) *daemon {
	d := newDaemon(t, conf, args...)
	// The daemon looks after its process itself, so not at.Start.
	d.launch = func(cmd *exec.Cmd) error { return at.Do(cmd.Start) }
	return d
}
