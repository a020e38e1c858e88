package simulate

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// Protocol is what the machines of a schedule speak.
type Protocol uint8

// Protocols.
const (
	// VRRP: two to five routers, seldom one alone.
	VRRP Protocol = iota
	// Pulse: a pair with one to all of the channels that there may be.
	Pulse
	// Groups: two to four nodes with two to four routers each, on links of
	// their own, that are active together or not at all.
	Groups
)

// String returns the name in lower case, as the replay variable takes it.
func (p Protocol) String() string {
	switch p {
	case VRRP:
		return "vrrp"
	case Pulse:
		return "pulse"
	case Groups:
		return "groups"
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

const (
	maxNodes = 5
	maxLines = pulse.MaxChannels
	// maxMembers bounds the routers of a group.
	maxMembers = 4
	// theActive stands for the machine that is active when an act is played.
	theActive = 255
)

// plan is all that a seed decides before the first moment: the machines, the
// network, and what happens to them. What the network does to a packet is
// decided on the way, from the same seed.
type plan struct {
	protocol     Protocol
	seed         uint64
	nodes, lines int
	delay        time.Duration                     // the longest that a packet is on its way
	jitter       time.Duration                     // by how much delays differ in peace
	late         time.Duration                     // the longest that a loop or a reader wakes late
	effect       time.Duration                     // the longest that addresses take to be moved
	takeOver     time.Duration                     // what another one may need for that, by what is known of it
	watches      bool                              // those who hold addresses hear that others announce them
	ordered      bool                              // packets of a line do not overtake each other
	calm         [maxNodes][maxNodes]time.Duration // shortest delay of each direction in peace
	routers      [maxNodes][maxMembers]vrrp.Params // VRRP has one each
	pair         [2]pulse.Params
	signed       bool                    // adverts are
	window       time.Duration           // how far clocks may differ then
	skew         [maxNodes]time.Duration // by how much they do when they are right
	attacked     bool                    // somebody replays old heartbeats all the time
	fences       bool                    // each node has a fence
	clearance    time.Duration           // how long a witness takes to answer, if there is one
	unlike       bool                    // machines are configured differently
	long         bool                    // the last peace is long enough to see what neighbours believe
	acts         []act
}

// act is one thing that happens to the world, after a pause.
type act struct {
	kind     actKind
	a, b     uint8 // machines; theActive
	line     uint8
	share    uint16 // of 65536
	count    uint8
	priority uint8
	pause    time.Duration
	span     time.Duration
	low      time.Duration
}

type actKind uint8

const (
	actCut actKind = iota
	actJoin
	actIsolate
	actConnect
	actLoss
	actBurst
	actDelay
	actDouble
	actFlap
	actStall
	actStallDeaf // packets that come meanwhile are lost, as where a whole machine stops
	actStallLate // they come to the socket after it, as behind a host that stops
	actRestart
	actDie
	actBoot
	actFault
	actMend
	actYield
	actReclaim
	actPriority
	actClock
	actBlind
	actReplay
	actRotate
	actPeace // all is mended, and the rules of peace are judged
	actKinds
)

var actNames = [actKinds]string{
	"cut", "join", "isolate", "connect all", "loss", "burst", "delay", "double", "flap", "stall", "stall deaf", "stall late",
	"restart", "die", "boot", "fault", "mend", "yield", "reclaim", "priority", "clock", "blind", "replay", "next step of the keys", "peace",
}

func (a act) String() string {
	who := func(n uint8) string {
		if n == theActive {
			return "the active one"
		}
		return fmt.Sprint("machine ", n)
	}
	text := fmt.Sprintf("after %v: %s", a.pause, actNames[a.kind])
	switch a.kind {
	case actCut, actJoin:
		return fmt.Sprintf("%s from %d to %d on line %d", text, a.a, a.b, a.line)
	case actLoss:
		return fmt.Sprintf("%s of %.0f%%", text, float64(a.share)*100/65536)
	case actDouble:
		return fmt.Sprintf("%s %.0f%%", text, float64(a.share)*100/65536)
	case actBurst:
		return fmt.Sprintf("%s of %d packets from %d to %d on line %d", text, a.count, a.a, a.b, a.line)
	case actDelay:
		return fmt.Sprintf("%s from %d to %d on line %d of %v to %v", text, a.a, a.b, a.line, a.low, a.low+a.span)
	case actFlap:
		return fmt.Sprintf("%s from %d to %d on line %d every %v for %v", text, a.a, a.b, a.line, a.low, a.span)
	case actStall, actStallDeaf, actStallLate:
		return fmt.Sprintf("%s of %s for %v", text, who(a.a), a.span)
	case actPriority:
		return fmt.Sprintf("%s of %s becomes %d", text, who(a.a), a.priority)
	case actClock:
		return fmt.Sprintf("%s of %s jumps by %v", text, who(a.a), a.span-a.low)
	case actConnect, actReplay, actPeace:
		return text
	}
	return text + " " + who(a.a)
}

// draw makes the plan of a seed. The slice of acts is used again.
func (p *plan) draw(protocol Protocol, seed uint64) {
	acts := p.acts[:0]
	*p = plan{protocol: protocol, seed: seed}
	c := chance(seed*2 + uint64(protocol))
	base := [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second}[c.below(4)]
	mirrored := false
	switch protocol {
	case VRRP:
		p.nodes, p.lines = 2+c.below(3), 1
		switch c.below(16) {
		case 0:
			p.nodes = 1
		case 1:
			p.nodes = maxNodes
		}
		p.drawRouters(&c, base)
	case Groups:
		mirrored = p.drawGroups(&c, base)
	default:
		p.nodes, p.lines = 2, 1+c.below(3)
		if c.one(6) {
			p.lines = 1 + c.below(maxLines)
		}
		p.drawPair(&c, base)
	}
	p.jitter = base / time.Duration(8+c.below(100))
	p.delay = p.jitter
	if mirrored { // packets take one time, so that all meet
		p.delay, p.jitter = base/50, 1
	} else if c.one(3) { // a slow network, which is not the same in all directions
		p.delay = max(p.jitter, c.upTo(3*base))
	}
	if protocol == Groups {
		p.delay = min(p.delay, base/4)
	}
	if protocol == Pulse {
		// Two that shall get to know each other before one of them believes in
		// a silence need three ways in its dead time.
		p.delay = min(p.delay, p.pair[0].DeadAfter/4, p.pair[1].DeadAfter/4)
		p.jitter = min(p.jitter, p.delay)
	}
	for i := range p.nodes {
		for j := range p.nodes {
			if mirrored {
				p.calm[i][j] = p.delay - p.jitter
			} else if p.delay > p.jitter {
				p.calm[i][j] = c.upTo(p.delay - p.jitter)
			}
		}
	}
	if !mirrored && c.one(2) {
		p.late = base / time.Duration(8+c.below(60))
	}
	p.drawKeys(&c, base)
	p.effect = c.upTo(base / 2)
	if c.one(2) {
		p.effect = min(p.effect, c.upTo(20*time.Millisecond))
	}
	p.watches = c.one(2)
	if p.takeOver = graceful; protocol != Pulse {
		p.takeOver = ordinaryTakeOver
		if c.one(4) || base < 100*time.Millisecond && !c.one(8) {
			p.takeOver = virtualTakeOver
		}
	}
	p.ordered = c.one(2)
	p.long = c.one(8)
	p.acts = p.drawActs(&c, base, acts)
}

func (p *plan) drawRouters(c *chance, base time.Duration) {
	version := uint8(3)
	if base == time.Second && c.one(2) {
		version = 2
	}
	unlike, many, noPreempt := c.one(8), 3, c.one(3)
	if c.one(5) {
		many = 1 + c.below(8)
	}
	same := uint8(0)
	if c.one(8) {
		same = uint8(1 + c.below(254))
	}
	p.unlike = unlike
	for i := range p.nodes {
		r := vrrp.Params{
			Version: version, Priority: uint8(1 + c.below(254)), Interval: base, DownAdverts: many, NoPreempt: noPreempt,
			Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		}
		switch {
		case same != 0:
			r.Priority = same
		case i > 0 && c.one(6): // near, so that the skew hardly differs
			r.Priority = min(max(p.routers[i-1][0].Priority, 2), 254) - uint8(c.below(2))
		}
		if i == 0 && c.one(6) || c.one(40) {
			r.Priority = vrrp.PriorityOwner
		}
		if c.one(3) {
			r.PreemptDelay = c.upTo(6 * base)
		}
		if unlike {
			r.Interval = base * time.Duration(1+c.below(3))
			r.DownAdverts = 2 + c.below(4)
			r.NoPreempt = c.one(2)
			if r.Interval%time.Second == 0 && c.one(3) {
				r.Version = 2
			}
		}
		p.routers[i][0] = r
	}
}

// drawGroups makes groups whose members have one priority, mostly, and one
// interval. Where each of the nodes is better on another link than the others all
// may happen at the same moments.
func (p *plan) drawGroups(c *chance, base time.Duration) (mirrored bool) {
	p.nodes, p.lines = 2+c.below(2), 2+c.below(2)
	if c.one(8) {
		p.nodes, p.lines = 2+c.below(3), 2+c.below(3)
	}
	many, noPreempt, contrary, unlike := 3, c.one(3), c.one(4), c.one(5)
	mirrored = contrary && c.one(3)
	if c.one(5) {
		many = 2 + c.below(5)
	}
	p.unlike = unlike
	for i := range p.nodes {
		priority, delay, owner := uint8(1+c.below(254)), time.Duration(0), c.one(40)
		if c.one(3) {
			delay = c.upTo(6 * base)
		}
		for k := range p.lines {
			r := &p.routers[i][k]
			*r = vrrp.Params{
				Version: 3, Priority: priority, Interval: base, DownAdverts: many, NoPreempt: noPreempt, PreemptDelay: delay, Grouped: true,
				Address: netip.AddrFrom4([4]byte{192, 0, byte(k), byte(i + 1)}),
			}
			if contrary {
				r.Priority = uint8(1 + c.below(254))
				if mirrored {
					r.Priority = uint8(200 - 100*((i+k)%p.nodes)/p.nodes)
				}
				r.Address = netip.AddrFrom4([4]byte{192, 0, byte(k), byte(1 + (i+k)%p.nodes)})
			}
			if owner {
				r.Priority = vrrp.PriorityOwner
			}
			if unlike && i > 0 {
				r.Interval = p.routers[0][k].Interval
			} else if unlike {
				r.Interval = base * time.Duration(1+c.below(4))
			}
		}
	}
	return mirrored
}

func (p *plan) drawPair(c *chance, base time.Duration) {
	dead := base * time.Duration(2+c.below(5))
	unlike := c.one(6)
	p.unlike = unlike
	for i := range p.pair {
		p.pair[i] = pulse.Params{Primary: i == 0, Channels: p.lines, Interval: base, DeadAfter: dead}
		if unlike {
			q := &p.pair[i]
			q.Interval = base * time.Duration(1+c.below(4))
			q.DeadAfter = q.Interval * time.Duration(2+c.below(4))
		}
	}
	p.attacked = c.one(24)
	if c.one(6) {
		p.clearance, p.fences = 1+c.upTo(base), c.one(2)
		p.pair[0].Clearance, p.pair[1].Clearance = true, true
	}
	if c.one(10) {
		p.pair[c.below(2)].Primary = c.one(2) // both, or neither
	}
}

// drawActs makes rounds of trouble, each with peace after it.
func (p *plan) drawActs(c *chance, base time.Duration, acts []act) []act {
	for range 1 + c.below(2) {
		for range 1 + c.below(10) {
			acts = append(acts, p.drawAct(c, base))
		}
		acts = append(acts, act{kind: actPeace, pause: c.upTo(4 * base)})
	}
	// In the end one thing happens to the active one in peace.
	last := act{a: theActive, kind: [...]actKind{actDie, actYield, actFault, actRestart, actStall}[c.below(5)], span: c.upTo(12 * base)}
	return append(acts, last, act{kind: actPeace, pause: c.upTo(16 * base)})
}

func (p *plan) drawAct(c *chance, base time.Duration) act {
	a := act{
		a: uint8(c.below(p.nodes)), b: uint8(c.below(p.nodes)), line: uint8(c.below(p.lines)), pause: c.upTo(5 * base), span: c.upTo(8 * base),
	}
	if a.a == a.b {
		a.b = uint8((int(a.b) + 1) % p.nodes)
	}
	alone := a.a == a.b
	if c.one(3) {
		a.pause = c.upTo(base / 4) // on the heels of the one before
	}
	if c.one(24) {
		a.pause = c.upTo(20 * base)
	}
	weights := [...]struct {
		kind   actKind
		weight int
	}{
		{actCut, 4},
		{actJoin, 3},
		{actIsolate, 3},
		{actConnect, 3},
		{actLoss, 3},
		{actBurst, 3},
		{actDelay, 3},
		{actDouble, 1},
		{actFlap, 2},
		{actStall, 3},
		{actStallDeaf, 1},
		{actStallLate, 2},
		{actRestart, 2},
		{actDie, 2},
		{actBoot, 3},
		{actFault, 2},
		{actMend, 2},
		{actYield, 2},
		{actReclaim, 1},
		{actPriority, 3},
		{actClock, 2},
		{actBlind, 1},
		{actReplay, 3},
		{actRotate, 3},
	}
	all := 0
	for _, w := range weights {
		all += w.weight
	}
	n := c.below(all)
	for _, w := range weights {
		if n -= w.weight; n < 0 {
			a.kind = w.kind
			break
		}
	}
	// What one protocol has not, happens otherwise in the other one.
	if p.protocol == Pulse {
		switch a.kind {
		case actPriority:
			a.kind = actStall
		case actClock:
			a.kind = actCut
		}
	} else if a.kind == actBlind || a.kind == actReplay && (!p.signed || !p.attacked) {
		a.kind = actDelay
	}
	if a.kind == actRotate && !p.signed {
		a.kind = actBurst
	}
	if p.protocol == Groups && c.one(2) {
		a.count = 1 // one member alone
	}
	if alone && a.kind <= actFlap {
		a.kind = actStall
	}
	switch a.kind {
	case actLoss, actDouble:
		a.share = [...]uint16{0, 3000, 20000, 40000}[c.below(4)]
	case actBurst:
		a.count = uint8(1 + c.below(6))
	case actDelay:
		a.low = c.upTo(p.delay)
		a.span = c.upTo(p.delay - a.low)
	case actFlap:
		a.low = base/8 + c.upTo(3*base)
		a.span = c.upTo(20 * base)
	case actPriority:
		a.priority = uint8(1 + c.below(254))
	case actClock:
		a.span, a.low = c.upTo(time.Hour), c.upTo(time.Hour)
	case actStall, actStallLate, actStallDeaf, actYield, actFault, actDie, actRestart:
		if c.one(2) {
			a.a = theActive
		}
	}
	return a
}
