//go:build !linux

package health

import (
	"context"
	"errors"
	"fmt"
)

// Run returns [errors.ErrUnsupported]: hints are to be had on Linux.
func (h *Hints) Run(context.Context) error {
	return fmt.Errorf("hints of the kernel: %w on this system: ask at intervals", errors.ErrUnsupported)
}
