package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// follower copies a growing file to a writer as it grows.
type follower struct {
	file string
	to   io.Writer
	f    *os.File
	n    int64
}

// step copies what is there and not yet copied. A file that does not exist
// yet is empty.
func (w *follower) step() error {
	if w.f == nil {
		f, err := os.Open(w.file)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		w.f = f
	}
	n, err := io.Copy(w.to, io.LimitReader(w.f, OutputLimit-w.n))
	w.n += n
	if err != nil {
		return err
	}
	if w.n >= OutputLimit {
		return fmt.Errorf("more than %d bytes of output", OutputLimit)
	}
	return nil
}

func (w *follower) close() {
	if w.f != nil {
		w.f.Close()
	}
}
