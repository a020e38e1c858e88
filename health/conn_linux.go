package health

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// canSteer tells that sockets can be given a device, a mark and a namespace.
const canSteer = true

// control sets the options of a socket before it connects; nil for none.
func (d *Dial) control() func(network, address string, c syscall.RawConn) error {
	if d.Device == "" && d.Mark == 0 {
		return nil
	}
	device, mark := d.Device, d.Mark
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			if device != "" {
				if err := unix.BindToDevice(int(fd), device); err != nil {
					failed = &socketError{fmt.Sprintf("bind the socket to device %s", device), err}
					return
				}
			}
			if mark != 0 {
				if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
					failed = &socketError{fmt.Sprintf("mark the socket with %d", mark), err}
				}
			}
		})
		return errors.Join(err, failed)
	}
}

// within calls f in a network namespace. A socket belongs to the namespace of
// the thread that made it, for good; so f runs on a thread of its own, which
// ends with it.
func within(namespace string, f func() (net.Conn, error)) (net.Conn, error) {
	if namespace == "" {
		return f()
	}
	type opened struct {
		c   net.Conn
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
		o.c, o.err = f()
	}()
	o := <-done
	return o.c, o.err
}
