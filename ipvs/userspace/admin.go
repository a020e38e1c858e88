package userspace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Configure replaces [Config.Services] as a whole. Services that are in the
// table follow at once: addresses that are new to one are opened, those that
// are gone are closed, and its connections go on under the new settings. What
// is in the table and can no longer be without a declaration, because that is
// gone, stays as it was until it is deleted. A value that is invalid changes
// nothing at all; a service that cannot open an address keeps all it had, and
// the error names it.
func (b *Balancer) Configure(ctx context.Context, services map[ipvs.ServiceKey]ServiceConfig) error {
	for key, c := range services {
		if err := c.validate(); err != nil {
			return fmt.Errorf("configure service %v: %w", key, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fmt.Errorf("configure: %w", ErrClosed)
	}
	b.declared = cloneServices(services)
	var todo []*service
	for _, s := range b.services {
		if _, declared := b.declared[s.key]; declared || !s.key.IsMark() && s.key.Addr.Port() != 0 {
			todo = append(todo, s)
		}
	}
	// One may wait for an address that another is about to give up.
	for {
		var failed []*service
		var errs []error
		for _, s := range todo {
			if err := s.configure(ctx, b.declared[s.key]); err != nil {
				failed, errs = append(failed, s), append(errs, fmt.Errorf("configure service %v: %w", s.key, err))
			}
		}
		if len(failed) == 0 || len(failed) == len(todo) {
			return errors.Join(errs...)
		}
		todo = failed
	}
}

func cloneServices(services map[ipvs.ServiceKey]ServiceConfig) map[ipvs.ServiceKey]ServiceConfig {
	out := maps.Clone(services)
	for key, c := range out {
		c.Listen = slices.Clone(c.Listen)
		out[key] = c
	}
	return out
}

// configure brings the sockets and settings of a service to a declaration, or
// leaves all of them.
func (s *service) configure(ctx context.Context, c ServiceConfig) error {
	want, err := places(s.key, c)
	if err != nil {
		return err
	}
	for _, p := range want {
		for _, d := range s.dests {
			if err := d.notAt(p.addr); err != nil {
				return err
			}
		}
	}
	old := make(map[place]listener, len(s.fronts))
	for _, l := range s.fronts {
		old[l.place] = l
	}
	var fronts, opened []listener
	ports, declared := s.ports, s.declared
	s.ports, s.declared = len(want), c
	for _, p := range want {
		l, ok := old[p]
		if ok {
			delete(old, p)
		} else {
			if l, err = s.listenAt(ctx, p); err != nil {
				for _, l := range opened {
					s.closeListener(l)
				}
				s.ports, s.declared = ports, declared
				return err
			}
			opened = append(opened, l)
		}
		fronts = append(fronts, l)
	}
	for _, l := range old {
		s.closeListener(l)
	}
	s.fronts = fronts
	s.setOptions()
	return nil
}

// Timeouts returns the time-outs of services that have none of their own, as
// TCP the one of idle connections; there zero is none.
func (b *Balancer) Timeouts(ctx context.Context) (ipvs.Timeouts, error) {
	if err := b.open(ctx, ipvs.OpGetTimeouts); err != nil {
		return ipvs.Timeouts{}, err
	}
	defer b.mu.Unlock()
	return ipvs.Timeouts{TCP: b.cfg.IdleTimeout, TCPFin: b.cfg.FinTimeout, UDP: b.cfg.UDPTimeout}, nil
}

// SetTimeouts changes the time-outs, in whole seconds, a fraction rounded up;
// zero leaves one as it is. Connections that are open follow, and so do those
// that have closed in order and still count. More than [ipvs.MaxPersistence] is refused,
// as it is by kernels.
func (b *Balancer) SetTimeouts(ctx context.Context, t ipvs.Timeouts) error {
	err := t.Validate()
	if longest := max(t.TCP, t.TCPFin, t.UDP); err == nil && longest > ipvs.MaxPersistence {
		err = withErrno(syscall.EINVAL, fmt.Errorf("timeout %v: want at most %v", longest, ipvs.MaxPersistence))
	}
	if err != nil {
		return &ipvs.OpError{Op: ipvs.OpSetTimeouts, Err: err}
	}
	if err := b.open(ctx, ipvs.OpSetTimeouts); err != nil {
		return err
	}
	defer b.mu.Unlock()
	for _, p := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&b.cfg.IdleTimeout, t.TCP}, {&b.cfg.FinTimeout, t.TCPFin}, {&b.cfg.UDPTimeout, t.UDP}} {
		if p.d > 0 {
			*p.to = (p.d + time.Second - 1).Truncate(time.Second)
		}
	}
	for _, s := range b.services {
		s.setOptions()
	}
	return nil
}

// Zero sets the counters and rates of a service and its destinations to zero,
// not the counts of their connections.
func (b *Balancer) Zero(ctx context.Context, key ipvs.ServiceKey) error {
	if err := key.Validate(); err != nil {
		return &ipvs.OpError{Op: ipvs.OpZero, Service: key, Err: withErrno(syscall.EINVAL, err)}
	}
	b.conns.flush()
	if err := b.open(ctx, ipvs.OpZero); err != nil {
		return err
	}
	defer b.mu.Unlock()
	s, ok := b.services[key]
	if !ok {
		return &ipvs.OpError{Op: ipvs.OpZero, Service: key, Err: syscall.ESRCH}
	}
	s.zero()
	return nil
}

// ZeroAll is Zero for all services.
func (b *Balancer) ZeroAll(ctx context.Context) error {
	b.conns.flush()
	if err := b.open(ctx, ipvs.OpZeroAll); err != nil {
		return err
	}
	defer b.mu.Unlock()
	for _, s := range b.services {
		s.zero()
	}
	return nil
}

// open locks the table of a balancer that is open, unless ctx has ended.
func (b *Balancer) open(ctx context.Context, op ipvs.Op) error {
	if err := ctx.Err(); err != nil {
		return &ipvs.OpError{Op: op, Err: err}
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return &ipvs.OpError{Op: op, Err: ErrClosed}
	}
	return nil
}
