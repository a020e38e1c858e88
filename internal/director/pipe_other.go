//go:build !linux

package director

import (
	"errors"
	"log/slog"
)

// pipe is a named pipe for lines of changes, which only Linux has here.
type pipe struct {
	log  *slog.Logger
	path string
}

func (p *pipe) open(path string) {
	if path != p.path && path != "" {
		p.log.Error("nobody is told of changes by notify_fifo", "err", errors.ErrUnsupported)
	}
	p.path = path
}

func (p *pipe) write(string) {}

func (p *pipe) close() {}
