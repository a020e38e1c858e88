package userspace

import (
	"math"

	"golang.org/x/sys/unix"
)

// openFiles returns how many descriptors the process may have, or 0 when that
// cannot be told. The runtime has raised the limit as far as it may go without
// privileges (package os does so at its start).
func openFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int64(min(limit.Cur, math.MaxInt64))
}
