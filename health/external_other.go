//go:build !linux

package health

import (
	"context"
	"os/exec"
)

func prepareGroup(*exec.Cmd) {}

// waitGroup waits for the program and kills it, but not what it started, when
// ctx is done.
func waitGroup(ctx context.Context, cmd *exec.Cmd) error {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return cmd.Wait()
}
