//go:build !linux

package userspace

// openFiles cannot tell here how many descriptors the process may have.
func openFiles() int64 { return 0 }
