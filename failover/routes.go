package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// RouteProtocol marks the routes that came with the addresses, as "proto 112"
// of ip-route(8): only such routes are ever removed.
const RouteProtocol = 112

// VirtualRoute is a route that moves between the nodes together with the
// addresses.
type VirtualRoute struct {
	// Prefix is the destination, as 198.51.100.0/24; 0.0.0.0/0 and ::/0 are
	// default routes.
	Prefix netip.Prefix `json:"prefix"`
	// Gateway is the next hop; the zero address is a destination that is on
	// the device's own network.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Device is the way out, as eth0; empty is the one on whose network the
	// gateway is.
	Device string `json:"device,omitempty"`
	// Source is the address that the machine itself sends from by this route,
	// mostly one of the virtual ones; the zero address leaves that to the
	// kernel.
	Source netip.Addr `json:"source,omitzero"`
	// Metric orders routes with the same destination, the lowest wins; with
	// IPv6, 0 means 1024, as the kernel has it.
	Metric uint32 `json:"metric,omitempty"`
	// Table is the routing table; 0 means the main one, 254.
	Table uint32 `json:"table,omitempty"`
}

// String returns the route as ip-route(8) would be told it.
func (r VirtualRoute) String() string {
	s := r.Prefix.String()
	add := func(word string, v any, there bool) {
		if there {
			s += fmt.Sprintf(" %s %v", word, v)
		}
	}
	add("via", r.Gateway, r.Gateway.IsValid())
	add("dev", r.Device, r.Device != "")
	add("src", r.Source, r.Source.IsValid())
	add("metric", r.Metric, r.Metric != 0)
	add("table", r.Table, r.Table != 0)
	return s
}

func (r VirtualRoute) check() error {
	six := r.Prefix.Addr().Is6()
	of := func(a netip.Addr) bool {
		return !a.IsValid() || a.Is6() == six && !a.Is4In6() && !a.IsMulticast() && !a.IsUnspecified() && a.Zone() == ""
	}
	switch {
	case !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6():
		return fmt.Errorf("failover: virtual route by %q: not a destination with a prefix length, as 198.51.100.0/24", r.Device)
	case r.Prefix != r.Prefix.Masked():
		return fmt.Errorf("failover: virtual route to %v: bits are set beyond the prefix; use %v", r.Prefix, r.Prefix.Masked())
	case r.Prefix.Addr().IsMulticast():
		return fmt.Errorf("failover: virtual route to %v: must be unicast", r.Prefix)
	case !r.Gateway.IsValid() && r.Device == "":
		return fmt.Errorf("failover: virtual route to %v: give a gateway, a device or both", r.Prefix)
	case !of(r.Gateway):
		return fmt.Errorf("failover: virtual route to %v: gateway %v: must be a unicast address of the same family without a zone", r.Prefix, r.Gateway)
	case !of(r.Source):
		return fmt.Errorf("failover: virtual route to %v: source %v: must be a unicast address of the same family without a zone", r.Prefix, r.Source)
	case strings.Contains(r.Device, ":"):
		return fmt.Errorf("failover: virtual route to %v: %q is not a device; give the device, as eth0", r.Prefix, r.Device)
	case r.Gateway.IsLinkLocalUnicast() && six && r.Device == "":
		return fmt.Errorf("failover: virtual route to %v: gateway %v is link-local: give its device", r.Prefix, r.Gateway)
	}
	return nil
}

// place is what the kernel tells routes apart by.
func (r VirtualRoute) place() VirtualRoute {
	p := VirtualRoute{Prefix: r.Prefix, Metric: r.Metric, Table: cmp.Or(r.Table, mainTable)}
	if r.Prefix.Addr().Is6() {
		p.Metric = cmp.Or(p.Metric, metric6)
	}
	return p
}

const (
	mainTable = 254  // RT_TABLE_MAIN in linux/rtnetlink.h
	metric6   = 1024 // IP6_RT_PRIO_USER in linux/ipv6_route.h
)

func checkRoutes(in []VirtualRoute) ([]VirtualRoute, error) {
	var errs []error
	seen := make(map[VirtualRoute]VirtualRoute)
	var out []VirtualRoute
	for _, r := range in {
		if err := r.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := seen[r.place()]; !ok {
			seen[r.place()] = r
			out = append(out, r)
		} else if other != r {
			errs = append(errs, fmt.Errorf("failover: virtual route %v is given twice, also as %v: make the metrics differ", r, other))
		}
	}
	return out, errors.Join(errs...)
}

// routesMovedTo returns the routes with those of the device from on another one,
// as the addresses are: what a route is used for would otherwise be sent, and
// asked for, from the wrong hardware address.
func routesMovedTo(routes []VirtualRoute, from, to string) []VirtualRoute {
	out := slices.Clone(routes)
	for i := range out {
		if out[i].Device == from {
			out[i].Device = to
		}
	}
	return out
}

// routeKeeper is the system's side of the routes of Addresses.
type routeKeeper interface {
	// ensureRoutes adds those that are missing, in order, and returns them.
	ensureRoutes(ctx context.Context, routes []VirtualRoute) (added []VirtualRoute, err error)
	// removeRoutes removes those that ensureRoutes added, now or in an earlier
	// process, the last one first.
	removeRoutes(ctx context.Context, routes []VirtualRoute) error
}

// SetRoutes replaces the set of routes. While the addresses are held, routes
// that fell out are removed, new ones are added, and the others are not
// touched. A set with an error is refused whole.
func (a *Addresses) SetRoutes(ctx context.Context, routes []VirtualRoute) error {
	routes, err := checkRoutes(routes)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.givenRoutes = routes
	if from, to := a.moved[0], a.moved[1]; to != "" {
		routes = routesMovedTo(routes, from, to)
	}
	for _, r := range a.routes {
		if !slices.Contains(routes, r) && !slices.Contains(a.staleRoutes, r) {
			a.staleRoutes = append(a.staleRoutes, r)
		}
	}
	a.staleRoutes = slices.DeleteFunc(a.staleRoutes, func(r VirtualRoute) bool { return slices.Contains(routes, r) })
	a.routes = routes
	a.poke()
	if distant := a.distant; distant != nil {
		a.mu.Unlock()
		there, err := distant.own(ctx)
		a.mu.Lock()
		if there {
			return err
		}
	}
	errs := []error{a.dropStaleRoutes(ctx)}
	if a.held {
		_, err := a.ensureRoutes(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ensureRoutes and dropStaleRoutes are for who holds mu.
func (a *Addresses) ensureRoutes(ctx context.Context) ([]VirtualRoute, error) {
	if len(a.routes) == 0 {
		return nil, nil
	}
	return a.keeper.ensureRoutes(ctx, a.routes)
}

func (a *Addresses) dropStaleRoutes(ctx context.Context) error {
	if len(a.staleRoutes) == 0 {
		return nil
	}
	err := a.keeper.removeRoutes(ctx, a.staleRoutes)
	if err == nil {
		a.staleRoutes = nil
	}
	return err
}
