//go:build !linux

package procfs

import (
	"errors"
	"fmt"
	"runtime"
)

// Open fails here with [errors.ErrUnsupported]: IPVS is part of Linux. The
// functions that parse work on any system.
func Open(netns string) (*Namespace, error) {
	return nil, &Error{Op: opOpen, Name: "network namespace", NetNS: netns, Err: fmt.Errorf("IPVS is part of Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)}
}
