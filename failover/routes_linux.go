package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

func (k linkKeeper) ensureRoutes(ctx context.Context, routes []VirtualRoute) (added []VirtualRoute, err error) {
	h, err := rtnl.Open(k.namespace)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	b, err := newRouteBook(h)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range routes {
		if err := ctx.Err(); err != nil {
			return added, errors.Join(append(errs, err)...)
		}
		there, err := b.ensure(r)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !there:
			added = append(added, r)
		}
	}
	return added, errors.Join(errs...)
}

func (k linkKeeper) removeRoutes(ctx context.Context, routes []VirtualRoute) error {
	if len(routes) == 0 {
		return nil
	}
	h, err := rtnl.Open(k.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	return removeRoutesBy(ctx, h, routes)
}

// removeRoutesBy removes routes by a socket that is open.
func removeRoutesBy(ctx context.Context, h *netlink.Handle, routes []VirtualRoute) error {
	if len(routes) == 0 {
		return nil
	}
	b, err := newRouteBook(h)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range slices.Backward(routes) {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, b.remove(r))
	}
	return errors.Join(errs...)
}

// routeBook knows the routes of ours in the kernel, from one listing of each
// table and family: the kernel tells none but ours, so that a full table of
// the Internet costs nothing.
type routeBook struct {
	h      *netlink.Handle
	listed map[routeTable][]netlink.Route
}

type routeTable struct {
	family int
	table  uint32
}

func newRouteBook(h *netlink.Handle) (*routeBook, error) {
	// Since Linux 4.20 the kernel itself looks at protocol and table then;
	// before, the listing is filtered here.
	if err := h.SetStrictCheck(true); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		return nil, fmt.Errorf("failover: list routes: %w", err)
	}
	return &routeBook{h: h, listed: make(map[routeTable][]netlink.Route)}, nil
}

func tableOf(r VirtualRoute) routeTable {
	t := routeTable{netlink.FAMILY_V4, r.place().Table}
	if r.Prefix.Addr().Is6() {
		t.family = netlink.FAMILY_V6
	}
	return t
}

// ours returns the routes of ours that are at the place of r.
func (b *routeBook) ours(r VirtualRoute) (at []netlink.Route, err error) {
	t := tableOf(r)
	list, ok := b.listed[t]
	if !ok {
		list, err = b.list(t, netlink.Route{Table: int(t.table), Protocol: RouteProtocol}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			return nil, err
		}
		b.listed[t] = list
	}
	for _, k := range list {
		if placeOf(k, r) {
			at = append(at, k)
		}
	}
	return at, nil
}

func (b *routeBook) list(t routeTable, filter netlink.Route, mask uint64) (list []netlink.Route, err error) {
	for range 3 { // a dump that was disturbed by a change is to be repeated
		if list, err = b.h.RouteListFiltered(t.family, &filter, mask); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // there is no such table yet
	}
	if err != nil {
		return nil, fmt.Errorf("failover: list the routes of table %d: %w", t.table, err)
	}
	return list, nil
}

// placeOf reports whether a route of the right table is at the place of r.
func placeOf(k netlink.Route, r VirtualRoute) bool {
	return rtnl.Prefix(k.Dst) == r.Prefix && uint32(k.Priority) == r.place().Metric && k.Tos == 0
}

// same reports whether a route at the place of r leads where r does.
func (b *routeBook) same(k netlink.Route, r VirtualRoute) bool {
	ip := func(a net.IP) netip.Addr {
		out, _ := netip.AddrFromSlice(a)
		return out.Unmap()
	}
	if len(k.MultiPath) > 0 || ip(k.Gw) != r.Gateway || ip(k.Src) != r.Source {
		return false
	}
	if r.Device == "" {
		return true
	}
	link, err := b.h.LinkByName(r.Device)
	return err == nil && link.Attrs().Index == k.LinkIndex
}

// present reports whether r is there, by whomever.
func (b *routeBook) present(r VirtualRoute) (bool, error) {
	at, err := b.ours(r)
	if err != nil || slices.ContainsFunc(at, func(k netlink.Route) bool { return b.same(k, r) }) {
		return err == nil, err
	}
	at, err = b.others(r)
	return slices.ContainsFunc(at, func(k netlink.Route) bool { return b.same(k, r) }), err
}

// others returns all routes at the place of r. It reads the whole table.
func (b *routeBook) others(r VirtualRoute) ([]netlink.Route, error) {
	t := tableOf(r)
	list, err := b.list(t, netlink.Route{Table: int(t.table)}, netlink.RT_FILTER_TABLE)
	return slices.DeleteFunc(list, func(k netlink.Route) bool { return !placeOf(k, r) }), err
}

// ensure adds r and reports whether it was there already.
func (b *routeBook) ensure(r VirtualRoute) (there bool, err error) {
	at, err := b.ours(r)
	if err != nil {
		return false, err
	}
	for _, k := range at {
		if b.same(k, r) {
			return true, nil
		}
		// Left from another configuration.
		if err := b.delete(k, r); err != nil {
			return false, err
		}
	}
	k, err := b.kernelRoute(r)
	if err != nil {
		return false, err
	}
	err = b.h.RouteAdd(k)
	if !errors.Is(err, unix.EEXIST) {
		return false, routeError("add", r, err)
	}
	if at, err = b.others(r); err != nil {
		return false, err
	}
	if slices.ContainsFunc(at, func(k netlink.Route) bool { return b.same(k, r) }) {
		return true, nil // by an administrator's hand: it stays when we go
	}
	return false, fmt.Errorf("failover: add route %v: %w: another one to %v has the same metric; remove it or give another metric", r, fs.ErrExist, r.Prefix)
}

// remove removes what is ours at the place of r.
func (b *routeBook) remove(r VirtualRoute) error {
	at, err := b.ours(r)
	errs := []error{err}
	for _, k := range at {
		errs = append(errs, b.delete(k, r))
	}
	return errors.Join(errs...)
}

func (b *routeBook) delete(k netlink.Route, r VirtualRoute) error {
	err := b.h.RouteDel(&netlink.Route{
		Dst: k.Dst, Gw: k.Gw, LinkIndex: k.LinkIndex, Priority: k.Priority, Table: k.Table, Protocol: RouteProtocol, Scope: k.Scope,
	})
	if errors.Is(err, unix.ESRCH) {
		return nil // it is gone meanwhile
	}
	return routeError("remove", r, err)
}

func (b *routeBook) kernelRoute(r VirtualRoute) (*netlink.Route, error) {
	k := &netlink.Route{
		Dst:      &net.IPNet{IP: r.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(r.Prefix.Bits(), r.Prefix.Addr().BitLen())},
		Gw:       r.Gateway.AsSlice(),
		Src:      r.Source.AsSlice(),
		Priority: int(r.Metric),
		Table:    int(r.place().Table),
		Protocol: RouteProtocol,
	}
	if !r.Gateway.IsValid() && r.Prefix.Addr().Is4() {
		k.Scope = netlink.SCOPE_LINK
	}
	if r.Device != "" {
		link, err := rtnl.Link(b.h, r.Device, fmt.Sprintf("route %v", r))
		if err != nil {
			return nil, err
		}
		k.LinkIndex = link.Attrs().Index
	}
	return k, nil
}

func routeError(what string, r VirtualRoute, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("failover: %s route %v: %w; run as root or give CAP_NET_ADMIN", what, r, err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Errorf("failover: %s route %v: %w: the gateway is on no network of this machine: put a route to %v before it", what, r, err, r.Gateway)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("failover: %s route %v: %w: its device is down", what, r, err)
	}
	return fmt.Errorf("failover: %s route %v: %w", what, r, err)
}

// lostRoutes returns which routes are not there.
func lostRoutes(h *netlink.Handle, routes []VirtualRoute) (out []Sighting, err error) {
	if len(routes) == 0 {
		return nil, nil
	}
	b, err := newRouteBook(h)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		there, err := b.present(r)
		if err != nil {
			return nil, err
		}
		if !there {
			out = append(out, Sighting{Kind: SightingRemoved, Route: r.Prefix, Device: r.Device})
		}
	}
	return out, nil
}
