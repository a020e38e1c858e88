package rtnl

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Limit bounds a request to the kernel, which answers at once or never.
const Limit = 5 * time.Second

// Open opens a netlink socket for one task, so that none is kept over a
// namespace's or a device's end. Whoever opens it closes it.
func Open(namespace string) (*netlink.Handle, error) {
	ns := netns.None()
	if namespace != "" {
		var err error
		if ns, err = netns.GetFromPath(namespace); err != nil {
			return nil, fmt.Errorf("failover: network namespace %s: %w", namespace, err)
		}
		defer ns.Close()
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	switch {
	case err != nil && namespace != "":
		return nil, fmt.Errorf("failover: open netlink in the network namespace %s: %w", namespace, err)
	case err != nil:
		return nil, fmt.Errorf("failover: open netlink: %w", err)
	}
	if err := h.SetSocketTimeout(Limit); err != nil {
		h.Close()
		return nil, fmt.Errorf("failover: netlink time limit: %w", err)
	}
	return h, nil
}

// Device returns a device and the addresses on it. what is what it is needed
// for, in the error; that is fs.ErrNotExist if there is no such device, and then
// names those that there are.
func Device(h *netlink.Handle, name string, what any) (netlink.Link, []netlink.Addr, error) {
	link, err := Link(h, name, what)
	if err != nil {
		return nil, nil, err
	}
	list, err := Addresses(h, link)
	return link, list, err
}

// Link is [Device] without the addresses.
func Link(h *netlink.Handle, name string, what any) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("failover: device %q for %v: %w; present are %s", name, what, fs.ErrNotExist, names(h))
	}
	if err != nil {
		return nil, fmt.Errorf("failover: device %q for %v: %w", name, what, err)
	}
	// The kernel finds it by an alternative name, too (ip-link(8), property), and
	// half of what follows would not.
	if real := link.Attrs().Name; real != name {
		return nil, fmt.Errorf("failover: device %q for %v is another name of %q: give that one", name, what, real)
	}
	return link, nil
}

// Addresses returns the addresses on a device in the kernel's order.
func Addresses(h *netlink.Handle, link netlink.Link) (list []netlink.Addr, err error) {
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

func names(h *netlink.Handle) string {
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

// Prefix translates an address or a network; the zero Prefix if it is none.
func Prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), bits)
}
