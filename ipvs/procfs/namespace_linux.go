package procfs

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Open gives the files of a network namespace: /run/netns/NAME,
// /proc/PID/ns/net, or /proc/self/fd/N for an open file. Empty is that of the
// calling thread. It stays the same namespace whatever becomes of the path.
//
// Neither Open nor the methods move the caller's thread: what lies in another
// namespace is opened by a thread made for it, which ends with that. It needs
// CAP_SYS_ADMIN. IPVS need not be loaded for Open.
func Open(netns string) (*Namespace, error) {
	path := netns
	if path == "" {
		path = threadNamespace
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Op: opOpen, Name: "network namespace", NetNS: netns, Err: err}
	}
	n := &Namespace{
		path:   netns,
		enter:  func(do func() error) error { return inside(f, do) },
		close:  f.Close,
		netDir: procNet,
		sysDir: procSys,
	}
	if err := n.enter(func() error { return nil }); err != nil {
		f.Close()
		return nil, &Error{Op: opOpen, Name: "network namespace", NetNS: netns, Err: err}
	}
	return n, nil
}

const threadNamespace = "/proc/thread-self/ns/net"

// inside runs do on a thread that is in the namespace: the present one if it
// is there already, which needs no rights, or else one of its own.
func inside(ns *os.File, do func() error) error {
	want, err := ns.Stat() // fails when closed
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if here, err := os.Stat(threadNamespace); err == nil && os.SameFile(want, here) {
		defer runtime.UnlockOSThread()
		return do()
	}
	runtime.UnlockOSThread()

	return onOwnThread(func() error {
		if err := setns(ns); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return do()
	})
}

// setns moves the present thread.
func setns(ns *os.File) error {
	raw, err := ns.SyscallConn()
	if err != nil {
		return err
	}
	if err2 := raw.Control(func(fd uintptr) { err = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err2 != nil {
		return err2
	}
	switch err {
	case unix.EPERM:
		return fmt.Errorf("entering it needs CAP_SYS_ADMIN: %w", err)
	case unix.EINVAL:
		return fmt.Errorf("the file is no network namespace: %w", err)
	}
	return err
}

// onOwnThread runs f on a thread that ends with it. The thread that the
// process began with does not end, and is the one that /proc/self shows, so
// it is passed over.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, but where nothing was changed
		if unix.Gettid() == unix.Getpid() {
			done <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}
