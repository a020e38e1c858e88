package failover

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// RouterStatus is what a [Router] knows at one moment.
type RouterStatus struct {
	// Role, since when, and why. The reason names the active router, what is
	// the matter with the device, and packets that are refused with what mends
	// it.
	Role   Role      `json:"role"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Group is the name of the group that it moves with, empty if there is
	// none.
	Group string `json:"group,omitempty"`
	// VRID, Device and Version as configured.
	VRID    uint8  `json:"vrid"`
	Device  string `json:"device"`
	Version uint8  `json:"version"`
	// VirtualDevice carries the virtual MAC and the addresses, empty without.
	VirtualDevice string `json:"virtual_device,omitempty"`
	// Source is the address of our adverts, the zero address without a socket.
	Source netip.Addr `json:"source"`
	// Priority is the effective one.
	Priority uint8 `json:"priority"`
	// Interval is our own; Down is the silence after which the active router
	// counts as gone, by the interval that it told.
	Interval time.Duration `json:"interval"`
	Down     time.Duration `json:"down"`
	// Active is another router that is active, as far as it was heard, with
	// its priority; the zero address if there is none. While this router is
	// active it is a rival.
	Active         netip.Addr `json:"active"`
	ActivePriority uint8      `json:"active_priority"`
	Rival          bool       `json:"rival"`
	// Serving: the role hook and the addresses are through. It follows Role
	// with the time that they take.
	Serving bool `json:"serving"`
	// AddressError is the trouble with hook or addresses, empty if none.
	AddressError string `json:"address_error,omitempty"`
	// Addresses is what the owner knows of them, if it is [Addresses] or has a
	// Status like it.
	Addresses []AddressStatus `json:"addresses,omitempty"`
	// Open: the socket is there. Error is why not, why the device carries no
	// packets, or why sending fails.
	Open  bool   `json:"open"`
	Error string `json:"error,omitempty"`
	// Peers are the routers that were heard, at most 16, the latest last.
	Peers []RouterPeer `json:"peers"`
	// Sent and Received count packets; Drops those that were refused, by
	// reason, without the reasons that never occurred, and LastDrops when the
	// last one of each came.
	Sent      uint64               `json:"sent"`
	Received  uint64               `json:"received"`
	Drops     map[string]uint64    `json:"drops,omitempty"`
	LastDrops map[string]time.Time `json:"last_drops,omitempty"`
	// Stalls counts how often the router itself stood still for more than an
	// interval.
	Stalls uint64 `json:"stalls"`
	// EventsLost counts events that OnEvent was too slow for.
	EventsLost uint64 `json:"events_lost"`
}

// RouterPeer is what a [Router] knows of another one. Only active routers
// speak, so a backup may be unknown.
type RouterPeer struct {
	Addr      netip.Addr `json:"addr"`
	LastHeard time.Time  `json:"last_heard"`
	// Priority, Version, Interval and Addresses are what it told last; a
	// priority of 0 says that it stopped, or that it is a backup which complains
	// of a mismatch.
	Priority  uint8         `json:"priority"`
	Version   uint8         `json:"version"`
	Interval  time.Duration `json:"interval"`
	Addresses []netip.Addr  `json:"addresses"`
	// Checksum is its form with version 3 over IPv4.
	Checksum vrrp.Checksum `json:"checksum"`
	// Mismatch has a line for each way in which its configuration differs
	// from ours, with what mends it.
	Mismatch []string `json:"mismatch,omitempty"`
}

// Status returns the present state.
func (r *Router) Status() RouterStatus {
	if r.remote != nil {
		return r.distantStatus()
	}
	addresses := r.effects.addresses() // before mu, which no address may hold up
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.machine
	s := RouterStatus{
		Role: r.role, Since: r.start.Add(r.since), Reason: r.reason(r.clock()),
		VRID: r.cfg.VRID, Device: r.cfg.Device, Version: r.cfg.Version,
		Priority: m.Priority(), Interval: r.cfg.Interval, Down: m.DownInterval(), Rival: m.Rival(),
		Open: r.conn != nil, Sent: r.sent, Received: r.received, Stalls: r.stalls, EventsLost: r.events.losses(), Addresses: addresses,
	}
	if r.virtual != nil {
		s.VirtualDevice = r.virtual.name
	}
	s.Active, s.ActivePriority = m.Active()
	if r.group != nil {
		s.Group = r.group.name
	}
	var err error
	if s.Serving, err = r.effects.status(); err != nil {
		s.AddressError = err.Error()
	}
	if r.conn != nil {
		s.Source = r.conn.Source()
	}
	if r.connErr != nil {
		s.Error = r.connErr.Error()
	} else if r.sendErr != nil {
		s.Error = r.sendErr.Error()
	}
	for _, p := range r.peers {
		s.Peers = append(s.Peers, RouterPeer{
			Addr: p.addr, LastHeard: r.start.Add(p.at), Priority: p.advert.Priority, Version: p.advert.Version,
			Interval: p.advert.Interval, Addresses: slices.Clone(p.advert.Addrs), Checksum: p.form, Mismatch: slices.Clone(p.explained),
		})
	}
	slices.SortFunc(s.Peers, func(a, b RouterPeer) int { return a.LastHeard.Compare(b.LastHeard) })
	for d, n := range r.drops {
		if n > 0 {
			if s.Drops == nil {
				s.Drops, s.LastDrops = make(map[string]uint64), make(map[string]time.Time)
			}
			s.Drops[vrrp.Drop(d).String()] = n
			s.LastDrops[vrrp.Drop(d).String()] = r.start.Add(r.dropped[d])
		}
	}
	return s
}
