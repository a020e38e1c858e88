package failover

import (
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// complainEvery is how often a backup tells the active router that it is
	// configured in another way.
	complainEvery = time.Minute
	// complainExpires is when a mismatch counts as mended that nobody complains
	// of any more.
	complainExpires = 5 * complainEvery / 2
	// complainSkew is the least that other backups have to wait after a
	// complaint, so that the active router answers before them.
	complainSkew = 2 * time.Millisecond
	// mismatchesTold bounds the EventMismatch of a complainEvery, as others
	// decide what they say: it is enough for all that are remembered.
	mismatchesTold = maxRouterPeers
)

// compare tells when the configuration of another router begins or ceases to
// differ from ours.
func (r *Router) compare(p *routerPeer, a *vrrp.Advert) {
	if a.Priority == vrrp.PriorityStop && len(a.Addrs) == 0 {
		return // some say nothing in their last word
	}
	was := p.mismatch
	p.mismatch = vrrp.Compare(&r.own, a)
	if a.Priority == vrrp.PriorityStop {
		p.mismatch |= was & vrrp.MismatchPriority // it did not tell another one
	}
	if p.mismatch == 0 {
		if was != 0 {
			r.mended(p, "")
		}
		return
	}
	if lines := p.mismatch.Explain(&r.own, a); !slices.Equal(lines, p.explained) {
		p.explained, p.untold = lines, true
	}
	if p.untold && r.mayTell() {
		p.untold, p.told = false, true
		r.events.emit(Event{Kind: EventMismatch, Peer: p.addr, Reason: strings.Join(p.explained, "; ")})
	}
}

// mayTell reports whether another EventMismatch is within the bound, and counts
// it.
func (r *Router) mayTell() bool {
	if now := r.clock(); now-r.tellFrom >= complainEvery {
		r.tellFrom, r.tells = now, 0
	}
	r.tells++
	return r.tells <= mismatchesTold
}

func (r *Router) mended(p *routerPeer, why string) {
	if p.told {
		r.events.emit(Event{Kind: EventMismatchGone, Peer: p.addr, Reason: why})
	}
	p.mismatch, p.explained, p.untold, p.told = 0, nil, false, false
}

// complain lets the active router know, too, that a backup is configured in
// another way, as only who is active speaks otherwise: it sends an advert of
// priority 0, once a minute, and once more when all is well again. To that the
// active router answers with an advert, by any version of the standard, and
// another implementation logs or counts what differs. Other backups wait for
// their skew after it, so it is left out where that is next to nothing.
func (r *Router) complain(a *vrrp.Advert, mismatch vrrp.Mismatch, now time.Duration) {
	if s, _, _ := r.machine.State(); s != vrrp.StateBackup || a.Priority == vrrp.PriorityStop {
		return
	}
	differs := mismatch&^vrrp.MismatchPriority != 0
	unit := a.Interval
	if a.Version == 2 {
		unit = time.Second
	}
	switch {
	case time.Duration(256-int(a.Priority))*unit/256 < complainSkew:
		return
	case differs && r.complained != 0 && now-r.complained < complainEvery, !differs && !r.differed:
		return
	}
	// Not even one that says this and that in turn makes us say more than a
	// complaint and its end a minute.
	if r.differed = differs; differs {
		r.complained = max(now, 1)
	}
	r.complaining = true
	r.send(vrrp.PriorityStop)
	r.complaining = false
}

// expire ends mismatches that nobody told for long, so that a router that was
// mended while it was down, and is a backup now, is not held against it.
func (r *Router) expire(now time.Duration) {
	for _, p := range r.peers {
		if p.mismatch != 0 && now-p.at > complainExpires {
			r.mended(p, "it does not complain any more")
		}
	}
}
