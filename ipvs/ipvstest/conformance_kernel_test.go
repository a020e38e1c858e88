//go:build linux && kernel

package ipvstest

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/ipvs"
)

func TestKernelConformance(t *testing.T) {
	Conformance(t, func(t *testing.T) API { return dialNew(t) })
}

// dialNew returns a client in a network namespace of its own, whose loopback
// is up.
func dialNew(t testing.TB) *ipvs.Client {
	t.Helper()
	type result struct {
		c   *ipvs.Client
		err error
	}
	done := make(chan result)
	go func() {
		// The thread ends with the goroutine, since it is never unlocked.
		runtime.LockOSThread()
		c, err := func() (*ipvs.Client, error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("new network namespace: %w", err)
			}
			if err := loopbackUp(); err != nil {
				return nil, fmt.Errorf("loopback: %w", err)
			}
			return ipvs.Dial(t.Context(), &ipvs.Config{NetNS: fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())})
		}()
		done <- result{c, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.c.Close() })
	return r.c
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
