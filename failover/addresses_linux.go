package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netlinkLimit bounds a request to the kernel, which answers at once or never.
const netlinkLimit = 5 * time.Second

func platform(namespace string) (addressKeeper, Announcer, error) {
	return linkKeeper{namespace}, linkAnnouncer{namespace}, nil
}

// linkKeeper adds and removes addresses over rtnetlink(7).
type linkKeeper struct{ namespace string }

// handle opens a netlink socket for one task, so that none is kept over a
// namespace's or a device's end.
func (k linkKeeper) handle() (*netlink.Handle, error) {
	ns := netns.None()
	if k.namespace != "" {
		var err error
		if ns, err = netns.GetFromPath(k.namespace); err != nil {
			return nil, fmt.Errorf("failover: network namespace %s: %w", k.namespace, err)
		}
		defer ns.Close()
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("failover: open netlink: %w", err)
	}
	if err := h.SetSocketTimeout(netlinkLimit); err != nil {
		h.Close()
		return nil, fmt.Errorf("failover: netlink time limit: %w", err)
	}
	return h, nil
}

// devices groups addresses by device, in the order of their first mention.
func devices(addrs []VirtualAddress) (names []string, by map[string][]VirtualAddress) {
	by = make(map[string][]VirtualAddress)
	for _, v := range addrs {
		if by[v.Device] == nil {
			names = append(names, v.Device)
		}
		by[v.Device] = append(by[v.Device], v)
	}
	return names, by
}

func (k linkKeeper) ensure(ctx context.Context, addrs []VirtualAddress) (added, failed []VirtualAddress, err error) {
	if len(addrs) == 0 {
		return nil, nil, nil
	}
	h, err := k.handle()
	if err != nil {
		return nil, nil, err // they may be there
	}
	defer h.Close()
	var errs []error
	names, by := devices(addrs)
	for _, name := range names {
		link, list, err := findDevice(h, name, by[name][0].Prefix)
		if err != nil {
			failed = append(failed, by[name]...)
			errs = append(errs, err)
			continue
		}
		some, others, err := ensureOn(ctx, h, link, list, by[name])
		added, failed = append(added, some...), append(failed, others...)
		errs = append(errs, err)
	}
	awaitUsable(ctx, h, added)
	return added, failed, errors.Join(errs...)
}

// ensureOn is ensure for one device, which has the addresses of list.
func ensureOn(ctx context.Context, h *netlink.Handle, link netlink.Link, list []netlink.Addr, addrs []VirtualAddress) (added, failed []VirtualAddress, err error) {
	want := make(map[netip.Addr]netip.Prefix)
	for _, v := range addrs {
		want[v.Prefix.Addr()] = v.Prefix
	}
	// Ours with another prefix length are left from another configuration.
	var stale4, stale6 bool
	present := make(map[netip.Prefix]bool)
	useless := make(map[netip.Prefix]bool)
	for _, a := range list {
		p := prefixOf(a.IPNet)
		w, ours := want[p.Addr()]
		if ours && p.Addr().Is6() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			// Added by someone else with a look for duplicates, which has not
			// ended or has found one.
			useless[p] = true
			stale6 = true
			continue
		}
		present[p] = true
		if ours && p != w {
			stale4, stale6 = stale4 || p.Addr().Is4(), stale6 || p.Addr().Is6()
		}
	}
	var errs []error
	if stale6 {
		// First, as an IPv6 address can be on a device only once.
		errs = append(errs, drop(ctx, h, link, list, func(p netip.Prefix) bool {
			w, ours := want[p.Addr()]
			return ours && p.Addr().Is6() && (p != w || useless[p])
		}))
	}
	for _, v := range addrs {
		if err := ctx.Err(); err != nil {
			return added, failed, errors.Join(append(errs, err)...)
		}
		if present[v.Prefix] {
			continue
		}
		breathe(len(added))
		// Replace, as someone may have added it since we looked.
		if err := h.AddrReplace(link, kernelAddress(v)); err != nil {
			failed = append(failed, v)
			errs = append(errs, addressError("add", v, err))
			continue
		}
		present[v.Prefix] = true
		added = append(added, v)
	}
	if stale4 {
		// Last, and only where the right one is there, so that the address
		// never is not. Listed anew, as what came may go with what leaves.
		if list, err = addressList(h, link); err == nil {
			err = drop(ctx, h, link, list, func(p netip.Prefix) bool {
				w, ours := want[p.Addr()]
				return ours && p != w && p.Addr().Is4() && present[w]
			})
		}
		errs = append(errs, err)
	}
	return added, failed, errors.Join(errs...)
}

func (k linkKeeper) remove(ctx context.Context, addrs []VirtualAddress) error {
	if len(addrs) == 0 {
		return nil
	}
	h, err := k.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	var errs []error
	names, by := devices(addrs)
	for _, name := range names {
		link, list, err := findDevice(h, name, by[name][0].Prefix)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its addresses went with it
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ours := make(map[netip.Addr]bool)
		for _, v := range by[name] {
			ours[v.Prefix.Addr()] = true
		}
		errs = append(errs, drop(ctx, h, link, list, func(p netip.Prefix) bool { return ours[p.Addr()] }))
	}
	return errors.Join(errs...)
}

// breathe stands before each of many calls of the kernel that never wait: a
// process of real-time priority has to leave the processor now and then.
func breathe(done int) {
	if done%64 == 63 {
		time.Sleep(100 * time.Microsecond)
	}
}

// findDevice returns a device and the addresses on it.
func findDevice(h *netlink.Handle, name string, of netip.Prefix) (netlink.Link, []netlink.Addr, error) {
	link, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil, fmt.Errorf("failover: device %q for %v: %w; present are %s", name, of, fs.ErrNotExist, deviceNames(h))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("failover: device %q for %v: %w", name, of, err)
	}
	list, err := addressList(h, link)
	return link, list, err
}

// addressList returns the addresses on a device in the kernel's order.
func addressList(h *netlink.Handle, link netlink.Link) (list []netlink.Addr, err error) {
	for range 3 { // a dump that was disturbed by a change is to be repeated
		if list, err = h.AddrList(link, netlink.FAMILY_ALL); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("failover: list the addresses of %q: %w", link.Attrs().Name, err)
	}
	return list, nil
}

func deviceNames(h *netlink.Handle) string {
	links, err := h.LinkList()
	if err != nil {
		return "unknown"
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func kernelAddress(v VirtualAddress) *netlink.Addr {
	ip := v.Prefix.Addr()
	a := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(v.Prefix.Bits(), ip.BitLen())}}
	if ip.Is4() {
		a.Label = v.Label
	} else {
		// Duplicate address detection would leave it unusable for a second,
		// and find the other node that is about to let go.
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func addressError(what string, v VirtualAddress, err error) error {
	switch {
	case errors.Is(err, unix.EACCES) && v.Prefix.Addr().Is6():
		// Not for want of a privilege: of ipv6_add_addr in net/ipv6/addrconf.c.
		return fmt.Errorf("failover: %s %v: %w: IPv6 is off there: set the sysctl net.ipv6.conf.%s.disable_ipv6 to 0", what, v, err, v.Device)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("failover: %s %v: %w; run as root or give CAP_NET_ADMIN", what, v, err)
	}
	return fmt.Errorf("failover: %s %v: %w", what, v, err)
}

// inNamespace runs f on a thread that is in the namespace; empty is the
// process's own.
func inNamespace(path string, f func() error) error {
	if path == "" {
		return f()
	}
	target, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("failover: network namespace %s: %w", path, err)
	}
	defer target.Close()
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: if it cannot return, it ends here.
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("failover: own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(target); err != nil {
			done <- fmt.Errorf("failover: enter network namespace %s: %w", path, err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
