package director

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWithin is how long one that was killed may take to be gone: the
	// kernel closes its sockets one by one, some ms each.
	lockWithin = time.Second
	lockPoll   = 10 * time.Millisecond
)

// errTaken: another daemon runs with the same state.
var errTaken = errors.New("another daemon runs")

// lockState makes this the only director with a state file, until the returned
// function is called or the process ends in whatever way. The lock is on a file
// beside it, as the state file is replaced at each change, and that has the
// process id for those who are refused.
func lockState(ctx context.Context, path string) (unlock func(), err error) {
	name := path + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock of the state file: %w", err)
	}
	// Other processes that are started do not inherit it, so none of them
	// keeps the lock of one that was killed.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock of the state file: %w", err)
	}
	for end := time.Now().Add(lockWithin); ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) || ctx.Err() != nil {
			break
		}
		time.Sleep(lockPoll)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		who := ""
		b, _ := io.ReadAll(io.LimitReader(f, 32)) // the number is a help alone
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			who = fmt.Sprintf(", process %d,", pid)
		}
		f.Close()
		return nil, fmt.Errorf("state file %s: %w%s with it: two on one machine would take the addresses from each other; stop that one first, "+
			"or give this one a file of its own with --state if it is for another network namespace", path, errTaken, who)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock of the state file: %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}
