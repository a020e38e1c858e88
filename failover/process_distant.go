package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// This file is what a Router and a Node do when they are in a beat process.

// distantRouter returns a router that is in the beat process.
func (c *RouterConfig) distantRouter() (*Router, error) {
	spec, owner, err := routerSpec(c)
	if err != nil {
		return nil, err
	}
	log := c.Logger.With(slog.Int("vrid", int(c.VRID)), slog.String("iface", c.Device))
	r := &Router{cfg: c, start: time.Now(), events: newEventQueue(log, c.OnEvent)}
	r.remote = c.Beat.member(spec, owner, c.OnRole, r.events, log)
	return r, nil
}

// distantNode returns a node that is in the beat process.
func (c *Config) distantNode() (*Node, error) {
	spec, owner, err := nodeSpec(c)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: c, start: time.Now(), events: newEventQueue(c.Logger, c.OnEvent)}
	n.remote = c.Beat.member(spec, owner, c.OnRole, n.events, c.Logger)
	return n, nil
}

func (r *Router) distantStatus() RouterStatus {
	s := RouterStatus{VRID: r.cfg.VRID, Device: r.cfg.Device, Version: r.cfg.Version, Priority: r.cfg.Priority, Interval: r.cfg.Interval, Since: r.start}
	err := r.remote.status(&s)
	s.EventsLost += r.events.losses()
	if err != nil {
		s.Role, s.Reason, s.Open, s.Serving, s.Error = r.remote.present(), err.Error(), false, false, err.Error()
	}
	return s
}

func (n *Node) distantStatus() Status {
	var w wireStatus
	w.Primary, w.Since = n.cfg.Primary, n.start
	err := n.remote.status(&w)
	s := w.Status
	s.Partner.Digest = w.PartnerDigest
	s.EventsLost += n.events.losses()
	if err != nil {
		s.Role, s.Reason, s.Serving, s.Partner.Alive = n.remote.present(), err.Error(), false, false
	}
	return s
}

func (n *Node) distantDocument() []byte {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	body, err := n.remote.ask(ctx, verbPartner, nil)
	var document []byte
	if err != nil || json.Unmarshal(body, &document) != nil {
		return nil
	}
	return document
}

// yield asks for the hand-over; without a process there is nothing to hand over.
func (m *remote) yield() error {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	_, err := m.ask(ctx, verbYield, nil)
	if errors.Is(err, errNoBeat) {
		return fmt.Errorf("%w: %w", ErrNotActive, err)
	}
	return err
}
