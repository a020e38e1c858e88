package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ownNamespace opens the network namespace of the present thread.
func ownNamespace() (netns.NsHandle, error) {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the thread's network namespace: %w", err)
	}
	return netns.NsHandle(fd), nil
}

// onThread runs fn with its goroutine alone on a thread, which enter has put
// into another namespace, and puts the thread back. A thread that cannot be
// put back is given up with its goroutine.
func onThread(enter, fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := ownNamespace()
		if err != nil {
			done <- err
			return
		}
		defer unix.Close(int(home))
		if err := enter(); err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err = fn()
		if unix.Setns(int(home), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// newNamespace makes a network namespace that lives as long as the handle.
func newNamespace() (netns.NsHandle, error) {
	ns := netns.NsHandle(-1)
	err := onThread(
		func() error { return unix.Unshare(unix.CLONE_NEWNET) },
		func() (err error) {
			ns, err = ownNamespace()
			return err
		},
	)
	return ns, err
}

// Do runs fn on a thread that is in the namespace. What fn opens there stays
// there: sockets keep their namespace, wherever they are used later. What fn
// starts with go is not in the namespace. fn must not call the methods of a
// testing.TB that end a test.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error { return unix.Setns(int(n.ns), unix.CLONE_NEWNET) }, fn)
}

// Start starts a command in the namespace. Unless it has ended by then it is
// killed and waited for when the test ends; whoever waits in a goroutine of
// their own uses Do(cmd.Start) instead, as two must not wait for one command.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	if err := n.Do(cmd.Start); err != nil {
		return fmt.Errorf("namespace %s: %w", n.name, err)
	}
	n.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return nil
}

// Run runs a command in the namespace and returns what it wrote to stdout and
// stderr. It fails the test if the command fails.
func (n *Namespace) Run(name string, args ...string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		n.t.Fatalf("namespace %s: %s: %v\n%s", n.name, strings.Join(cmd.Args, " "), err, out.String())
	}
	return out.String()
}

// DialContext connects from inside the namespace, like net.Dialer.DialContext,
// whose place it can take in an http.Transport. The address has to be
// numeric: looking up names leaves the thread, and so the namespace.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.DialFrom(ctx, netip.Addr{}, network, address)
}

// DialFrom is DialContext from a given address of the namespace; the zero
// Addr lets the kernel choose.
func (n *Namespace) DialFrom(ctx context.Context, from netip.Addr, network, address string) (net.Conn, error) {
	if err := numeric(address); err != nil {
		return nil, err
	}
	var d net.Dialer
	if from.IsValid() {
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
	}
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen is net.Listen inside the namespace, with a numeric address.
func (n *Namespace) Listen(network, address string) (net.Listener, error) {
	if err := numeric(address); err != nil {
		return nil, err
	}
	var ln net.Listener
	err := n.Do(func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// ListenPacket is net.ListenPacket inside the namespace, with a numeric
// address.
func (n *Namespace) ListenPacket(network, address string) (net.PacketConn, error) {
	if err := numeric(address); err != nil {
		return nil, err
	}
	var pc net.PacketConn
	err := n.Do(func() (err error) {
		pc, err = net.ListenPacket(network, address)
		return err
	})
	return pc, err
}

func numeric(address string) error {
	if strings.HasPrefix(address, ":") {
		address = "0.0.0.0" + address
	}
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("lab: want a numeric address and port: %w", err)
	}
	return nil
}

func mask(p netip.Prefix) net.IPMask { return net.CIDRMask(p.Bits(), p.Addr().BitLen()) }
