//go:build !linux

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Dial fails here with [errors.ErrUnsupported]: IPVS is part of Linux. The
// package ipvstest has an in-memory table for tests.
func Dial(context.Context, *Config) (*Client, error) {
	return nil, &OpError{Op: OpDial, Err: errNotLinux()}
}

// ProbeFeatures fails here with [errors.ErrUnsupported].
func ProbeFeatures(context.Context) (Features, error) {
	return Features{}, &OpError{Op: OpProbe, Err: errNotLinux()}
}

func errNotLinux() error {
	return fmt.Errorf("IPVS is part of Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
