//go:build !linux

package failover

import (
	"errors"
	"fmt"
	"runtime"
)

func platform(string) (addressKeeper, Announcer, error) {
	return nil, nil, fmt.Errorf("failover: virtual addresses on %s: %w; use NoAddresses and addresses that are there already", runtime.GOOS, errors.ErrUnsupported)
}
