package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// drop removes the addresses of list that are doomed; those that are gone
// meanwhile are fine. What else the kernel takes along comes back.
//
// With the first IPv4 address of a network on a device go all others of that
// network there, unless promote_secondaries is set (__inet_del_ifa in
// net/ipv4/devinet.c). They are not ours, so they are put back as they were,
// also when ctx is over. What the kernel does not keep with the address does
// not come back: routes that it flushed since they named such an address or
// since the device was left without any, and the metric of the network's route.
func drop(ctx context.Context, h *netlink.Handle, link netlink.Link, list []netlink.Addr, doomed func(netip.Prefix) bool) error {
	var errs []error
	var first []netip.Prefix // the networks that lost their first address
	gone := 0
	// Backwards: the kernel lists the first address of a network before the
	// others, and a doomed one that goes by itself takes nobody along.
	for _, a := range slices.Backward(list) {
		p := rtnl.Prefix(a.IPNet)
		if !doomed(p) {
			continue
		}
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		breathe(gone)
		gone++
		// Ours under any label: without one the kernel does not compare it.
		err := h.AddrDel(link, &netlink.Addr{IPNet: a.IPNet, Peer: a.Peer})
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, addressError("remove", VirtualAddress{Prefix: p, Device: link.Attrs().Name}, err))
			continue
		}
		if p.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY == 0 {
			first = append(first, network(a))
		}
	}
	for _, a := range list {
		p := rtnl.Prefix(a.IPNet)
		if doomed(p) || !p.Addr().Is4() || a.Flags&unix.IFA_F_SECONDARY == 0 || !slices.Contains(first, network(a)) {
			continue
		}
		// If it is still there, adding it says so and changes nothing.
		if err := h.AddrAdd(link, again(a)); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("failover: put back %v on %s, which went with the first address of its network: %w",
				p, link.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

// again returns an address from a listing in the form that adds its like.
func again(a netlink.Addr) *netlink.Addr {
	a.Flags &^= unix.IFA_F_SECONDARY | unix.IFA_F_PERMANENT // the kernel's own findings
	if a.Broadcast == nil {
		a.Broadcast = net.IPv4zero // means none; nil would be worked out from the mask
	}
	return &a
}

// network returns what the kernel compares to find the first address of a
// network: that of the peer if there is one.
func network(a netlink.Addr) netip.Prefix {
	if a.Peer != nil {
		return rtnl.Prefix(a.Peer).Masked()
	}
	return rtnl.Prefix(a.IPNet).Masked()
}
