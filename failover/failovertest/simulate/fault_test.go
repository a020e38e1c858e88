package simulate

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// faultyRouter is a router with a fault of one kind: it changes or swallows
// what its machine is told, and changes what the machine says.
type faultyRouter struct {
	soundRouter
	p      vrrp.Params
	hear   func(r *faultyRouter, e *vrrp.Event) bool
	say    func(r *faultyRouter, e vrrp.Event, was vrrp.State, out []vrrp.Action) []vrrp.Action
	after  func(r *faultyRouter, e vrrp.Event, now time.Duration) []vrrp.Action
	hurry  func(r *faultyRouter) time.Duration // by which its timers run out too early
	change func(p *vrrp.Params)
}

func (r *faultyRouter) early() time.Duration {
	if r.hurry == nil || r.State() != vrrp.StateBackup {
		return 0
	}
	return r.hurry(r)
}

func (r *faultyRouter) Next() time.Duration { return r.m.Next() - r.early() }

func (r *faultyRouter) Step(e vrrp.Event, now time.Duration) []vrrp.Action {
	was := r.State()
	if r.hear != nil && !r.hear(r, &e) {
		return nil
	}
	if e.Kind == vrrp.EventTick {
		now += r.early()
	}
	out := slices.Clone(r.soundRouter.Step(e, now))
	if r.say != nil {
		out = r.say(r, e, was, out)
	}
	if r.after != nil {
		out = append(out, r.after(r, e, now)...)
	}
	return out
}

// routerFault returns habits with one kind of faulty router.
func routerFault(f faultyRouter) *habits {
	h := sound
	h.router = func(p vrrp.Params, now time.Duration) routerMachine {
		r := f
		if r.change != nil {
			r.change(&p)
		}
		r.p, r.m = p, vrrp.NewMachine(p, now)
		return &r
	}
	return &h
}

// faultyNode is the same of a pair.
type faultyNode struct {
	soundNode
	hear func(n *faultyNode, e *pulse.Event) bool
	say  func(n *faultyNode, was pulse.State, out []pulse.Action) []pulse.Action
	beat pulse.Beat
}

func (n *faultyNode) Step(e pulse.Event, now time.Duration) []pulse.Action {
	was := n.State()
	if e.Beat != nil {
		n.beat = *e.Beat
		e.Beat = &n.beat
	}
	if n.hear != nil && !n.hear(n, &e) {
		return nil
	}
	out := n.soundNode.Step(e, now)
	if n.say != nil {
		out = n.say(n, was, out)
	}
	return out
}

func nodeFault(f faultyNode, change func(*pulse.Params)) *habits {
	h := sound
	h.node = func(p pulse.Params, now time.Duration) pairMachine {
		n := f
		if change != nil {
			change(&p)
		}
		n.Machine = pulse.NewMachine(p, now)
		return &n
	}
	return &h
}

// believer is a guard that believes too much.
type believer struct{ pulse.Guard }

func (g *believer) Accept(channel int, b *pulse.Beat, next uint64) (pulse.Proof, pulse.Drop) {
	p, drop := g.Guard.Accept(channel, b, next)
	if drop == pulse.DropReplay {
		return pulse.Proof{Fresh: true, Channel: true}, pulse.DropNone
	}
	return p, drop
}

func guardFault(f func(pulse.Guard) guard) *habits {
	h := sound
	h.guard = func(boot, challenge uint64) guard { return f(pulse.NewGuard(boot, challenge)) }
	return &h
}

func groupFault(agree func([]*vrrp.Machine) (vrrp.Verdict, int)) *habits {
	h := sound
	h.agree = agree
	return &h
}

func changed(change func(h *habits)) *habits {
	h := sound
	change(&h)
	return &h
}

// together reports whether no member is active, and all can be.
func together(ms []*vrrp.Machine) bool {
	for _, m := range ms {
		if s, _, _ := m.State(); s != vrrp.StateBackup {
			return false
		}
	}
	return true
}

// without removes the actions of a kind.
func without(out []vrrp.Action, gone func(vrrp.Action) bool) (rest []vrrp.Action) {
	for _, a := range out {
		if !gone(a) {
			rest = append(rest, a)
		}
	}
	return rest
}

func ignores(kind vrrp.EventKind) *habits {
	return routerFault(faultyRouter{hear: func(_ *faultyRouter, e *vrrp.Event) bool { return e.Kind != kind }})
}

// TestPlantedFaultsAreFound proves that the rules can be broken: each of these
// faults has been made by somebody, some by us.
func TestPlantedFaultsAreFound(t *testing.T) {
	readsLate, stampsLate := sound, sound
	readsLate.readsLate, stampsLate.stampsLate = true, true
	holdsNothing, keeps, readsOne := sound, sound, sound
	holdsNothing.hold = func(time.Duration) time.Duration { return 0 }
	keeps.keeps, readsOne.readsOne = true, true
	const enough = 20_000
	// The race detector makes the search for these ten times as long.
	begins := map[string]uint64{
		"has no last word when it gives way":                         7000,
		"gives way and comes back at the same moments as the others": 3000,
	}
	for _, c := range []struct {
		name     string
		protocol Protocol
		habits   *habits
	}{
		{"decides before it reads", VRRP, &readsLate},
		{"counts packets from when it reads them", VRRP, &stampsLate},
		{"takes its own stall for silence", VRRP, ignores(vrrp.EventStall)},
		{"has no skew", VRRP, routerFault(faultyRouter{hurry: func(r *faultyRouter) time.Duration { return r.m.Skew() }})},
		{"misses an advert less than it should", VRRP, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.DownAdverts = max(1, p.DownAdverts-1) }})},
		{"waits for an advert more than it should", VRRP, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.DownAdverts++ }})},
		{"compares no addresses", VRRP, routerFault(faultyRouter{hear: func(r *faultyRouter, e *vrrp.Event) bool {
			if e.Kind == vrrp.EventHeard && e.Priority == r.Priority() && r.State() == vrrp.StateActive {
				e.Source = netip.IPv4Unspecified()
			}
			return true
		}})},
		{"gives way to nobody", VRRP, routerFault(faultyRouter{hear: func(r *faultyRouter, e *vrrp.Event) bool {
			return e.Kind != vrrp.EventHeard || e.Priority <= r.Priority() || r.State() != vrrp.StateActive
		}})},
		{"lets lower adverts put off its preemption", VRRP, routerFault(faultyRouter{hear: func(r *faultyRouter, e *vrrp.Event) bool {
			if e.Kind == vrrp.EventHeard && e.Priority != vrrp.PriorityStop && r.State() == vrrp.StateBackup {
				e.Priority = max(e.Priority, r.Priority())
			}
			return true
		}})},
		{"does not hear that another one stops", VRRP, routerFault(faultyRouter{hear: func(_ *faultyRouter, e *vrrp.Event) bool {
			return e.Kind != vrrp.EventHeard || e.Priority != vrrp.PriorityStop
		}})},
		{"does not tell that it stops", VRRP, routerFault(faultyRouter{say: func(_ *faultyRouter, _ vrrp.Event, _ vrrp.State, out []vrrp.Action) []vrrp.Action {
			return without(out, func(a vrrp.Action) bool { return a.Kind == vrrp.ActionSend && a.Priority == vrrp.PriorityStop })
		}})},
		{"does not learn the interval", VRRP, routerFault(faultyRouter{hear: func(r *faultyRouter, e *vrrp.Event) bool {
			e.Interval = r.p.Interval
			return true
		}})},
		{"preempts against its orders", VRRP, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.NoPreempt = false }})},
		{"preempts without delay", VRRP, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.PreemptDelay = 0 }})},
		{"never preempts", VRRP, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.NoPreempt = true }})},
		{"forgets that it was told to hand over", VRRP, routerFault(faultyRouter{after: func(r *faultyRouter, e vrrp.Event, now time.Duration) []vrrp.Action {
			if e.Kind != vrrp.EventYield {
				return nil
			}
			return r.soundRouter.Step(vrrp.Event{Kind: vrrp.EventReclaim}, now)
		}})},
		{"does not listen after a fault", VRRP, routerFault(faultyRouter{after: func(r *faultyRouter, e vrrp.Event, now time.Duration) []vrrp.Action {
			if e.Kind != vrrp.EventFault || e.On || r.State() != vrrp.StateBackup {
				return nil
			}
			return r.soundRouter.Step(vrrp.Event{Kind: vrrp.EventFollow, State: vrrp.StateActive}, now)
		}})},
		{"has no last word when it gives way", VRRP, routerFault(faultyRouter{say: func(r *faultyRouter, e vrrp.Event, was vrrp.State, out []vrrp.Action) []vrrp.Action {
			if e.Kind != vrrp.EventHeard || was != vrrp.StateActive || r.State() == vrrp.StateActive {
				return out
			}
			return without(out, func(a vrrp.Action) bool { return a.Kind == vrrp.ActionSend })
		}})},
		{"announces only when it takes over", VRRP, routerFault(faultyRouter{say: func(_ *faultyRouter, _ vrrp.Event, was vrrp.State, out []vrrp.Action) []vrrp.Action {
			if was != vrrp.StateActive {
				return out
			}
			return without(out, func(a vrrp.Action) bool { return a.Kind == vrrp.ActionAnnounce })
		}})},
		{"lets its addresses go with the role", VRRP, &holdsNothing},
		{"keeps its addresses although another one serves", VRRP, &keeps},

		{"believes adverts that are replayed", VRRP, changed(func(h *habits) {
			h.open = func(k *vrrp.Keys, message, trailer []byte, source netip.Addr, now time.Time) error {
				if err := k.Open(message, trailer, source, now, 0); err != vrrp.DropReplay {
					return err
				}
				return nil
			}
		})},
		{"does not look at the clock", VRRP, changed(func(h *habits) {
			h.open = func(k *vrrp.Keys, message, trailer []byte, source netip.Addr, now time.Time) error {
				if err := k.Open(message, trailer, source, now, 0); err != vrrp.DropClock {
					return err
				}
				return nil
			}
		})},
		{"forgets what it has heard when the keys change", VRRP, changed(func(h *habits) { h.forgets = true })},
		{"signs with times that never go back", VRRP, changed(func(h *habits) {
			latest := make(map[*vrrp.Keys]time.Time)
			h.sign = func(k *vrrp.Keys, message []byte, source netip.Addr, now time.Time) []byte {
				if now.After(latest[k]) {
					latest[k] = now
				}
				return k.Sign(message, source, latest[k])
			}
		})},
		{"refuses for ever what is older than the last that it heard", VRRP, changed(func(h *habits) {
			type sender struct {
				keys   *vrrp.Keys
				source netip.Addr
			}
			latest := make(map[sender]uint64)
			h.open = func(k *vrrp.Keys, message, trailer []byte, source netip.Addr, now time.Time) error {
				stamp, s := binary.BigEndian.Uint64(trailer[4:]), sender{k, source}
				if stamp <= latest[s] {
					return vrrp.DropReplay
				}
				err := k.Open(message, trailer, source, now, 0)
				if err == nil {
					latest[s] = stamp
				}
				return err
			}
		})},

		{"comes back without its other members", Groups, groupFault(func(ms []*vrrp.Machine) (vrrp.Verdict, int) {
			if v, by := vrrp.Agree(ms); v != vrrp.VerdictDown {
				return v, by
			}
			return vrrp.VerdictStay, -1
		})},
		{"takes over when one member is ready, whatever the others hear", Groups, groupFault(func(ms []*vrrp.Machine) (vrrp.Verdict, int) {
			if v, by := vrrp.Agree(ms); v == vrrp.VerdictDown || !together(ms) {
				return v, by
			}
			for i, m := range ms {
				if m.Ready() {
					return vrrp.VerdictUp, i
				}
			}
			return vrrp.VerdictStay, -1
		})},
		{"takes over when all members are ready", Groups, groupFault(func(ms []*vrrp.Machine) (vrrp.Verdict, int) {
			v, by := vrrp.Agree(ms)
			for _, m := range ms {
				if v == vrrp.VerdictUp && !m.Ready() {
					return vrrp.VerdictStay, -1
				}
			}
			return v, by
		})},
		{"gives way and comes back at the same moments as the others", Groups, func() *habits {
			h := sound
			h.follow = func(ms []*vrrp.Machine, v vrrp.Verdict, by, up int, _ time.Duration) (vrrp.Event, int) {
				return vrrp.Follow(ms, v, by, up, 0)
			}
			return &h
		}()},
		{"reads for one member alone", Groups, &readsOne},
		{"does not tell the other groups that it stops", Groups, routerFault(faultyRouter{say: func(_ *faultyRouter, _ vrrp.Event, _ vrrp.State, out []vrrp.Action) []vrrp.Action {
			return without(out, func(a vrrp.Action) bool { return a.Kind == vrrp.ActionSend && a.Priority == vrrp.PriorityStop })
		}})},
		{"preempts against its orders", Groups, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.NoPreempt = false }})},
		{"never preempts", Groups, routerFault(faultyRouter{change: func(p *vrrp.Params) { p.NoPreempt = true }})},
		{"lets its addresses go with the role", Groups, &holdsNothing},

		{"lets its addresses go with the role", Pulse, &holdsNothing},
		{"fences its partner although that was heard again", Pulse, changed(func(h *habits) { h.asksOn = true })},
		{"believes what is replayed", Pulse, guardFault(func(g pulse.Guard) guard { return &believer{g} })},
		{"believes in death when one channel is silent", Pulse, nodeFault(faultyNode{hear: func(_ *faultyNode, e *pulse.Event) bool {
			return e.Kind != pulse.EventHeard || e.Channel == 0
		}}, nil)},
		{"takes its own stall for silence", Pulse, nodeFault(faultyNode{hear: func(_ *faultyNode, e *pulse.Event) bool { return e.Kind != pulse.EventStall }}, nil)},
		{"takes blindness for silence", Pulse, nodeFault(faultyNode{hear: func(_ *faultyNode, e *pulse.Event) bool { return e.Kind != pulse.EventBlind }}, nil)},
		{"believes in death too soon", Pulse, nodeFault(faultyNode{}, func(p *pulse.Params) { p.DeadAfter -= p.Interval / 2 })},
		{"believes in death too late", Pulse, nodeFault(faultyNode{}, func(p *pulse.Params) { p.DeadAfter *= 2 })},
		{"gives way to nobody", Pulse, nodeFault(faultyNode{hear: func(n *faultyNode, e *pulse.Event) bool {
			if n.State() == pulse.StateActive && e.Kind == pulse.EventHeard && e.Beat.State == pulse.StateActive && !n.Yielding() {
				e.Beat.State = pulse.StateBackup
			}
			return true
		}}, nil)},
		{"does not see that its partner is not heard", Pulse, nodeFault(faultyNode{hear: func(_ *faultyNode, e *pulse.Event) bool {
			if e.Kind == pulse.EventHeard {
				e.Beat.Hears = true
			}
			return true
		}}, nil)},
		{"does not hear of a fault", Pulse, nodeFault(faultyNode{hear: func(_ *faultyNode, e *pulse.Event) bool {
			if e.Kind == pulse.EventHeard && e.Beat.State == pulse.StateFault {
				e.Beat.State = pulse.StateActive
			}
			return true
		}}, nil)},
		{"fails back", Pulse, nodeFault(faultyNode{hear: func(n *faultyNode, e *pulse.Event) bool {
			if e.Kind == pulse.EventHeard && n.State() == pulse.StateBackup && !e.Beat.Primary {
				e.Beat.State = pulse.StateBackup
			}
			return true
		}}, nil)},
		{"announces only when it takes over", Pulse, nodeFault(faultyNode{say: func(_ *faultyNode, was pulse.State, out []pulse.Action) (rest []pulse.Action) {
			for _, a := range out {
				if a.Kind != pulse.ActionAnnounce || was != pulse.StateActive {
					rest = append(rest, a)
				}
			}
			return rest
		}}, nil)},
	} {
		t.Run(c.protocol.String()+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			p := Player{habits: c.habits}
			for n := range uint64(enough) {
				seed := begins[c.name] + n
				if f := p.Play(c.protocol, seed); f != nil {
					if f := new(Player).Play(c.protocol, seed); f != nil {
						t.Fatalf("this schedule breaks a rule without the fault, too:\n%v", f)
					}
					t.Logf("after %d schedules: %s", n+1, f.Rule)
					return
				}
			}
			t.Errorf("not found in %d schedules", enough)
		})
	}
}

// TestFailureTellsItsStory: a schedule that breaks a rule comes with as few
// disturbances as do, and what happened then.
func TestFailureTellsItsStory(t *testing.T) {
	p := Player{habits: ignores(vrrp.EventStall)}
	var f *Failure
	seed := uint64(0)
	for ; f == nil; seed++ {
		f = p.Play(VRRP, seed)
	}
	var drawn plan
	drawn.draw(VRRP, f.Seed)
	if len(f.Acts) == 0 || len(f.Acts) >= len(drawn.acts) {
		t.Errorf("%d disturbances of %d are left: %q", len(f.Acts), len(drawn.acts), f.Acts)
	}
	if !slices.ContainsFunc(f.Acts, func(a string) bool { return strings.Contains(a, "stall") }) {
		t.Errorf("without a stall: %q", f.Acts)
	}
	story := f.String()
	for _, want := range append(f.Acts, f.Rule, f.Shrunk, "BROKEN: "+f.Shrunk, f.Machines[1]) {
		if !strings.Contains(story, want) {
			t.Errorf("%q is not in the story:\n%s", want, story)
		}
	}
	again := p.Play(VRRP, f.Seed)
	if again == nil || again.String() != story {
		t.Errorf("played again:\n%v\nwant:\n%s", again, story)
	}
}
