// Package machine is the outside of the rig: it starts a guest kernel, has it
// run one command, and says truthfully how the command ended.
package machine

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Kernel names a guest kernel.
type Kernel string

// The kernels there are.
const (
	// Debian is the user-mode kernel of Debian's package user-mode-linux:
	// with modules, without nf_tables.
	Debian Kernel = "debian"
	// Own is the user-mode kernel built from Debian's kernel source with our
	// configuration: everything built in, and simulated time.
	Own Kernel = "own"
	// Qemu is Debian's cloud kernel in qemu: two processors, and room for
	// the race detector.
	Qemu Kernel = "qemu"
)

// UnmarshalText accepts the name of a kernel.
func (k *Kernel) UnmarshalText(b []byte) error {
	switch n := Kernel(b); n {
	case Debian, Own, Qemu:
		*k = n
		return nil
	}
	return fmt.Errorf("unknown kernel %q: use %s, %s or %s", b, Debian, Own, Qemu)
}

// MarshalText returns the name of the kernel.
func (k Kernel) MarshalText() ([]byte, error) { return []byte(k), nil }

// Variable is set to the name of the kernel in the guest.
const Variable = "LVSKIT_GUEST"

// FilesVariable names files and folders, separated by colons, that a packed
// guest (Qemu) gets beside the program and its testdata folder.
const FilesVariable = "LVSKIT_GUEST_FILES"

// Config says what to run, and where.
type Config struct {
	// Kernel is the guest's kernel.
	Kernel Kernel
	// KernelPath is the kernel to start; for Qemu the folder with vmlinuz and
	// lib/modules.
	KernelPath string
	// Init is this program, statically linked: it calls guest.Main when it is
	// the first process and GuardMain when it is the guard.
	Init string
	// Args is the command, Env its environment (nil: none), Dir its working
	// directory. A program or folder that is not absolute is taken from the
	// present working directory.
	Args []string
	Env  []string
	Dir  string
	// Memory of the guest as kernel and qemu write it: 512M, 1G.
	Memory string
	// Timeout bounds the guest from start to end.
	Timeout time.Duration
	// SimulatedTime lets the guest's clock jump to the next timer whenever
	// the guest is idle. Only Own can.
	SimulatedTime bool
	// SlotDir holds the locks that bound how many guests run at a time for
	// one user; empty means no bound.
	SlotDir string
	// Output receives stdout and stderr of the command as they appear.
	Output io.Writer
	// Log receives a line about each guest that is started again.
	Log io.Writer
}

// OutputLimit is the most output of a command; a guest that writes more is
// ended and counts as dead.
const OutputLimit = 256 << 20

// ErrTimeout is the cause of a guest that ran longer than allowed.
var ErrTimeout = errors.New("time is up")

// ErrDied is the cause of a guest that ended without a result.
var ErrDied = errors.New("guest ended without a result")

// ErrSetup is the cause of a guest that could not be started.
var ErrSetup = errors.New("cannot start a guest")

// Error says why there is no exit code: Err is ErrTimeout, ErrDied, or the
// cause of the cancelled context.
type Error struct {
	Kernel Kernel
	// After is how long the guest ran.
	After time.Duration
	Err   error
	// Exit is how the guest itself ended, as far as known.
	Exit string
	// Console is the end of what the guest's kernel said.
	Console string
}

// Error names the kernel, the reason and the end of the console.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "guest %s: %v after %v", e.Kernel, e.Err, e.After.Round(time.Millisecond))
	if e.Exit != "" {
		fmt.Fprintf(&b, " (%s)", e.Exit)
	}
	if e.Console != "" {
		fmt.Fprintf(&b, "\nlast words on its console:\n%s", indent(e.Console))
	} else {
		b.WriteString("; its console is empty")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func indent(s string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\n", "\n\t")
}

// tail returns the last lines of a console, at most max bytes, without the
// bytes that would upset a terminal. After a panic the line that names its
// reason matters most, so it begins there.
func tail(b []byte, max int) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r == 0x7f || r == '\uFFFD':
			return -1
		}
		return r
	}, string(b))
	s = strings.TrimSpace(s)
	if len(s) <= max {
		return s
	}
	if i := strings.LastIndex(s, "Kernel panic"); i >= 0 {
		s = s[strings.LastIndexByte(s[:i], '\n')+1:]
		if len(s) > max {
			s = strings.ToValidUTF8(s[:max], "") + " ..."
		}
		return s
	}
	s = s[len(s)-max:]
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < len(s)-1 {
		s = s[i+1:]
	}
	return "... " + strings.ToValidUTF8(s, "")
}
