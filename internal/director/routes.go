package director

import (
	"context"
	"errors"
	"slices"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/lvscf"
)

// virtualRoutes are routes in the terms of the owner of addresses.
func virtualRoutes(list []lvscf.Route) (out []failover.VirtualRoute) {
	for _, r := range list {
		out = append(out, failover.VirtualRoute(r))
	}
	return out
}

// leads tells whether a list has a route at the same place as r in the kernel's
// tables, where only one can be.
func leads(list []failover.VirtualRoute, r failover.VirtualRoute) bool {
	return slices.ContainsFunc(list, func(o failover.VirtualRoute) bool { return lvscf.Route(o).Place() == lvscf.Route(r).Place() })
}

// dropRoutes has members let go of routes that are not theirs in a new setup,
// and who leaves of those that another one gets: before the addresses go that
// lead to their gateways, and before the other one has them.
func dropRoutes(ctx context.Context, before []*member, next map[*member]carriage) error {
	var errs []error
	for _, m := range before {
		c, stays := next[m]
		rest := slices.DeleteFunc(slices.Clone(m.routes), func(r failover.VirtualRoute) bool {
			if stays {
				return !slices.Contains(c.routes, r)
			}
			for _, o := range next {
				if leads(o.routes, r) {
					return true
				}
			}
			return false
		})
		if m.addresses != nil && len(rest) < len(m.routes) {
			errs = append(errs, named(m.name(), m.addresses.SetRoutes(ctx, rest)))
			m.routes = rest
		}
	}
	return errors.Join(errs...)
}

// routeTexts are the routes of an elector, none if nobody carries them.
func routeTexts(m *member) (out []string) {
	if m.addresses == nil {
		return nil
	}
	for _, r := range m.routes {
		out = append(out, r.String())
	}
	return out
}
