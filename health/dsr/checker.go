package dsr

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// confirmWithin bounds the look into the table after an answer when the
// check's own time is over.
const confirmWithin = 40 * time.Millisecond

// Checker asks a check through a [Path]. It needs no closing: its private
// service goes when it is asked no more. It is safe for concurrent use.
type Checker struct {
	m        *Manager
	path     Path
	inner    func(health.Dial) (health.Checker, error)
	identity string

	mu     sync.Mutex
	dial   health.Dial
	made   health.Checker // what inner made of dial
	proven *way           // an answer came this way, whatever its look
}

// Checker returns a check at the virtual address of a path. inner makes the
// check from a Dial whose Source, Mark and Namespace it must take over; it
// may set the rest. It is called again when one of them changes, and must give
// the same check each time. The error names what cannot be used, or is
// inner's.
//
// Its target's address is not read: the path says where to ask. Its identity
// is that of the check without a mark, with the path.
func (m *Manager) Checker(p Path, inner func(health.Dial) (health.Checker, error)) (*Checker, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("check through the virtual address: %w", err)
	}
	plain, err := inner(health.Dial{Source: p.Source, Namespace: m.cfg.Namespace})
	if err != nil {
		return nil, err
	}
	if _, icmp := plain.(*health.ICMP); icmp {
		return nil, errors.New("check through the virtual address: an echo has no port, and marks do not lead it to a server: use another kind")
	}
	p.Virtual = netip.AddrPortFrom(p.Virtual.Addr().Unmap(), p.Virtual.Port())
	return &Checker{
		m: m, path: p, inner: inner,
		identity: fmt.Sprintf("%s at %v", plain.Identity(), p),
	}, nil
}

// Identity names the check, the virtual address and the way to the server.
func (c *Checker) Identity() string { return c.identity }

// Check asks once. Beside the verdicts of the check itself it has no result
// when the private service cannot be made or was taken away, when nothing went
// through it, and when an answer could not have reached this machine.
func (c *Checker) Check(ctx context.Context, t health.Target) health.Result {
	start := time.Now()
	nothing := func(format string, args ...any) health.Result {
		return health.Result{Reason: "virtual address: " + fmt.Sprintf(format, args...), Start: start, Duration: time.Since(start)}
	}
	l, err := c.m.acquire(ctx, c.path.key())
	if err != nil {
		return nothing("%v", err)
	}
	defer c.m.release(l)
	l.making.Lock()
	generation := l.generation
	l.making.Unlock()
	w, err := c.m.look(c.m.cfg.Namespace, &c.path)
	if err != nil {
		return nothing("%v", err)
	}
	inner, err := c.with(health.Dial{Source: w.source, Mark: l.mark, Namespace: c.m.cfg.Namespace})
	if err != nil {
		return nothing("%v", err)
	}
	if ctx.Err() != nil {
		return nothing("the private service and the way were not ready in the time of the check (%v): give it a longer timeout", time.Since(start).Round(time.Millisecond))
	}
	r := inner.Check(ctx, health.Target{Addr: c.path.Virtual, Name: t.Name})
	if r.Verdict == health.NoResult {
		r.Reason = c.at(r.Reason)
		return r
	}
	end := time.Now().Add(confirmWithin)
	if own, ok := ctx.Deadline(); !ok {
		end = start.Add(health.DefaultTimeout)
	} else if own.After(end) {
		end = own
	}
	after, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	there, carried, err := c.m.through(after, l, generation)
	switch {
	case err != nil:
		r.Verdict, r.Reason = health.NoResult, fmt.Sprintf("virtual address: cannot tell where the check went: %v", err)
	case !there:
		r.Verdict, r.Reason = health.NoResult, fmt.Sprintf("virtual address: the private service %v was taken out of the table by another program; the next check puts it back", l.service())
	case !carried:
		more := ""
		if ctx.Err() != nil {
			more = "give it a longer timeout, if it had no time to send; else "
		}
		r.Verdict, r.Reason = health.NoResult, fmt.Sprintf("virtual address: the check did not go through the private service %v; %slook for a rule of this machine's firewall that sets the mark of outgoing packets (hook output), or for a route that the mark chooses", l.service(), more)
	default:
		c.judge(&r, w)
		return r
	}
	r.Weight = nil
	return r
}

// judge completes a result that came through the private service.
func (c *Checker) judge(r *health.Result, w way) {
	if r.Verdict == health.OK {
		c.prove(w)
		r.Reason = c.at(r.Reason)
		return
	}
	answered := len(r.Phases) > 1 || len(r.Seen) > 0
	if trap := w.trap(c.path.Virtual.Addr()); trap != "" && !answered && !c.isProven(w) {
		r.Verdict, r.Weight = health.NoResult, nil
		r.Reason = "virtual address: " + trap + "; so it is not known what the server says (" + r.Reason + ")"
		return
	}
	r.Reason = c.at(r.Reason) + c.advice()
}

// at says where the check was asked.
func (c *Checker) at(reason string) string {
	return fmt.Sprintf("%s; at %v", reason, c.path)
}

// advice says where to look when a server fails this way.
func (c *Checker) advice() string {
	virtual := c.path.Virtual
	if k := c.path.key(); k.forward == ipvs.Tunnel {
		return fmt.Sprintf(": look on the server for a tunnel device (%v) that is up with rp_filter=0, for the address %v on it, and for a program that listens there", k.tunnel.Type, virtual.Addr())
	}
	return fmt.Sprintf(": look on the server for the address %v on its loopback, and for a program that listens on %v", virtual.Addr(), virtual)
}

// with returns the check with a dial, made anew when that has changed.
func (c *Checker) with(d health.Dial) (health.Checker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != nil && c.dial == d {
		return c.made, nil
	}
	made, err := c.inner(d)
	if err != nil {
		return nil, err
	}
	c.made, c.dial = made, d
	return made, nil
}

func (c *Checker) prove(w way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proven == nil || *c.proven != w {
		c.proven = &w
	}
}

func (c *Checker) isProven(w way) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proven != nil && *c.proven == w
}
