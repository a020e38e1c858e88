package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

func platform(namespace string) (addressKeeper, Announcer, error) {
	return linkKeeper{namespace}, linkAnnouncer{namespace}, nil
}

// linkKeeper adds and removes addresses over rtnetlink(7).
type linkKeeper struct{ namespace string }

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
	h, err := rtnl.Open(k.namespace)
	if err != nil {
		return nil, nil, err // they may be there
	}
	defer h.Close()
	var errs []error
	names, by := devices(addrs)
	for _, name := range names {
		link, list, err := rtnl.Device(h, name, by[name][0].Prefix)
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
		p := rtnl.Prefix(a.IPNet)
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
		if list, err = rtnl.Addresses(h, link); err == nil {
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
	h, err := rtnl.Open(k.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	return removeBy(ctx, h, addrs)
}

// removeBy removes addresses by a socket that is open.
func removeBy(ctx context.Context, h *netlink.Handle, addrs []VirtualAddress) error {
	var errs []error
	names, by := devices(addrs)
	for _, name := range names {
		link, list, err := rtnl.Device(h, name, by[name][0].Prefix)
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

// linkReserve is a socket that is kept open.
type linkReserve struct{ *netlink.Handle }

func (k linkKeeper) reserve() reserve {
	h, err := rtnl.Open(k.namespace)
	if err != nil {
		return nil
	}
	return linkReserve{h}
}

func (r linkReserve) remove(ctx context.Context, addrs []VirtualAddress, routes []VirtualRoute) error {
	err := removeRoutesBy(ctx, r.Handle, routes)
	// Not all that follows is asked for strictly enough.
	if loose := r.SetStrictCheck(false); loose != nil && !errors.Is(loose, unix.ENOPROTOOPT) {
		return errors.Join(err, loose)
	}
	return errors.Join(err, removeBy(ctx, r.Handle, addrs))
}

func (r linkReserve) close() { r.Close() }

var _ reserver = linkKeeper{}

// breathe stands before each of many calls of the kernel that never wait: a
// process of real-time priority has to leave the processor now and then.
func breathe(done int) {
	if done%64 == 63 {
		time.Sleep(100 * time.Microsecond)
	}
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
