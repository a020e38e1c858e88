package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// noticeGap bounds how often changes are told of: there may be thousands a second.
const noticeGap = time.Millisecond

func (t RawIP) notice(ctx context.Context, changed func()) error {
	return noticeDevices(ctx, t.Namespace, changed)
}

func (u UDP) notice(ctx context.Context, changed func()) error {
	return noticeDevices(ctx, u.Namespace, changed)
}

// noticeDevices listens to rtnetlink(7). It allocates nothing while it does: what
// has changed is of no interest here.
func noticeDevices(ctx context.Context, namespace string, changed func()) error {
	var file *os.File
	err := rtnl.Inside(namespace, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "rtnetlink")
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR})
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("failover: watch devices: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = file.Close() })
	defer func() {
		if stop() {
			_ = file.Close()
		}
	}()
	for b := make([]byte, 1); ; { // the rest of a notice is cut off
		changed()
		time.Sleep(noticeGap)
		// An error is mostly ENOBUFS: some notices were lost, so something changed.
		if _, err := file.Read(b); errors.Is(err, os.ErrClosed) {
			return nil
		}
	}
}

var _, _ noticing = RawIP{}, UDP{}
