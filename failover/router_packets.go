package failover

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// routerPeer is another router as it was heard, or is configured.
type routerPeer struct {
	addr      netip.Addr
	at        time.Duration // heard last
	form      vrrp.Checksum
	advert    vrrp.Advert
	mismatch  vrrp.Mismatch
	explained []string
	// The explanation was not told yet; a mismatch was, so its end has to be.
	untold, told bool
}

// take counts and judges one packet and hands it to the machine. The caller
// holds mu.
func (r *Router) take(p *AdvertPacket) {
	r.received++
	now := r.clock()
	a, form, drop := r.judge(p)
	if drop != vrrp.DropNone {
		r.refuse(drop, p, now)
		return
	}
	at := r.arrivals.at(p.At, now)
	mismatch := r.remember(p.Source, &a, form, at)
	r.complain(&a, mismatch, now)
	if r.role != RoleActive && a.Priority != vrrp.PriorityStop {
		r.effects.letGo(r.takeOverTime())
	}
	r.step(vrrp.Event{Kind: vrrp.EventHeard, Source: p.Source, Priority: a.Priority, Interval: a.Interval, At: at}, now)
}

// judge does the checks of a receiver in their order: RFC 9568, section 7.1,
// and RFC 3768, section 7.1. Two of them are not made, as what fails them is a
// sign of life all the same and refusing it makes two active routers: a
// version 2 with another interval, and other addresses than ours. They are
// told as a mismatch.
func (r *Router) judge(p *AdvertPacket) (a vrrp.Advert, form vrrp.Checksum, drop vrrp.Drop) {
	multicast := p.Destination.IsMulticast()
	if multicast && p.TTL != vrrp.TTL {
		return a, form, vrrp.DropTTL
	}
	a, form, rest, err := vrrp.ParseInto(r.addrs, p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
	if err != nil {
		return a, form, dropOf(err)
	}
	switch {
	case a.VRID != r.cfg.VRID:
		return a, form, vrrp.DropVRID
	case p.Source == r.conn.Source():
		return a, form, vrrp.DropOwn
	case multicast && len(r.cfg.Peers) > 0:
		return a, form, vrrp.DropMulticast
	case !multicast && len(r.cfg.Peers) == 0:
		return a, form, vrrp.DropUnicast
	case !multicast && !slices.Contains(r.cfg.Peers, p.Source):
		return a, form, vrrp.DropPeer
	case subtle.ConstantTimeCompare([]byte(a.Password), []byte(r.cfg.Password)) == 0:
		return a, form, vrrp.DropPassword
	case r.keys != nil:
		message := p.Payload[:len(p.Payload)-len(rest)]
		if err := r.keys.Open(message, rest, p.Source, time.Now(), len(r.cfg.Peers)); err != nil {
			return a, form, dropOf(err)
		}
	case len(rest) == vrrp.TrailerSize:
		return a, form, vrrp.DropSigned
	}
	return a, form, vrrp.DropNone
}

// dropOf returns the reason that an error of the codec is.
func dropOf(err error) vrrp.Drop {
	d, _ := errors.AsType[vrrp.Drop](err)
	return d
}

// remember notes what a router said of itself, and returns how it differs.
func (r *Router) remember(from netip.Addr, a *vrrp.Advert, form vrrp.Checksum, at time.Duration) vrrp.Mismatch {
	i := slices.IndexFunc(r.peers, func(p *routerPeer) bool { return p.addr == from })
	if i < 0 {
		if len(r.peers) == maxRouterPeers {
			oldest := slices.MinFunc(r.peers, func(a, b *routerPeer) int { return int(a.at - b.at) })
			r.peers = slices.DeleteFunc(r.peers, func(p *routerPeer) bool { return p == oldest })
		}
		i, r.peers = len(r.peers), append(r.peers, &routerPeer{addr: from})
	}
	p := r.peers[i]
	p.at = at
	if a.Version == 3 && !r.cfg.six() {
		p.form = form
	}
	// To say the same again is the usual, and costs nothing where it differs
	// from ours either.
	same := p.advert.Version == a.Version && p.advert.Priority == a.Priority && p.advert.Interval == a.Interval && slices.Equal(p.advert.Addrs, a.Addrs)
	addrs := append(p.advert.Addrs[:0], a.Addrs...) // a's are a buffer
	p.advert = *a
	p.advert.Addrs = addrs
	if p.mismatch == 0 || p.untold || !same {
		r.compare(p, a)
	}
	return p.mismatch
}

// send sends an advert to all, without waiting. The caller holds mu.
func (r *Router) send(priority uint8) {
	if r.conn == nil {
		return
	}
	r.setSendErr(r.say(priority, r.speaks, func(b []byte, to netip.Addr) error { return r.transmit(b, to, priority) }))
	r.expire(r.clock())
}

// say writes the packets of an advert: one for each peer, or for the group, in
// each form of the checksum that is spoken there. Only version 3 over IPv4 has
// more than one.
func (r *Router) say(priority uint8, spoken func(to netip.Addr, form vrrp.Checksum) bool, write func(b []byte, to netip.Addr) error) error {
	a, source := r.own, r.conn.Source()
	a.Priority = priority
	several := a.Version == 3 && !r.cfg.six()
	var errs []error
	say := func(to netip.Addr) {
		for _, form := range [...]vrrp.Checksum{vrrp.WithPseudoHeader, vrrp.MessageOnly} {
			if form == vrrp.MessageOnly && !several || several && !spoken(to, form) {
				continue
			}
			b, err := vrrp.Append(r.out[:0], &a, vrrp.Path{Source: source, Destination: to}, form)
			if err == nil {
				if r.keys != nil {
					b = r.keys.Sign(b, source, time.Now())
				}
				r.out = b
				err = write(b, to)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("failover: send to %v: %w", to, err))
				continue
			}
			r.sent++
		}
	}
	for _, to := range r.cfg.Peers {
		say(to)
	}
	if len(r.cfg.Peers) == 0 {
		say(vrrp.Group(r.cfg.six()))
	}
	return errors.Join(errs...)
}

// transmit sends one payload. The last word of a router that gives way, and the
// complaint of a backup, would teach the switch the wrong port for the virtual
// MAC.
func (r *Router) transmit(b []byte, to netip.Addr, priority uint8) error {
	if s, _, _ := r.machine.State(); s != vrrp.StateActive && (priority != vrrp.PriorityStop || r.complaining) {
		if c, ok := r.conn.(plainSender); ok {
			return c.SendPlain(b, to)
		}
	}
	return r.conn.Send(b, to)
}

func (r *Router) setSendErr(err error) {
	was := r.sendErr
	r.sendErr = err
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		r.events.emit(Event{Kind: EventChannelTrouble, Channel: r.cfg.Device, Err: err})
	case err == nil && was != nil:
		r.events.emit(Event{Kind: EventChannelMended, Channel: r.cfg.Device})
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.again = true
		r.wakeLoop()
	}
}

// formOf returns the form of checksum that a router uses itself.
func (r *Router) formOf(peer netip.Addr) vrrp.Checksum {
	for _, p := range r.peers {
		if p.addr == peer {
			return p.form
		}
	}
	return r.cfg.Checksum
}

// speaks reports whether a packet goes out in this form: to a peer in its own,
// by multicast in that of any router that was heard. It is the one form that all
// have, mostly.
func (r *Router) speaks(to netip.Addr, form vrrp.Checksum) bool {
	if len(r.cfg.Peers) > 0 {
		return form == r.formOf(to)
	}
	heard := false
	for _, p := range r.peers {
		if p.advert.Version == 3 {
			heard = true
			if p.form == form {
				return true
			}
		}
	}
	return !heard && form == r.cfg.Checksum
}

// refusal is the last packet of our number that was refused, so that a router
// that speaks and is not believed is not called silent.
type refusal struct {
	drop   vrrp.Drop
	source netip.Addr
	at     time.Duration
}

// refusedFor is how long a refusal is worth telling at least, as others may
// send more slowly than we do.
const refusedFor = 5 * time.Second

// why returns who was refused within the last dead time, with the cure, or
// nothing.
func (f *refusal) why(now, dead time.Duration) string {
	if f.drop == vrrp.DropNone || now-f.at > max(dead, refusedFor) {
		return ""
	}
	return fmt.Sprintf("packets from %v are refused (%s): %s", f.source, f.drop.String(), cure(f.drop))
}

// refuse counts a packet under its reason and tells the unusual ones.
func (r *Router) refuse(d vrrp.Drop, p *AdvertPacket, now time.Duration) {
	r.drops[d]++
	r.dropped[d] = now
	if d == vrrp.DropVRID || d == vrrp.DropCARP || len(p.Payload) > 1 && p.Payload[1] != r.cfg.VRID {
		return // others live on this network, too
	}
	if d != vrrp.DropOwn {
		r.refused = refusal{d, p.Source, now}
	}
	if r.told[d] == 0 || now-r.told[d] >= refusedEvery {
		r.told[d] = now
		r.events.emit(Event{Kind: EventRefused, Channel: r.cfg.Device, Peer: p.Source, Reason: d.String() + ": " + cure(d)})
	}
}

// cure says what mends a refusal.
func cure(d vrrp.Drop) string {
	switch d {
	case vrrp.DropTTL:
		return "it has crossed a router, or is forged; adverts by multicast have a hop limit of 255"
	case vrrp.DropVersion:
		return "use version 2 or 3 over IPv4, and 3 over IPv6"
	case vrrp.DropChecksum:
		return "damaged on the way, or by a program with a form of its own"
	case vrrp.DropAuth, vrrp.DropPassword:
		return "give all routers the same password, or none, and version 2"
	case vrrp.DropOwn:
		return "our own packets come back, by a loop of the network, or another machine has our address"
	case vrrp.DropMulticast:
		return "it sends by multicast and we by unicast: make all do the same"
	case vrrp.DropUnicast:
		return "it sends by unicast and we by multicast: make all do the same"
	case vrrp.DropPeer:
		return "it is not one of our peers: add it, or take the VRID away from it"
	case vrrp.DropUnsigned, vrrp.DropKey, vrrp.DropMAC:
		return "give all routers the same keys"
	case vrrp.DropSigned:
		return "it signs and we have no key: give all routers the same keys, or none"
	case vrrp.DropReplay:
		return "an old packet came again: a network that doubles packets, or somebody who replays them"
	case vrrp.DropClock:
		return "set the clocks of the routers, as by NTP"
	}
	return "the program that sends it is at fault"
}
