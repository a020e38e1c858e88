package pulse

import (
	"testing"
	"time"
)

// The exhaustive test walks through every world that two machines can reach
// in some intervals when each packet may be lost or not and a number of
// disturbances may happen at any step. Worlds are comparable values, so that
// equal ones are visited once. Packets take one step, nodes beat every second
// step, in opposite phase.

const stepTime = tick / 2

type packet struct {
	ok    bool
	state State
	hears bool
	yield bool
	serve bool
	take  bool
	boot  uint64
}

type node struct {
	m       Machine
	out     packet // on its way to the other node
	stalled int8   // steps for which it stands still
	fault   bool
	serving bool // comes a step after the state, as hooks take their time
}

type world struct {
	n         [2]node
	step      int16
	troubles  int8 // disturbances so far
	zero      int8 // steps in a row without an active node
	two       int8 // steps in a row with two, of which none hands over
	nextBoots uint8
}

func (w *world) now() time.Duration { return time.Duration(w.step) * stepTime }

func bootOf(i int, n uint8) uint64 { return uint64(i+1) + 10*uint64(n) }

func startNode(i int, boot uint64, now time.Duration) node {
	p := primaryParams()
	p.Channels = 1
	p.Primary, p.Boot = i == 0, boot
	return node{m: NewMachine(p, now)}
}

func (n *node) send() {
	s, _, _ := n.m.State()
	n.out = packet{true, s, n.m.Hears(), n.m.Yielding(), n.serving, n.m.Takes(), n.m.p.Boot}
}

func (w *world) event(i int, e Event) {
	n := &w.n[i]
	var acts []Action
	n.m, acts = n.m.Step(e, w.now())
	for _, a := range acts {
		if a.Kind == ActionSend {
			n.send()
		}
	}
}

// advance makes one step; lose says which packets get lost.
func (w *world) advance(lose [2]bool) {
	w.step++
	in := [2]packet{w.n[1].out, w.n[0].out}
	for i := range w.n {
		if w.n[1-i].stalled == 0 || in[i].ok {
			w.n[1-i].out = packet{}
		}
	}
	for i := range w.n {
		n := &w.n[i]
		if n.stalled > 0 {
			// Its socket keeps the last packet until it runs again.
			n.stalled--
			if n.stalled > 0 {
				if in[i].ok && !lose[i] {
					w.n[1-i].out = in[i]
				}
				continue
			}
			w.event(i, Event{Kind: EventStall})
		}
		if in[i].ok && !lose[i] {
			p := in[i]
			w.event(i, Event{Kind: EventHeard, At: w.now(), Proof: Proof{Fresh: true, Channel: true}, Beat: &Beat{
				Primary: i == 1, State: p.state, Hears: p.hears, Yielding: p.yield, Serving: p.serve, Takes: p.take, Boot: p.boot, Interval: tick, DeadAfter: dead,
			}})
		}
		if n.m.Next() <= w.now() {
			w.event(i, Event{})
		}
		if s, _, _ := n.m.State(); n.serving != (s == StateActive) {
			n.serving = s == StateActive
			w.event(i, Event{Kind: EventServing, On: n.serving})
			n.send()
		}
		if int(w.step)%2 == i {
			n.send()
		}
	}
	for i := range w.n {
		// What decides nothing must not make worlds differ.
		w.n[i].m.since, w.n[i].m.active = 0, 0
	}
	active := w.actives()
	if w.zero++; active != 0 || w.n[0].fault && w.n[1].fault {
		w.zero = 0
	}
	if w.two++; active < 2 || w.n[0].m.Yielding() || w.n[1].m.Yielding() {
		w.two = 0
	}
}

func (w *world) actives() (n int) {
	for i := range w.n {
		if s, _, _ := w.n[i].m.State(); s == StateActive {
			n++
		}
	}
	return n
}

// troubled returns w after each possible disturbance.
func (w world) troubled() []world {
	var out []world
	for i := range w.n {
		add := func(change func(*world, *node)) {
			v := w
			v.troubles++
			change(&v, &v.n[i])
			out = append(out, v)
		}
		add(func(v *world, n *node) { // killed and started again
			v.nextBoots++
			*n = startNode(i, bootOf(i, v.nextBoots), v.now())
		})
		if w.n[i].stalled == 0 {
			add(func(v *world, n *node) { n.stalled = 9 })
			add(func(v *world, n *node) {
				n.fault = !n.fault
				v.event(i, Event{Kind: EventFault, On: n.fault})
			})
			if w.n[i].m.CanYield() {
				add(func(v *world, n *node) { v.event(i, Event{Kind: EventYield}) })
			}
			if w.troubles == 0 && w.n[i].m.CanTake() { // all that follows is as after a yield
				add(func(v *world, n *node) { v.event(i, Event{Kind: EventTake}) })
			}
		}
	}
	return out
}

func TestEveryReachableWorldHeals(t *testing.T) {
	depth, troubles := int16(10), int8(2)
	if testing.Short() {
		depth = 8
	}
	// A stall is 9 steps, a dead time 6. In any network, however bad, nobody
	// serves for two dead times at most, a stall or a restart apart.
	const zeroBound = 2*6 + 2*9 + 4
	// After everything is well again: all timers that may run, then peace.
	const calm, peace = 2*6 + 9 + 4, 10

	start := world{n: [2]node{startNode(0, bootOf(0, 0), 0), startNode(1, bootOf(1, 0), 0)}}
	steady := start
	for range 20 {
		steady.advance([2]bool{})
	}
	if s, _, _ := steady.n[0].m.State(); s != StateActive || steady.actives() != 1 {
		t.Fatalf("the primary is not active after a start in peace: %+v", steady)
	}
	layer := []world{start, steady}
	seen := map[world]struct{}{start: {}, steady: {}}
	healed := 0
	for range depth {
		var next []world
		visit := func(w world) {
			if _, ok := seen[w]; ok {
				return
			}
			seen[w] = struct{}{}
			next = append(next, w)
			if w.zero > zeroBound {
				t.Fatalf("no active node for %d steps: %+v", w.zero, w)
			}
			healed++
			checkHeals(t, w, calm, peace)
		}
		for _, w := range layer {
			starts := []world{w}
			if w.troubles < troubles {
				starts = append(starts, w.troubled()...)
			}
			for _, s := range starts {
				for lose := range 4 {
					l := [2]bool{lose&1 != 0, lose&2 != 0}
					if l[0] && !s.n[1].out.ok || l[1] && !s.n[0].out.ok {
						continue // nothing there to lose
					}
					v := s
					v.advance(l)
					visit(v)
				}
			}
		}
		layer = next
	}
	t.Logf("%d distinct worlds healed", healed)
	if healed < 1000 {
		t.Error("the model does not branch")
	}
}

// checkHeals lets the network be perfect from now on: within calm steps
// exactly one node must be active, if one can, and stay so.
func checkHeals(t *testing.T, w world, calm, peace int) {
	t.Helper()
	from := w
	want := 1
	if w.n[0].fault && w.n[1].fault {
		want = 0
	}
	still := w.n[0].stalled > 0 || w.n[1].stalled > 0
	for i := range calm + peace {
		w.advance([2]bool{})
		got := w.actives()
		if i >= calm && got != want {
			t.Fatalf("%d active nodes %d steps after the network healed, want %d\nfrom %+v\nto   %+v", got, i, want, from, w)
		}
		// Two intervals are enough to hear of each other and step down.
		if !still && i >= 4 && got == 2 && w.two > 4 {
			t.Fatalf("two active nodes for %d steps in a perfect network\nfrom %+v\nto   %+v", w.two, from, w)
		}
	}
}
