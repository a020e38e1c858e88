//go:build !linux

package failover

import (
	"errors"
	"fmt"
	"runtime"
)

func (v *virtualDevice) wrap(inner AdvertConn) (AdvertConn, error) {
	return nil, errors.Join(fmt.Errorf("failover: the device %q for a virtual MAC on %s: %w", v.name, runtime.GOOS, errors.ErrUnsupported), inner.Close())
}

func (*virtualDevice) setUp(bool) error { return nil }

func (*virtualDevice) remove() error { return nil }
