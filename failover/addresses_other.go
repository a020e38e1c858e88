//go:build !linux

package failover

import (
	"errors"
	"fmt"
	"runtime"
)

func inNamespace(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return fmt.Errorf("failover: network namespace %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}

func platform(string) (addressKeeper, Announcer, error) {
	return nil, nil, fmt.Errorf("failover: virtual addresses on %s: %w; use NoAddresses and addresses that are there already", runtime.GOOS, errors.ErrUnsupported)
}
