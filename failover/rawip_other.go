//go:build !linux

package failover

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// ListenAdverts returns an error that is errors.ErrUnsupported.
func (RawIP) ListenAdverts(context.Context, AdvertSocket) (AdvertConn, error) {
	return nil, fmt.Errorf("failover: raw sockets of VRRP on %s: %w; give the router a transport", runtime.GOOS, errors.ErrUnsupported)
}
