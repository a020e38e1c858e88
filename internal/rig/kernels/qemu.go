package kernels

import (
	"context"
	"errors"
	"io"
)

// Fetch fetches.
func Fetch(ctx context.Context, progress io.Writer) error {
	return errors.New("TODO")
}
