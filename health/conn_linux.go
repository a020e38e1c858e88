package health

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// canSteer tells that sockets can be given a device, a mark and a namespace.
const canSteer = true

// control sets the options of a socket before it is bound and connects; nil
// for none.
func (d *Dial) control() func(network, address string, c syscall.RawConn) error {
	if d.Device == "" && d.Mark == 0 && !d.Source.IsValid() {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = d.steer(int(fd))
			if d.Source.IsValid() {
				bindLate(int(fd))
			}
		})
		return errors.Join(err, failed)
	}
}

// steer gives a socket its device and mark.
func (d *Dial) steer(fd int) error {
	if d.Device != "" {
		if err := unix.BindToDevice(fd, d.Device); err != nil {
			return &socketError{fmt.Sprintf("bind the socket to device %s", d.Device), err}
		}
	}
	if d.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(d.Mark)); err != nil {
			return &socketError{fmt.Sprintf("mark the socket with %d", d.Mark), err}
		}
	}
	return nil
}

// within calls f in a network namespace. A socket belongs to the namespace of
// the thread that made it, for good; so f runs on a thread of its own, which
// ends with it.
func within[T any](namespace string, f func() (T, error)) (T, error) {
	if namespace == "" {
		return f()
	}
	type opened struct {
		it  T
		err error
	}
	done := make(chan opened, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		var o opened
		defer func() { done <- o }()
		h, err := netns.GetFromPath(namespace)
		if err == nil {
			err = netns.Set(h)
			h.Close()
		}
		if err != nil {
			o.err = &socketError{"enter network namespace " + namespace, err}
			return
		}
		o.it, o.err = f()
	}()
	o := <-done
	return o.it, o.err
}
