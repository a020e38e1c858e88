package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// FileConfig sets up a [File] check.
type FileConfig struct {
	// Path is the file to read. %h and %p in it become the target's address
	// and port.
	Path string
	// Weight takes the number for a weight, 0..65535, with 0 meaning no new
	// connections. Without it 0 fails and anything else is OK.
	Weight bool
}

// File reads a number from a file on this machine: for programs and people
// that decide by themselves. A file that cannot be read, or that holds no
// number, is no result; a negative number fails. A change counts at once where
// something keeps sessions ([File.Stand]). It is safe for concurrent use.
type File struct{ cfg FileConfig }

// maxFile is how much of a file may be a number.
const maxFile = 64

// NewFile returns a file check, or an error that names every field that cannot
// be used.
func NewFile(cfg FileConfig) (*File, error) {
	if cfg.Path == "" || strings.ContainsRune(cfg.Path, 0) {
		return nil, fmt.Errorf("file check: path %q: want the name of a file", cfg.Path)
	}
	return &File{cfg}, nil
}

// Identity names the kind and the parameters of the check.
func (c *File) Identity() string { return fmt.Sprintf("file %q weight=%t", c.cfg.Path, c.cfg.Weight) }

// Check reads the number.
func (c *File) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	if err := a.ctx.Err(); err != nil {
		return a.failed("read", err)
	}
	path := c.path(t)
	b, err := readSmall(path, maxFile)
	a.see(b)
	var n int
	if err == nil {
		n, err = parseNumber(b)
	}
	if err != nil {
		a.done("read")
		return a.result(NoResult, "read: "+err.Error())
	}
	switch {
	case n < 0 || n == 0 && !c.cfg.Weight:
		return a.wrong("read", "%s says %d", path, n)
	case n > 65535 && c.cfg.Weight:
		a.done("read")
		return a.result(NoResult, fmt.Sprintf("read: %s says %d, which is no weight: want 0..65535", path, n))
	}
	r := a.ok("read", fmt.Sprintf("%s says %d", path, n))
	if c.cfg.Weight {
		r.Weight = &n
	}
	return r
}

// path is the file of a target.
func (c *File) path(t Target) string {
	return strings.NewReplacer("%h", t.Addr.Addr().String(), "%p", fmt.Sprint(t.Addr.Port())).Replace(c.cfg.Path)
}

var errNoFile = errors.New("no regular file")

// readSmall reads the beginning of a regular file, limit bytes and one more. A
// pipe would block for as long as it likes.
func readSmall(path string, limit int64) ([]byte, error) {
	// Twice: some devices do something when they are opened, and between the
	// two a pipe may have come in the place of the file.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// parseNumber reads a decimal number with blanks around it.
func parseNumber(b []byte) (int, error) {
	if len(b) > maxFile {
		return 0, fmt.Errorf("the file has more than %d bytes: want one number", maxFile)
	}
	text := strings.TrimSpace(string(b))
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, errors.New("the file holds " + clip([]byte(text)) + ": want one number")
	}
	return int(n), nil
}
