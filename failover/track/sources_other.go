//go:build !linux

package track

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

func noTrack(what string) error {
	return fmt.Errorf("track: %s on %s: %w; use a track.Func", what, runtime.GOOS, errors.ErrUnsupported)
}

// Look returns errors.ErrUnsupported.
func (Device) Look(context.Context) error { return noTrack("devices") }

// Watch waits until ctx ends.
func (Device) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

// Look returns errors.ErrUnsupported.
func (Route) Look(context.Context) error { return noTrack("routes") }

// Watch waits until ctx ends.
func (Route) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

func ownGroup(*exec.Cmd) {}

// waitAll waits for a program and kills it, but not what it started, when ctx
// ends.
func waitAll(ctx context.Context, cmd *exec.Cmd) error {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return cmd.Wait()
}
