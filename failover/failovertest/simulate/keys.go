package simulate

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// sealed is a signed advert as it was sent, in world.wire.
type sealed struct {
	sender        uint8
	line          uint8
	at            time.Duration
	begin, length int32
}

// keyring is the keys of a router, with what it has believed with them.
type keyring struct {
	keys     *vrrp.Keys
	believed [maxNodes]int32 // the latest of each sender, as a number of world.sealed; 0: none
	setBack  bool            // its clock was, since it started
	addrs    []netip.Addr    // a buffer
}

func (k *keyring) start(w *world, i int) {
	if w.plan.signed {
		*k = keyring{keys: w.ring(i), addrs: make([]netip.Addr, 0, 1)}
		w.advert.Addrs = virtual[:]
	}
}

var virtual = [...]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 100})}

// The routers change their keys in steps, which one after another takes: all get
// the next one, all sign with it, all forget the one before.
const (
	stepHasOne  = iota // and signs with it
	stepHasNext        // and signs with the old one
	stepSigns          // with the new one, and has the old one
	steps
)

// grain is how exact a stamp is.
const grain = time.Second / 65536

// epoch is what the clocks of the day show when a schedule begins.
var epoch = time.Unix(1_700_000_000, 0)

// wall is what the clock of machine i shows.
func (w *world) wall(i int) time.Time { return epoch.Add(w.now + w.hosts[i].day + w.plan.skew[i]) }

func (w *world) key(generation int) vrrp.Key {
	secret := make([]byte, vrrp.MinKey)
	binary.BigEndian.PutUint64(secret, uint64(generation))
	return vrrp.Key{ID: uint8(1 + generation%255), Secret: secret}
}

// ring makes the keys of machine i as it is configured now.
func (w *world) ring(i int) *vrrp.Keys {
	g := w.hosts[i].step / steps
	old, next := w.key(g), w.key(g+1)
	list := [...][]vrrp.Key{stepHasOne: {old}, stepHasNext: {old, next}, stepSigns: {next, old}}[w.hosts[i].step%steps]
	k, err := vrrp.NewKeys(w.plan.window, list...)
	if err != nil {
		panic(err) // these keys are right
	}
	return k
}

// rotate takes the next step on machine i, if all others have taken the one
// before, and what was signed until then has come.
func (w *world) rotate(i int) {
	h := &w.hosts[i]
	for j := range w.plan.nodes {
		o := &w.hosts[j]
		if o.step < h.step || o.stalledTo != 0 || len(o.inbox) > 0 {
			return
		}
	}
	if !h.running() || w.now-w.rotated <= w.plan.delay+w.plan.late+1 || w.now-w.rules.disturbed <= w.plan.delay+w.plan.late+1 {
		return
	}
	h.step++
	w.rotated = w.now
	w.note("machine %d takes step %d of the keys", i, h.step)
	for k := range w.members() {
		r := w.router(i, k)
		old := r.ring.keys
		if r.ring.keys = w.ring(i); !w.habits.forgets {
			r.ring.keys.Inherit(old)
		}
	}
}

// router returns one router of a machine.
func (w *world) router(i, k int) *router {
	if w.plan.protocol == Groups {
		return &w.groups[i].members[k]
	}
	return &w.routers[i]
}

// seal signs an advert, and returns its number.
func (r *router) seal(w *world, i int, priority uint8) int32 {
	begin := len(w.wire)
	path := vrrp.Path{Source: r.p.Address, Destination: vrrp.Group(false)}
	w.advert.Version, w.advert.VRID, w.advert.Priority, w.advert.Interval = r.p.Version, 1, priority, r.p.Interval
	b, err := vrrp.Append(w.wire, &w.advert, path, vrrp.WithPseudoHeader)
	if err != nil {
		panic(err) // the plan has nothing that cannot be said
	}
	one := w.habits.sign(r.ring.keys, b[begin:len(b):len(b)], r.p.Address, w.wall(i))
	w.wire = append(w.wire[:begin], one...)
	w.sealed = append(w.sealed, sealed{uint8(i), r.line, w.now, int32(begin), int32(len(one))})
	return int32(len(w.sealed) - 1)
}

// open checks a signed advert, and reports whether it is believed. What was
// refused is lost.
func (r *router) open(w *world, i int, p *arrival) bool {
	s := &w.sealed[p.what]
	b := w.wire[s.begin : s.begin+s.length]
	from := w.plan.routers[s.sender][r.line].Address
	a, _, trailer, err := vrrp.ParseInto(r.ring.addrs[:0], b, vrrp.Path{Source: from, Destination: vrrp.Group(false)})
	if err == nil {
		err = w.habits.open(r.ring.keys, b[:len(b)-len(trailer)], trailer, from, w.wall(i))
	}
	replayed := p.kind == replayComes
	if err != nil {
		w.refused(r, i, p, err)
		return false
	}
	if last := r.ring.believed[s.sender]; p.what <= last && !r.ring.setBack && !w.hosts[s.sender].setBack {
		w.breach("router %d believed advert %d of router %d after %d", i, p.what, s.sender, last)
	}
	if p.priority = a.Priority; replayed {
		w.note("router %d believes what is replayed", i)
		w.hosts[i].fooled = w.now
	}
	r.ring.believed[s.sender] = max(r.ring.believed[s.sender], p.what)
	return true
}

// refused judges that router i did not believe a packet.
func (w *world) refused(r *router, i int, p *arrival, err error) {
	s := &w.sealed[p.what]
	if w.tracing {
		w.note("router %d refuses an advert of router %d: %v", i, s.sender, err)
	}
	if p.kind == replayComes {
		return
	}
	w.lost(&p.happening)
	d, _ := errors.AsType[vrrp.Drop](err)
	switch apart := (w.hosts[i].day + w.plan.skew[i] - w.hosts[s.sender].day - w.plan.skew[s.sender]).Abs(); {
	case d != vrrp.DropReplay && d != vrrp.DropClock:
		w.breach("router %d refused an advert of router %d: %v", i, s.sender, err)
	case s.at-w.hosts[s.sender].ableSince < time.Millisecond: // it started again within the grain of a stamp
	case max(w.hosts[i].setAt, w.hosts[s.sender].setAt)+2*w.plan.window >= s.at, w.now-s.at+apart > w.plan.window-grain:
	case p.what > r.ring.believed[s.sender]:
		w.breach("router %d refused an advert of router %d although their clocks agree: %v", i, s.sender, err)
	}
}

// replayAdverts lets an attacker send again what a router has read already, or
// what is so old that its clock tells it.
func (w *world) replayAdverts(to int, span time.Duration, count int) {
	for range count {
		if len(w.sealed) < 2 {
			return
		}
		what := 1 + w.dice.below(len(w.sealed)-1)
		if w.dice.one(2) {
			what = max(1, len(w.sealed)-1-w.dice.below(min(16, len(w.sealed)-1)))
		}
		s := &w.sealed[what]
		if int(s.sender) == to {
			continue
		}
		if r := w.router(to, int(s.line)); !w.hosts[to].up || int32(what) > r.ring.believed[s.sender] && w.now-s.at <= 2*w.plan.window {
			continue
		}
		w.push(happening{
			kind: replayComes, at: w.now + 1 + w.dice.upTo(span), to: uint8(to), from: s.sender, line: s.line, what: int32(what),
		})
	}
}

// setClock lets the clock of a machine jump.
func (w *world) setClock(i int, jump time.Duration) {
	h := &w.hosts[i]
	switch {
	case !w.plan.signed:
	case w.plan.attacked:
		jump %= w.plan.window / 16
	case jump%3 == 0:
		jump %= 2 * w.plan.window
	}
	h.day += jump
	h.setAt = w.now
	if !w.plan.signed || w.plan.attacked || jump >= 0 {
		return
	}
	h.setBack = true
	for k := range w.members() {
		if h.up {
			w.router(i, k).ring.setBack = true
		}
	}
}

// drawKeys decides whether, and how, adverts are signed. An attacker meets right
// clocks: what was recorded when they showed the same time is believed again.
func (p *plan) drawKeys(c *chance, base time.Duration) {
	if p.protocol == Pulse || !c.one(12) {
		return
	}
	p.signed = true
	p.window = base * time.Duration(4+c.below(8))
	p.attacked = c.one(2)
	for i := range p.nodes {
		p.skew[i] = c.upTo(p.window / 16)
	}
}
