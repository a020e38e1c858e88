package director

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// pipe writes lines into a named pipe, which it makes if there is none. A line
// that does not fit is lost: nobody waits for a reader. Lines from before the
// reader came are kept as far as the pipe has room. The zero value of path
// takes lines and forgets them. It belongs to one goroutine.
type pipe struct {
	log  *slog.Logger
	path string
	fd   int
	full bool // told that lines are lost
}

// open takes the lines somewhere else from now on.
func (p *pipe) open(path string) {
	if path == p.path {
		return
	}
	p.close()
	if path == "" {
		return
	}
	fd, err := openPipe(path)
	if err != nil {
		p.log.Error("nobody is told of changes by notify_fifo", "err", err)
		return
	}
	p.path, p.fd = path, fd
}

func openPipe(path string) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return 0, fmt.Errorf("make the named pipe %s: %w", path, err)
	}
	// To read, too, as a pipe without a reader could not be opened.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, fmt.Errorf("open the named pipe %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return 0, fmt.Errorf("%s is no named pipe: move it, or name another one", path)
	}
	return fd, nil
}

func (p *pipe) write(line string) {
	if p.path == "" {
		return
	}
	_, err := unix.Write(p.fd, []byte(line))
	if err != nil && !p.full {
		p.log.Warn("lines for notify_fifo are lost: nobody reads it", "file", p.path, "err", err)
	}
	p.full = err != nil
}

func (p *pipe) close() {
	if p.path != "" {
		unix.Close(p.fd)
	}
	p.path, p.full = "", false
}
