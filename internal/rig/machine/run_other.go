//go:build !linux

package machine

import (
	"context"
	"fmt"
	"runtime"
)

// Run returns ErrSetup: guests need a Linux host.
func Run(context.Context, *Config) (int, error) {
	return 0, fmt.Errorf("%w: guests need a Linux host, this is %s", ErrSetup, runtime.GOOS)
}

// IsGuard reports false: guests need a Linux host.
func IsGuard() bool { return false }

// GuardMain does nothing: guests need a Linux host.
func GuardMain() {}
