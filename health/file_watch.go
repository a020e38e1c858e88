package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// filePause is how long a watched file is not read at most: for what nobody
// tells of, as a change of a file on another machine or behind a link.
const filePause = time.Second

var _ Standing = (*File)(nil)

// Stand reads the file again whenever it is written, replaced or removed, by
// the word of inotify(7), and every second besides. It works on Linux, and
// returns [ErrNoSession] elsewhere; an error when the folder of the file is
// not there, or goes.
func (c *File) Stand(ctx context.Context, t Target, report func(Result)) error {
	dir := filepath.Dir(c.path(t))
	events, err := watchFolder(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("file check: %w: %w", err, ErrNoSession)
	}
	if err != nil {
		return fmt.Errorf("file check: watch %s: %w", dir, err)
	}
	defer events.Close()
	defer context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 4096)
	var last *Result
	for {
		r := c.Check(ctx, t)
		if ctx.Err() != nil {
			return nil
		}
		if last == nil || r.Verdict != last.Verdict || r.Reason != last.Reason {
			last = &r
			report(r)
		}
		_ = events.SetReadDeadline(time.Now().Add(filePause))
		if ctx.Err() != nil { // it may have come before that
			return nil
		}
		n, err := events.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return fmt.Errorf("file check: watch %s: %w", dir, err)
		case folderGone(buf[:n]):
			return fmt.Errorf("file check: watch %s: the folder is gone", dir)
		}
	}
}
