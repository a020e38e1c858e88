package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
)

// Error is a file or a sysctl of a namespace that cannot be opened, read or
// set. [errors.Is] finds what the system said (such as [fs.ErrNotExist]) and
// what it means: [ipvs.ErrNoIPVS] where IPVS is not loaded,
// [errors.ErrUnsupported] where this kernel's IPVS lacks it,
// [ipvs.ErrNotPermitted] and [ipvs.ErrInvalid].
type Error struct {
	// Op is "open", "read" or "set".
	Op string
	// Name is the file ("ip_vs_conn") or the sysctl ("net.ipv4.vs.conntrack").
	Name string
	// Value is what was to be set.
	Value Value
	// NetNS is the path that [Open] was given.
	NetNS string
	// Err is the cause.
	Err error

	meaning error
	cure    string
}

// Error returns what was to be done, where, the cause and the cure.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "procfs: %s %s", e.Op, e.Name)
	if e.Op == opSet {
		fmt.Fprintf(&b, " to %s", e.Value.quoted())
	}
	if e.NetNS != "" {
		fmt.Fprintf(&b, " in network namespace %s", e.NetNS)
	}
	err := e.Err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err // its path leads through the reading thread
	}
	fmt.Fprintf(&b, ": %v", err)
	if e.cure != "" {
		fmt.Fprintf(&b, ": %s", e.cure)
	}
	return b.String()
}

// Unwrap returns the cause and its meaning.
func (e *Error) Unwrap() []error {
	if e.meaning == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.meaning}
}

// Hint returns what may cure the error, empty when nothing is known.
func (e *Error) Hint() string { return e.cure }

const (
	opOpen = "open"
	opRead = "read"
	opSet  = "set"
)

const (
	cureNotLoaded  = "IPVS is not loaded (modprobe ip_vs)"
	cureNotRead    = "reading it needs root (CAP_SYS_ADMIN to enter another namespace)"
	cureNotWritten = "setting it needs CAP_NET_ADMIN in the user namespace that owns the network namespace; there some are read-only, and debug_level is so outside the initial network namespace"
	cureReadOnly   = "/proc/sys is mounted read-only, as containers have it: set it from outside, for example through the path of the container's network namespace"
)

// explain gives an error of a file its meaning and cure. loaded tells whether
// IPVS is there, absent why the file may not be if it is.
func explain(e *Error, loaded func() bool, absent string) *Error {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist) && !loaded():
		e.meaning, e.cure = ipvs.ErrNoIPVS, cureNotLoaded
	case errors.Is(e.Err, fs.ErrNotExist):
		e.meaning, e.cure = errors.ErrUnsupported, absent
	case errors.Is(e.Err, fs.ErrPermission) && e.Op == opSet:
		e.meaning, e.cure = ipvs.ErrNotPermitted, cureNotWritten
	case errors.Is(e.Err, fs.ErrPermission):
		e.meaning, e.cure = ipvs.ErrNotPermitted, cureNotRead
	case errors.Is(e.Err, syscall.EROFS):
		e.meaning, e.cure = ipvs.ErrNotPermitted, cureReadOnly
	case errors.Is(e.Err, syscall.EINVAL):
		e.meaning = ipvs.ErrInvalid
	}
	return e
}
