package machine

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// archive writes a cpio archive of the kind the kernel unpacks at its start
// ("newc", Documentation/driver-api/early-userspace/buffer-format.rst). It
// makes the folders above each file itself. Paths are absolute.
type archive struct {
	w    *bufio.Writer
	have map[string]bool
	ino  int
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), have: map[string]bool{"/": true}}
}

// Modes of the archive's entries, as stat(2) has them.
const (
	modeFolder = 0o040000
	modeFile   = 0o100000
)

// folder adds a folder and those above it, unless they are there.
func (a *archive) folder(name string) error {
	name = path.Clean(name)
	if a.have[name] {
		return nil
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	a.have[name] = true
	return a.entry(name, modeFolder|0o755, 0, nil)
}

// file adds a file with size bytes from r, unless it is there.
func (a *archive) file(name string, perm fs.FileMode, size int64, r io.Reader) error {
	name = path.Clean(name)
	if a.have[name] {
		return nil
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	a.have[name] = true
	return a.entry(name, modeFile|uint32(perm.Perm()), size, r)
}

// close ends the archive.
func (a *archive) close() error {
	if err := a.entry("/TRAILER!!!", 0, 0, nil); err != nil {
		return err
	}
	return a.w.Flush()
}

func (a *archive) entry(name string, mode uint32, size int64, r io.Reader) error {
	if size < 0 || size > 1<<32-1 {
		return fmt.Errorf("%s: %d bytes do not fit into the archive", name, size)
	}
	name = strings.TrimPrefix(name, "/")
	a.ino++
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, device numbers
	// (four), namesize, check.
	fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0)
	a.w.WriteString(name)
	a.w.WriteByte(0)
	a.pad(110 + len(name) + 1)
	if r != nil {
		n, err := io.Copy(a.w, io.LimitReader(r, size))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n != size {
			return fmt.Errorf("%s: became shorter while it was read: %w", name, io.ErrUnexpectedEOF)
		}
		a.pad(int(n % 4))
	}
	// The writer keeps its first error; this is where it comes out early.
	_, err := a.w.Write(nil)
	return err
}

// pad fills up to a multiple of four after n bytes.
func (a *archive) pad(n int) {
	for ; n%4 != 0; n++ {
		a.w.WriteByte(0)
	}
}
