//go:build !linux

package rtnl

import (
	"errors"
	"fmt"
	"runtime"
)

// Inside runs f, and knows no namespace but the one of the process: for any
// other one the error is errors.ErrUnsupported.
func Inside(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	return fmt.Errorf("failover: network namespace %s on %s: %w", namespace, runtime.GOOS, errors.ErrUnsupported)
}
