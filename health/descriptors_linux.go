package health

import "golang.org/x/sys/unix"

// descriptors is how many files this process may have open, RLIMIT_NOFILE
// (getrlimit(2)); 0 if it is not known. Go's package os has raised the soft
// limit to the hard one by then.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}
