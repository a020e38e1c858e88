package simulate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// habits are what a fault can be planted in.
type habits struct {
	router     func(vrrp.Params, time.Duration) routerMachine
	node       func(pulse.Params, time.Duration) pairMachine
	guard      func(boot, challenge uint64) guard
	agree      func([]*vrrp.Machine) (vrrp.Verdict, int)
	follow     func([]*vrrp.Machine, vrrp.Verdict, int, int, time.Duration) (vrrp.Event, int)
	hold       func(time.Duration) time.Duration // how long addresses stay
	readsLate  bool                              // a router decides before it reads
	stampsLate bool                              // a packet counts from when it was read
	readsOne   bool                              // a group has read what came for one member alone
	sign       func(k *vrrp.Keys, message []byte, source netip.Addr, now time.Time) []byte
	open       func(k *vrrp.Keys, message, trailer []byte, source netip.Addr, now time.Time) error
	forgets    bool // new keys begin anew
	asksOn     bool // a node goes on to fence a partner that was heard again
	keeps      bool // addresses stay as long as they may, whoever serves
}

var sound = habits{
	router: func(p vrrp.Params, now time.Duration) routerMachine { return &soundRouter{m: vrrp.NewMachine(p, now)} },
	node:   func(p pulse.Params, now time.Duration) pairMachine { return &soundNode{pulse.NewMachine(p, now)} },
	guard: func(boot, challenge uint64) guard {
		g := pulse.NewGuard(boot, challenge)
		return &g
	},
	agree:  vrrp.Agree,
	follow: vrrp.Follow,
	hold:   func(d time.Duration) time.Duration { return d },
	sign: func(k *vrrp.Keys, message []byte, source netip.Addr, now time.Time) []byte {
		return k.Sign(message, source, now)
	},
	open: func(k *vrrp.Keys, message, trailer []byte, source netip.Addr, now time.Time) error {
		return k.Open(message, trailer, source, now, 0)
	},
}

// Player plays schedules, one after another. The zero value is ready; it is not
// safe for concurrent use, but any number of players are.
type Player struct {
	world  world
	habits *habits
}

// Play plays the schedule of a seed and returns what broke a rule, nil if all
// were kept. The same seed is the same schedule always.
func (p *Player) Play(protocol Protocol, seed uint64) *Failure {
	w := &p.world
	w.habits = sound
	if p.habits != nil {
		w.habits = *p.habits
	}
	w.plan.draw(protocol, seed)
	w.tracing = false
	w.play(w.plan.acts)
	if w.broken == "" {
		return nil
	}
	f := &Failure{Protocol: protocol, Seed: seed, Rule: w.broken, At: w.now}
	w.tracing = true
	acts := w.shrink(slices.Clone(w.plan.acts))
	w.play(acts)
	for _, a := range acts {
		f.Acts = append(f.Acts, a.String())
	}
	f.Shrunk, f.Timeline, f.Machines = w.broken, slices.Clone(w.trace), w.describe()
	w.tracing = false
	return f
}

// shrink leaves out what is not needed to break a rule: halves, quarters, and
// so on to single acts. What is left goes on at the times it had, if that
// breaks one, too.
func (w *world) shrink(acts []act) []act {
	breaks := func(a []act) bool {
		w.play(a)
		return w.broken != ""
	}
	for size := len(acts) / 2; size > 0; {
		again := false
		for at := 0; at+size <= len(acts); {
			fewer := slices.Delete(slices.Clone(acts), at, at+size)
			if at < len(fewer) {
				for _, a := range acts[at : at+size] {
					fewer[at].pause += a.pause
				}
			}
			if breaks(fewer) {
				acts, again = fewer, true
				continue
			}
			if fewer = slices.Delete(slices.Clone(acts), at, at+size); breaks(fewer) {
				acts, again = fewer, true
				continue
			}
			at++
		}
		if !again || size > 1 {
			size /= 2
		}
	}
	return acts
}

// Failure is a schedule that broke a rule.
type Failure struct {
	Protocol Protocol
	Seed     uint64
	// Rule is the rule that it broke, in words, and At when.
	Rule string
	At   time.Duration
	// Shrunk is the rule that it breaks with as few disturbances as Acts, which
	// may be another one. Machines are the configurations, and Timeline is what
	// happened then.
	Shrunk   string
	Machines []string
	Acts     []string
	Timeline []string
}

// String is the whole story, for people.
func (f *Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, seed %d, at %v: %s\n", f.Protocol, f.Seed, f.At, f.Rule)
	fmt.Fprintf(&b, "with as few disturbances as possible: %s\n", f.Shrunk)
	part := func(title string, lines []string) {
		fmt.Fprintf(&b, "%s:\n", title)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	part("machines", f.Machines)
	part("disturbances", f.Acts)
	part("timeline", f.Timeline)
	return b.String()
}

func (w *world) describe() (lines []string) {
	p := &w.plan
	lines = append(lines, fmt.Sprintf("packets take up to %v, in peace they differ by %v; loops wake up to %v late; addresses take up to %v, and are held for %v; in order: %v; lines: %d",
		p.delay, p.jitter, p.late, p.effect, p.takeOver, p.ordered, p.lines))
	if p.signed {
		lines = append(lines, fmt.Sprintf("adverts are signed, with a window of %v; the clocks are wrong by %v", p.window, p.skew[:p.nodes]))
	}
	for i := range p.nodes {
		if p.protocol == Pulse {
			lines = append(lines, fmt.Sprintf("node %d: %+v", i, p.pair[i]))
			continue
		}
		for k := range w.members() {
			lines = append(lines, fmt.Sprintf("router %d, link %d: %+v", i, k, p.routers[i][k]))
		}
	}
	return lines
}
