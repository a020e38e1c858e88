package director

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// polled is what the electors said of themselves: one of a node, or the others.
type polled struct {
	members []*member
	node    failover.Status
	routers []failover.RouterStatus
	beat    control.Beat
	dead    []deadLink
}

// poll asks the electors. It must not be the loop that waits for their answers,
// which come from another process, for electors wait for the loop.
func (d *Director) poll() *polled {
	p := &polled{beat: d.describeBeat()}
	all := d.electing.all()
	if m := all[0]; m.node != nil {
		for _, o := range all {
			if !m.begun.Load() && o.begun.Load() && o.node != nil {
				m = o // it serves, maybe, until the other one begins
			}
		}
		p.node, p.members = m.node.Status(), []*member{m}
		p.dead = p.deadLinks(net.Interfaces)
		return p
	}
	for _, m := range all {
		if m.router == nil {
			continue // what failover_mode was before
		}
		p.members, p.routers = append(p.members, m), append(p.routers, m.router.Status())
	}
	p.dead = p.deadLinks(net.Interfaces)
	return p
}

// describeRole tells of the election. It belongs to the loop's goroutine.
func (d *Director) describeRole(p *polled) control.Role {
	var r control.Role
	if m := p.members[0]; m.node != nil {
		r = d.describeNode(m, &p.node)
	} else {
		r = describeRouters(p.members, p.routers)
	}
	r.Identity = d.identity
	r.Beat = p.beat
	r.Unreachable = d.setup.unreachable(p.dead)
	r.Sightings = d.loop.sightings.list()
	for _, m := range p.members {
		for _, t := range m.track.present().Status().Tracks {
			out := control.Tracked{Name: t.Name, Router: m.name(), OK: t.OK || !t.Known, Error: t.Error}
			if t.Known {
				since := t.Since
				out.Since = &since
			}
			r.Tracked = append(r.Tracked, out)
		}
	}
	runs, err := d.loop.syncing.status()
	for _, s := range runs {
		r.SyncDaemons = append(r.SyncDaemons, syncText(s))
	}
	if err != nil {
		r.SyncError = err.Error()
	} else if d.setup.Sync != nil && d.loop.syncing.plane == nil {
		r.SyncError = "this data plane copies no connections: only the kernel's does"
	}
	return r
}

// describeNode tells of a node of a pair.
func (d *Director) describeNode(m *member, n *failover.Status) control.Role {
	r := control.Role{
		Mode: lvscf.PulseMode.String(), Role: n.Role.String(), Reason: n.Reason, Since: n.Since, Rival: n.Rival,
		Channels: make([]control.Channel, 0, len(n.Channels)), Addresses: addressTexts(m), Routes: routeTexts(m),
		Refused: make(map[string]uint64), PartnerRefused: n.Partner.Refused, Error: n.AddressError, HandOver: n.HandOver, Legacy: n.Legacy,
	}
	if n.Partner.Known {
		r.Partner = &control.Partner{
			Role: n.Partner.Role.String(), Alive: n.Partner.Alive, HearsUs: n.Partner.Hears, Serving: n.Partner.Serving, ConfigDiffers: n.DigestMismatch,
			ClockOffsetMS: millis(n.Partner.ClockOffset), ClocksDiffer: n.Partner.ClocksDiffer,
			Verdicts: n.Partner.Verdicts, VerdictsAgeMS: millis(n.Partner.VerdictsAge),
		}
		m.partner.describe(r.Partner)
	}
	for _, c := range n.Channels {
		ch := control.Channel{Name: c.Name, Local: c.Local.String(), Peer: c.Peer.String(), Up: c.Up, Error: c.Error}
		if !c.LastHeard.IsZero() {
			at := c.LastHeard
			ch.LastHeard = &at
		}
		for reason, count := range c.Drops {
			r.Refused[reason] += count
		}
		r.RefusedAt = latest(r.RefusedAt, c.LastDrops)
		if c.Drops[pulse.DropKey.String()] > 0 && !c.Up && ch.Error == "" {
			ch.Error = "heartbeats come and are refused: give both routers the same key file"
		}
		r.Channels = append(r.Channels, ch)
	}
	r.AddressesHeld = m.addresses != nil && n.Serving && allHeld(n.Addresses)
	return r
}

// latest adds times to others by name, where they are later.
func latest(to, from map[string]time.Time) map[string]time.Time {
	for name, at := range from {
		if to == nil {
			to = make(map[string]time.Time)
		}
		if at.After(to[name]) {
			to[name] = at
		}
	}
	return to
}

// describeRouters tells of the virtual routers of VRRP, and in sum of the
// director: active if any of them is.
func describeRouters(members []*member, list []failover.RouterStatus) control.Role {
	sum := control.Role{
		Mode: lvscf.VRRPMode.String(), Channels: []control.Channel{}, Addresses: []string{}, Refused: make(map[string]uint64), AddressesHeld: true,
	}
	best := -1
	var others []string
	for i, m := range members {
		s := &list[i]
		r := describeRouter(m, s)
		sum.Routers = append(sum.Routers, r)
		for reason, n := range s.Drops {
			sum.Refused[reason] += n
		}
		sum.RefusedAt = latest(sum.RefusedAt, s.LastDrops)
		sum.Rival = sum.Rival || s.Rival
		if s.Role == failover.RoleActive || r.AddressesHeld { // who gave way may serve on for a moment
			sum.AddressesHeld = sum.AddressesHeld && r.AddressesHeld
			sum.Addresses = append(sum.Addresses, r.Addresses...)
		}
		if rank := roleRank(s.Role); rank > best {
			best, sum.Role, sum.Reason, sum.Since = rank, r.Role, r.Reason, r.Since
		}
	}
	for _, r := range sum.Routers {
		if r.Role != sum.Role {
			others = append(others, r.Name+" is "+r.Role)
		}
	}
	if len(others) > 0 {
		sum.Reason = strings.Join(others, ", ") + "; " + sum.Reason
	}
	if sum.AddressesHeld = sum.AddressesHeld && len(sum.Addresses) > 0; len(sum.Addresses) == 0 {
		for _, r := range sum.Routers {
			sum.Addresses = append(sum.Addresses, r.Addresses...)
		}
	}
	return sum
}

// roleRank orders roles by what they say of the director as a whole.
func roleRank(r failover.Role) int {
	switch r {
	case failover.RoleActive:
		return 4
	case failover.RoleLeaving:
		return 3
	case failover.RoleInit:
		return 2
	case failover.RoleBackup:
		return 1
	}
	return 0
}

func describeRouter(m *member, s *failover.RouterStatus) control.Router {
	r := control.Router{
		Name: m.name(), Group: s.Group, Role: s.Role.String(), Reason: s.Reason, Since: s.Since, VRID: s.VRID, Device: s.Device, Version: s.Version,
		Priority: s.Priority, IntervalMS: millis(s.Interval), DownMS: millis(s.Down), Rival: s.Rival,
		Addresses: addressTexts(m), Routes: routeTexts(m), AddressesHeld: m.addresses != nil && s.Serving && allHeld(s.Addresses),
		Error: cmp.Or(s.Error, s.AddressError), Peers: []control.RouterPeer{}, Refused: make(map[string]uint64),
		Sent: s.Sent, Received: s.Received, Stalls: s.Stalls,
	}
	if s.Source.IsValid() {
		r.Source = s.Source.String()
	}
	if s.Active.IsValid() {
		r.Active, r.ActivePriority = s.Active.String(), s.ActivePriority
	}
	switch {
	case m.failed != nil:
		r.Reason, r.Error = "it does not run: "+m.failed.Error(), m.failed.Error()
	case !m.begun.Load():
		r.Reason, r.Error = "it begins when what was there before it has left", ""
	}
	for _, p := range s.Peers {
		at := p.LastHeard
		r.Peers = append(r.Peers, control.RouterPeer{
			Address: p.Addr.String(), LastHeard: at, Priority: p.Priority, Version: p.Version, IntervalMS: millis(p.Interval), Mismatch: p.Mismatch,
		})
	}
	for reason, n := range s.Drops {
		r.Refused[reason] = n
	}
	return r
}

// describeBeat tells where the election runs.
func (d *Director) describeBeat() control.Beat {
	if d.cfg.Beat == nil {
		return control.Beat{Mode: "inline", Reason: d.cfg.BeatReason}
	}
	if !d.electing.beats() {
		return control.Beat{Mode: "inline", Reason: "there is no other router"}
	}
	s := d.cfg.Beat.Status()
	b := control.Beat{
		Mode: "process", PID: s.Pid, Starts: s.Starts, Priority: s.Priority, MemoryLocked: s.MemoryLocked, Limits: s.Limits, Error: s.Error,
	}
	if !s.Since.IsZero() {
		b.Since = &s.Since
	}
	return b
}

// allHeld tells that none of the addresses that an owner knows of is missing.
func allHeld(list []failover.AddressStatus) bool {
	return !slices.ContainsFunc(list, func(a failover.AddressStatus) bool { return !a.Held })
}

// lacking tells that an elector serves and some of its addresses are missing.
func (p *polled) lacking() bool {
	if p.node.Serving && !allHeld(p.node.Addresses) {
		return true
	}
	return slices.ContainsFunc(p.routers, func(s failover.RouterStatus) bool { return s.Serving && !allHeld(s.Addresses) })
}

// addressTexts are the addresses of an elector, none if nobody carries them.
func addressTexts(m *member) []string {
	out := make([]string, 0, len(m.list))
	if m.addresses == nil {
		return out
	}
	for _, a := range m.list {
		out = append(out, a.String())
	}
	return out
}

// syncText is a sync daemon in a few words.
func syncText(s ipvs.SyncDaemon) string {
	return fmt.Sprintf("%v on %s, id %d", s.Role, s.Interface, s.SyncID)
}
