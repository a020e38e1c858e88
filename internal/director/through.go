package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/dsr"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// paths is what the checks of a setup reach the virtual addresses by. The
// director that runs the setup gives it the manager of its kernel's table;
// without one they ask at the servers' own addresses.
type paths struct {
	manager atomic.Pointer[dsr.Manager]
	// used: a check wants it.
	used bool
}

const pathsNote = "through = virtual has no effect without the kernel's table: the servers are asked at their own addresses, where the data plane reaches them, too"

// managePaths makes the manager of private services, nil for a data plane
// that is not the kernel's table.
func managePaths(cfg *Config) (*dsr.Manager, error) {
	plane, ok := cfg.Dataplane.(dsr.Plane)
	if !ok || cfg.DataplaneKind != KindKernel {
		return nil, nil
	}
	return dsr.New(plane, &dsr.Config{Logger: cfg.Logger})
}

// openPaths lets the checks of a setup use the director's manager.
func (d *Director) openPaths(s *Setup) {
	if s.paths != nil {
		s.paths.manager.Store(d.paths)
	}
}

// closedPaths tells that a setup's checks want what this director has not.
func (d *Director) closedPaths() bool {
	return d.paths == nil && d.setup.paths != nil && d.setup.paths.used
}

// names finds the names of services and destinations, those of private
// services included.
func (d *Director) names(s *Setup) func(ipvs.ServiceKey, ipvs.DestinationKey) string {
	names := s.names()
	if d.paths == nil {
		return names
	}
	private := make(map[ipvs.ServiceKey]string)
	for _, p := range d.paths.Services() {
		private[p.Service] = "health check by " + p.Server
	}
	return func(k ipvs.ServiceKey, dst ipvs.DestinationKey) string {
		if d.paths.Owns(k) {
			if dst.IsValid() {
				return ""
			}
			return private[k]
		}
		return names(k, dst)
	}
}

// reserved refuses a service for a firewall mark that belongs to the checks.
func reserved(k ipvs.ServiceKey) error {
	const first, last = dsr.DefaultFirstMark, dsr.DefaultFirstMark + dsr.DefaultMarks - 1
	if k.Mark < first || k.Mark > last {
		return nil
	}
	return fmt.Errorf("fwmark = %d: the marks %d to %d belong to checks through the virtual address: choose another", k.Mark, first, last)
}

// throughVirtual is a check at the virtual address, own the same at the
// server's.
func (s *Setup) throughVirtual(v *lvscf.Virtual, k *lvscf.Check, to ipvs.Destination, port uint16, own health.Checker, where string) (health.Checker, error) {
	idle := func(why string) (health.Checker, error) {
		s.note("%s: check %s: through = virtual has no effect %s", where, k.Name, why)
		return own, nil
	}
	switch {
	case !slices.Contains(lvscf.KindsThrough(), k.Kind):
		return idle(fmt.Sprintf("with kind = %s", k.Kind))
	case to.Forward != ipvs.DirectRoute && to.Forward != ipvs.Tunnel:
		return idle("with nat: its clients reach the server at its own address, where it is asked")
	case !v.Address.Addr.IsValid():
		return idle("without a virtual address")
	}
	for directive, given := range map[string]bool{"mark": k.Mark != 0, "address": k.Address.Addr.IsValid()} {
		if given {
			s.note("%s: check %s: %s has no effect with through = virtual", where, k.Name, directive)
		}
	}
	// These methods keep the port of the client's packet.
	if k.Port == 0 && v.Port != 0 {
		port = v.Port
	}
	c := &throughVirtual{
		own: own, paths: s.paths,
		path: dsr.Path{Virtual: netip.AddrPortFrom(v.Address.Addr, port), Destination: to, Source: k.Source.Addr},
		ask: func(d health.Dial) (health.Checker, error) {
			return s.questionBy(v, k, func(own *health.Dial) { own.Source, own.Mark, own.Namespace = d.Source, d.Mark, d.Namespace })
		},
	}
	// What cannot be asked is refused now, and not when a check is due.
	plain, err := c.ask(health.Dial{Source: k.Source.Addr})
	if err := errors.Join(c.path.Validate(), err); err != nil {
		return nil, fmt.Errorf("check %s: %w", k.Name, err)
	}
	c.identity = fmt.Sprintf("%s at %v", plain.Identity(), c.path)
	s.paths.used = true
	return c, nil
}

// throughVirtual asks at the virtual address as long as there is a manager,
// and at the server's own without one.
type throughVirtual struct {
	own      health.Checker
	paths    *paths
	path     dsr.Path
	ask      func(health.Dial) (health.Checker, error)
	identity string
	made     atomic.Pointer[dsr.Checker]
}

func (c *throughVirtual) Identity() string { return c.identity }

func (c *throughVirtual) Check(ctx context.Context, t health.Target) health.Result {
	m := c.paths.manager.Load()
	if m == nil {
		return c.own.Check(ctx, t)
	}
	through := c.made.Load()
	if through == nil {
		var err error
		if through, err = m.Checker(c.path, c.ask); err != nil {
			return health.Result{Reason: err.Error()}
		}
		c.made.Store(through)
	}
	return through.Check(ctx, t)
}
