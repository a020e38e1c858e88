//go:build !linux

package director

import (
	"context"
	"errors"
)

// errTaken: another daemon runs with the same state, which is not found out here.
var errTaken = errors.New("another daemon runs")

func lockState(context.Context, string) (unlock func(), err error) { return func() {}, nil }
