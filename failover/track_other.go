//go:build !linux

package failover

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

func noTrack(what string) error {
	return fmt.Errorf("failover: tracking of %s on %s: %w; use a TrackFunc", what, runtime.GOOS, errors.ErrUnsupported)
}

// Look returns errors.ErrUnsupported.
func (TrackDevice) Look(context.Context) error { return noTrack("devices") }

// Watch waits until ctx ends.
func (TrackDevice) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

// Look returns errors.ErrUnsupported.
func (TrackRoute) Look(context.Context) error { return noTrack("routes") }

// Watch waits until ctx ends.
func (TrackRoute) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

func ownGroup(*exec.Cmd) {}

// waitAll waits for a program and kills it, but not what it started, when ctx
// ends.
func waitAll(ctx context.Context, cmd *exec.Cmd) error {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return cmd.Wait()
}
