package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// This file is what a Router and a Node do when they are in a beat process.

// distantRouter returns a router that is in the beat process.
func (c *RouterConfig) distantRouter(mac *virtualDevice) (*Router, error) {
	spec, owner, err := routerSpec(c)
	if err != nil {
		return nil, err
	}
	log := c.Logger.With(slog.Int("vrid", int(c.VRID)), slog.String("iface", c.Device))
	r := &Router{
		name: c.String(), cfg: c, own: *c.advert(), start: time.Now(), mu: new(sync.Mutex), events: newEventQueue(log, c.OnEvent),
	}
	r.remote = c.Beat.member(spec, owner, callbacks{role: c.OnRole}, r.events)
	r.remote.mac, r.remote.lastWord = mac, r.lastWord
	return r, nil
}

// lastWord tells the others that the router stops, as the process that would
// have cannot: they take over after their skew, and not after the down interval.
// With wait it returns when one of them has, or none will: until then the kernel
// answers to the addresses here, so that no packet finds nobody.
func (r *Router) lastWord(ctx context.Context, wait bool) {
	r.mu.Lock()
	c, socket, hold := r.cfg, r.socket(), r.orphanHold()
	r.mu.Unlock()
	conn, err := c.Transport.ListenAdverts(ctx, socket)
	if err != nil {
		return // the others find out by the silence
	}
	defer conn.Close()
	var keys *vrrp.Keys
	if len(c.Keys) > 0 {
		if keys, err = c.ring(); err != nil {
			return
		}
	}
	s := &Router{cfg: c, own: *c.advert(), conn: conn, keys: keys}
	all := func(netip.Addr, vrrp.Checksum) bool { return true } // who knows which form they take
	_ = s.say(vrrp.PriorityStop, all, conn.Send)                // as above
	if !wait {
		return
	}
	defer time.AfterFunc(hold, func() { _ = conn.Close() }).Stop() // ends Wait
	if s.hearAnother() {
		time.Sleep(settleTime)
	}
}

// settleTime is what another router needs from its first advert to its
// addresses, by far: keepalived and this one tell of them after 0.2 ms.
const settleTime = 5 * time.Millisecond

// hearAnother reports whether another router speaks before the socket is closed.
func (r *Router) hearAnother() bool {
	b := make([]byte, advertBuffer)
	for r.conn.Wait() == nil {
		for {
			p, ok, err := r.conn.Receive(b)
			if err != nil {
				return false
			}
			if !ok {
				break
			}
			if a, _, drop := r.judge(&p); drop == vrrp.DropNone && a.Priority != vrrp.PriorityStop {
				return true
			}
		}
	}
	return false
}

// distantNode returns a node that is in the beat process.
func (c *Config) distantNode() (*Node, error) {
	spec, owner, err := nodeSpec(c)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: c, start: time.Now(), events: newEventQueue(c.Logger, c.OnEvent)}
	n.remote = c.Beat.member(spec, owner, callbacks{c.OnRole, c.Witness, c.Fence}, n.events)
	return n, nil
}

// distantReconfigure hands a checked configuration on, with what stays in its
// place. The caller holds mu.
func (r *Router) distantReconfigure(c *RouterConfig) error {
	old := r.cfg
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	_, err := r.remote.ask(ctx, verbConfigure, c)
	if errors.Is(err, errNoBeat) {
		err = nil // a new process is told
	}
	var refused *distantError
	if errors.As(err, &refused) {
		return err
	}
	r.cfg, r.own = c, *c.advert()
	m := r.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	own := *c
	m.spec.Router = &own
	if c.Priority != old.Priority {
		m.forget(verbPriority)
	}
	return err
}

func (r *Router) distantStatus() RouterStatus {
	r.mu.Lock()
	cfg := r.cfg
	r.mu.Unlock()
	s := RouterStatus{VRID: cfg.VRID, Device: cfg.Device, Version: cfg.Version, Priority: cfg.Priority, Interval: cfg.Interval, Since: r.start}
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

// distantVerdicts asks for the partner's list, which comes as it is on the wire:
// its age is in the place of the clock.
func (n *Node) distantVerdicts() (list []pulse.Verdict, age time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	body, err := n.remote.ask(ctx, verbPartnerVerdicts, nil)
	var data []byte
	if err != nil || json.Unmarshal(body, &data) != nil || data == nil {
		return nil, 0, false
	}
	age, list, err = pulse.ParseVerdicts(data)
	return list, age, err == nil
}

// yield asks for the hand-over; without a process there is nothing to hand over.
func (m *remote) yield() error { return m.move(verbYield, ErrNotActive) }

// move asks for a hand-over in either direction. without says what it fails for
// if there is no process.
func (m *remote) move(verb string, without error) error {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	_, err := m.ask(ctx, verb, nil)
	if errors.Is(err, errNoBeat) {
		return fmt.Errorf("%w: %w", without, err)
	}
	return err
}

// setKeys hands checked keys on, and keeps them for a new process.
func (m *remote) setKeys(keys []pulse.Key) error {
	m.mu.Lock()
	own := *m.spec.Node
	own.Keys = keys
	m.spec.Node = &own
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	if _, err := m.ask(ctx, verbKeys, keys); !errors.Is(err, errNoBeat) {
		return err
	}
	return nil
}

// addresses asks for the status of the owner.
func (m *remote) addresses() (out []AddressStatus, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	body, err := m.ask(ctx, verbAddressStatus, nil)
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	return out, err == nil && out != nil
}
