package machine

import (
	"context"
	"errors"
	"os/exec"

	"github.com/lvskit/lvskit/internal/rig/guest"
)

func qemu(ctx context.Context, cfg *Config, spec *guest.Spec, work string) (*exec.Cmd, error) {
	return nil, errors.New("TODO")
}
