package failover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// Reconfigure changes what can change while the router keeps its role and its
// adverts go on: Addresses, Priority, Interval, DownAdverts, NoPreempt,
// PreemptDelay, Peers, Password, Keys, KeyWindow and Checksum. An active router
// tells the others at once.
//
// VRID, Device, Version, Source, VirtualMAC, NoAccept and the family make another
// router; so do the step from or to vrrp.PriorityOwner and that between multicast
// and unicast. Of these the error names all that differ, and nothing is changed.
// Owner, OnRole, OnEvent, Transport, Logger and Beat stay what they were, whatever
// cfg has; what the owner owns changes by [Router.SetAddresses].
//
// A priority that differs from the last configured one takes the place of what
// SetPriority gave. Routers that are changed one after another differ meanwhile:
// for addresses and intervals that is an alarm and nothing else, but with
// another password they refuse each other and both serve. Keys change without
// that: give all routers the new one, then sign with it, then take the old one
// away.
func (r *Router) Reconfigure(ctx context.Context, cfg *RouterConfig) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := cfg.fill()
	if err != nil {
		return err
	}
	settle, err := r.dropAlso(c.Addresses)
	if err != nil {
		return err
	}
	defer settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reconfigure(c)
}

// CanReconfigure returns the error that [Router.Reconfigure] would have for a
// configuration that is wrong or makes another router, and changes nothing.
func (r *Router) CanReconfigure(cfg *RouterConfig) error {
	c, err := cfg.fill()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.fixed(c)
}

// reconfigure takes a checked configuration. The caller holds mu.
func (r *Router) reconfigure(c *RouterConfig) error {
	old := r.cfg
	if err := old.fixed(c); err != nil {
		return err
	}
	c.Owner, c.OnRole, c.OnEvent, c.Transport, c.Logger, c.Beat = old.Owner, old.OnRole, old.OnEvent, old.Transport, old.Logger, old.Beat
	if r.remote != nil {
		return r.distantReconfigure(c)
	}
	keys := r.keys
	if c.KeyWindow != old.KeyWindow || c.Interval != old.Interval || !slices.EqualFunc(c.Keys, old.Keys, vrrp.Key.Equal) {
		keys = nil
		if len(c.Keys) > 0 {
			var err error
			if keys, err = c.ring(); err != nil {
				return fmt.Errorf("failover: %w", err)
			}
			if r.keys != nil {
				keys.Inherit(r.keys)
			}
		}
	}
	r.cfg, r.own, r.keys = c, *c.advert(), keys
	for _, p := range r.peers {
		// Those that stopped speaking may have been changed, too.
		if p.mismatch != 0 {
			r.mended(p, "we are configured anew")
		}
	}
	params := c.params()
	r.step(vrrp.Event{Kind: vrrp.EventParams, Params: &params}, r.clock())
	return nil
}

// fixed returns what differs in n and cannot change.
func (c *RouterConfig) fixed(n *RouterConfig) error {
	var errs []error
	differ := func(what string, is, was any) {
		if is != was {
			errs = append(errs, fmt.Errorf("failover: %s %v instead of %v makes another router: end this one and run a new one", what, is, was))
		}
	}
	kind := func(c *RouterConfig) (family, priority, path string) {
		family, priority, path = "IPv4", "that of no owner", "multicast"
		if c.six() {
			family = "IPv6"
		}
		if c.Priority == vrrp.PriorityOwner {
			priority = "that of an owner"
		}
		if len(c.Peers) > 0 {
			path = "unicast"
		}
		return family, priority, path
	}
	differ("VRID", n.VRID, c.VRID)
	differ("device", n.Device, c.Device)
	differ("version", n.Version, c.Version)
	differ("source", n.Source, c.Source)
	differ("virtual MAC", n.VirtualMAC, c.VirtualMAC)
	differ("refusal to accept", n.NoAccept, c.NoAccept)
	family, priority, path := kind(n)
	wasFamily, wasPriority, wasPath := kind(c)
	differ("family", family, wasFamily)
	differ("priority", priority, wasPriority)
	differ("path", path, wasPath)
	return errors.Join(errs...)
}

// AddressSetter is an owner whose addresses can change, as [Addresses] is.
type AddressSetter interface {
	AddressOwner
	// Set replaces the set of addresses. While they are held, those that fell
	// out are removed, new ones are added, and the others are not touched.
	Set(ctx context.Context, addrs []VirtualAddress) error
}

// SetAddresses changes the virtual addresses: advertised is what adverts tell
// from now on, in that order, and owned what the owner has. The role stays, and
// so do the addresses that are in both sets, in whatever order. A nil owned
// leaves the owner alone. The error is that of the owner's Set, if the adverts
// changed, or says why nothing did; it is errors.ErrUnsupported for an owner
// that is no [AddressSetter].
func (r *Router) SetAddresses(ctx context.Context, advertised []netip.Addr, owned []VirtualAddress) error {
	if err := ctx.Err(); err != nil {
		return err // before the adverts say what the owner will not have
	}
	settle, err := r.dropAlso(advertised)
	if err != nil {
		return err
	}
	defer settle()
	r.mu.Lock()
	before := r.own
	c := *r.cfg
	owner, can := c.Owner.(AddressSetter)
	c.Addresses = advertised
	f, err := c.fill()
	switch {
	case err != nil:
	case owned != nil && !can:
		err = fmt.Errorf("failover: the owner %T cannot change its addresses: %w; give it a Set method", c.Owner, errors.ErrUnsupported)
	default:
		err = r.reconfigure(f)
	}
	other := vrrp.Compare(&before, &r.own)&vrrp.MismatchAddresses != 0
	r.mu.Unlock()
	if err != nil || owned == nil {
		return err
	}
	err = owner.Set(ctx, owned)
	if other {
		r.Announce() // Set did it once, and frames get lost
	}
	return err
}
