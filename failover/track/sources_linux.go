package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// Look asks the kernel for the device.
func (d Device) Look(context.Context) error {
	h, err := rtnl.Open(d.Namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(d.Device)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("no device %s", d.Device)
	case err != nil:
		return fmt.Errorf("device %s: %w", d.Device, err)
	case link.Attrs().RawFlags&unix.IFF_UP == 0:
		return fmt.Errorf("%s is down", d.Device)
	case link.Attrs().RawFlags&unix.IFF_RUNNING == 0:
		return errors.New("no carrier")
	}
	return nil
}

// Watch tells when any device changes.
func (d Device) Watch(ctx context.Context, changed func()) error {
	return watchKernel(ctx, d.Namespace, func(syscall.NetlinkMessage) { changed() }, unix.RTNLGRP_LINK)
}

// Look asks the kernel for the route.
func (r Route) Look(ctx context.Context) error {
	h, err := rtnl.Open(r.Namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	table := cmp.Or(r.Table, unix.RT_TABLE_MAIN)
	var device int
	if r.Device != "" {
		link, err := h.LinkByName(r.Device)
		if err != nil {
			return fmt.Errorf("no route %v: %w", r, err)
		}
		device = link.Attrs().Index
	}
	family := netlink.FAMILY_V4
	if r.Prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	err = fmt.Errorf("no route %v", r)
	// Step by step, as a table may have a million of them.
	failed := h.RouteListFilteredIter(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE, func(route netlink.Route) bool {
		if !r.isAt(&route) {
			return true
		}
		paths := route.MultiPath
		if len(paths) == 0 {
			paths = []*netlink.NexthopInfo{{LinkIndex: route.LinkIndex, Gw: route.Gw, Flags: route.Flags}}
		}
		for _, p := range paths {
			gateway, _ := netip.AddrFromSlice(p.Gw)
			switch {
			case device != 0 && p.LinkIndex != device, r.Via.IsValid() && gateway.Unmap() != r.Via:
			case p.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0:
				err = fmt.Errorf("the device of route %v has no carrier", r)
			default:
				err = nil
				return false
			}
		}
		return ctx.Err() == nil
	})
	if err != nil && failed != nil && !errors.Is(failed, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list the routes: %w", failed)
	}
	return err
}

// isAt reports whether a route leads to the prefix, and leads anywhere.
func (r Route) isAt(route *netlink.Route) bool {
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0) // the kernel tells none
	if r.Prefix.Addr().Is6() {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if route.Dst != nil {
		to = rtnl.Prefix(route.Dst)
	}
	return to == r.Prefix && (route.Type == unix.RTN_UNICAST || route.Type == unix.RTN_LOCAL)
}

// Watch tells when a route to a prefix of this length comes or goes, or a device
// changes.
func (r Route) Watch(ctx context.Context, changed func()) error {
	group := uint(unix.RTNLGRP_IPV4_ROUTE)
	if r.Prefix.Addr().Is6() {
		group = unix.RTNLGRP_IPV6_ROUTE
	}
	return watchKernel(ctx, r.Namespace, func(m syscall.NetlinkMessage) {
		route := m.Header.Type == unix.RTM_NEWROUTE || m.Header.Type == unix.RTM_DELROUTE
		if !route || len(m.Data) > 1 && int(m.Data[1]) == r.Prefix.Bits() { // rtm_dst_len
			changed()
		}
	}, group, unix.RTNLGRP_LINK)
}

// watchKernel hands on what rtnetlink(7) tells to the groups until ctx ends.
func watchKernel(ctx context.Context, namespace string, tell func(syscall.NetlinkMessage), groups ...uint) error {
	ns := netns.None()
	if namespace != "" {
		var err error
		if ns, err = netns.GetFromPath(namespace); err != nil {
			return fmt.Errorf("track: network namespace %s: %w", namespace, err)
		}
		defer ns.Close()
	}
	s, err := nl.SubscribeAt(ns, netns.None(), unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return fmt.Errorf("track: listen to the kernel: %w", err)
	}
	stop := context.AfterFunc(ctx, s.Close) // which wakes who reads
	defer func() {
		if stop() {
			s.Close()
		}
	}()
	tell(syscall.NetlinkMessage{}) // what changed before we listened
	for ctx.Err() == nil {
		messages, from, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("track: listen to the kernel: %w", err)
		case from.Pid != nl.PidKernel:
			continue
		}
		for _, m := range messages {
			tell(m)
		}
	}
	return nil
}

// ownGroup makes a program the leader of a process group of its own.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// waitAll waits for a program, kills its group when ctx ends, and what is left
// of the group when it has ended by itself. That comes before it is reaped:
// afterwards the group's number may be another one's.
func waitAll(ctx context.Context, cmd *exec.Cmd) error {
	pid := cmd.Process.Pid
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(-pid, unix.SIGKILL)
	})
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	if !stop() {
		<-killed
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	return cmd.Wait()
}
