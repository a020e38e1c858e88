//go:build !linux

package alarm

import (
	"errors"
	"fmt"
	"runtime"
)

// Kernel returns errors.ErrUnsupported.
func Kernel() (Alarm, error) {
	return nil, fmt.Errorf("failover: a timer of the kernel's on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
