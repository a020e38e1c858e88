package pulse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The simulation runs two nodes with guards and two channels over a network
// with loss, delay that reorders, partitions in one or both directions,
// stalls and restarts, and an attacker who replays what he has recorded.

type simPacket struct {
	at      time.Duration
	to      int
	channel int
	beat    Beat
}

type simNode struct {
	m         Machine
	g         Guard
	boot      uint64
	seq       uint64
	start     time.Duration
	nextBeat  time.Duration
	stalledTo time.Duration
	down      bool
	upSince   time.Duration
	serving   bool
	serveAt   time.Duration // its hook and addresses are through
}

type sim struct {
	rng      *rand.Rand
	now      time.Duration
	n        [2]simNode
	flight   []simPacket
	recorded []simPacket
	cut      [2][2]bool // [from][channel]
	loss     float64
	delay    time.Duration // longest
	boots    uint64
	log      []string

	zeroSince, twoSince time.Duration
	worstZero, worstTwo time.Duration
}

func newSim(seed uint64) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 1)), delay: tick / 20}
	s.boot(0)
	s.boot(1)
	return s
}

func (s *sim) nonce() uint64 { return s.rng.Uint64() | 1 }

func (s *sim) logf(format string, a ...any) {
	s.log = append(s.log, fmt.Sprintf("%8v ", s.now)+fmt.Sprintf(format, a...))
}

func (s *sim) boot(i int) {
	s.boots++
	p := primaryParams()
	p.Primary, p.Boot = i == 0, s.nonce()
	s.n[i] = simNode{m: NewMachine(p, s.now), g: NewGuard(p.Boot, s.nonce()), boot: p.Boot, start: s.now, upSince: s.now, nextBeat: s.now}
	s.logf("node %d boots", i)
}

func (s *sim) send(i int) {
	n := &s.n[i]
	n.seq++
	st, _, _ := n.m.State()
	for ch := range 2 {
		b := Beat{
			Primary: i == 0, Hears: n.m.Hears(), Yielding: n.m.Yielding(), Serving: n.serving, Takes: n.m.Takes(), State: st, Channel: uint8(ch),
			Boot: n.boot, Challenge: n.g.Challenge(), Echo: n.g.Echo(), Seq: n.seq, Interval: tick, DeadAfter: dead, Terms: n.m.Terms(),
		}
		p := simPacket{to: 1 - i, channel: ch, beat: b}
		if len(s.recorded) < 5000 {
			s.recorded = append(s.recorded, p)
		}
		if s.cut[i][ch] || s.rng.Float64() < s.loss {
			continue
		}
		p.at = s.now + time.Duration(s.rng.Int64N(int64(s.delay)))
		s.flight = append(s.flight, p)
	}
}

func (s *sim) event(i int, e Event) {
	n := &s.n[i]
	before, _, _ := n.m.State()
	var acts []Action
	n.m, acts = n.m.Step(e, s.now)
	if after, why, _ := n.m.State(); after != before {
		s.logf("node %d: %v -> %v (%v)", i, before, after, why)
		n.serveAt = s.now + time.Duration(s.rng.Int64N(int64(tick)))
	}
	for _, a := range acts {
		if a.Kind == ActionSend {
			s.send(i)
		}
	}
}

func (s *sim) receive(p simPacket) {
	n := &s.n[p.to]
	proof, _ := n.g.Accept(p.channel, &p.beat, s.nonce())
	if proof.Fresh || proof.Channel {
		s.event(p.to, Event{Kind: EventHeard, Channel: p.channel, At: s.now, Proof: proof, Beat: &p.beat})
	}
	if proof.Answer {
		s.send(p.to)
	}
}

const simStep = tick / 20

// run advances the clock.
func (s *sim) run(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.now += simStep
		for i := range s.n {
			n := &s.n[i]
			if n.stalledTo != 0 && s.now >= n.stalledTo {
				n.stalledTo = 0
				s.event(i, Event{Kind: EventStall})
			}
		}
		arrived := slices.DeleteFunc(slices.Clone(s.flight), func(p simPacket) bool { return p.at > s.now || s.n[p.to].stalledTo != 0 })
		s.flight = slices.DeleteFunc(s.flight, func(p simPacket) bool { return p.at <= s.now && s.n[p.to].stalledTo == 0 })
		for _, p := range arrived {
			if !s.n[p.to].down {
				s.receive(p)
			}
		}
		for i := range s.n {
			n := &s.n[i]
			if n.down || n.stalledTo != 0 {
				continue
			}
			if s.now >= n.nextBeat {
				n.nextBeat = s.now + tick
				s.send(i)
			}
			if n.m.Next() <= s.now {
				s.event(i, Event{})
			}
			if st, _, _ := n.m.State(); n.serving != (st == StateActive) && s.now >= n.serveAt {
				n.serving = !n.serving
				s.event(i, Event{Kind: EventServing, On: n.serving})
				s.send(i)
			}
		}
		s.measure()
	}
}

func (s *sim) active(i int) bool {
	st, _, _ := s.n[i].m.State()
	return !s.n[i].down && st == StateActive
}

func (s *sim) measure() {
	able, active := false, 0
	for i := range s.n {
		n := &s.n[i]
		// A node that has just come up, or stands still, is not able to.
		able = able || !n.down && n.stalledTo == 0
		if s.active(i) {
			active++
		}
	}
	if active > 0 || !able {
		s.zeroSince = s.now
	}
	if active < 2 || s.n[0].m.Yielding() || s.n[1].m.Yielding() { // handing over takes two
		s.twoSince = s.now
	}
	s.worstZero = max(s.worstZero, s.now-s.zeroSince)
	s.worstTwo = max(s.worstTwo, s.now-s.twoSince)
}

func (s *sim) trouble() {
	i := s.rng.IntN(2)
	n := &s.n[i]
	switch s.rng.IntN(10) {
	case 0:
		s.loss = s.rng.Float64() * 0.6
		s.logf("loss %.2f", s.loss)
	case 1:
		s.delay = 1 + time.Duration(s.rng.Int64N(int64(tick)))
		s.logf("delay %v", s.delay)
	case 2, 3:
		s.cut[i][s.rng.IntN(2)] = s.rng.IntN(2) == 0
		s.logf("cut %v", s.cut)
	case 4:
		s.cut[i] = [2]bool{true, true}
		s.logf("cut %v", s.cut)
	case 5:
		n.down = true
		s.logf("node %d dies", i)
	case 6:
		if n.down {
			s.boot(i)
		}
	case 7:
		if !n.down {
			n.stalledTo = s.now + time.Duration(s.rng.Int64N(int64(3*dead)))
			s.logf("node %d stalls until %v", i, n.stalledTo)
		}
	case 8:
		if !n.down && n.stalledTo == 0 {
			s.event(i, Event{Kind: EventYield})
		}
	case 9:
		if !n.down && n.stalledTo == 0 {
			s.event(i, Event{Kind: EventTake})
		}
	}
	// The attacker replays what he likes, and reflects too.
	for range s.rng.IntN(20) {
		if len(s.recorded) > 0 {
			p := s.recorded[s.rng.IntN(len(s.recorded))]
			p.to, p.at = s.rng.IntN(2), s.now
			s.flight = append(s.flight, p)
		}
	}
}

func (s *sim) heal() {
	s.logf("all is well again")
	s.cut, s.loss, s.delay = [2][2]bool{}, 0, tick/20
	for i := range s.n {
		s.n[i].stalledTo = min(s.n[i].stalledTo, s.now)
		if s.n[i].down {
			s.boot(i)
		}
	}
}

func TestRandomTroubleHeals(t *testing.T) {
	runs := uint64(2000)
	if testing.Short() {
		runs = 200
	}
	var worstZero, worstTwo time.Duration
	for seed := range runs {
		s := newSim(seed)
		fail := func(format string, a ...any) {
			t.Helper()
			for _, l := range s.log {
				t.Log(l)
			}
			t.Fatalf("seed %d at %v: %s", seed, s.now, fmt.Sprintf(format, a...))
		}
		for range 10 {
			s.trouble()
			s.run(time.Duration(s.rng.Int64N(int64(2 * dead))))
		}
		// Stalls put verdicts off, restarts begin the listening anew; apart
		// from those no network keeps the service away for longer.
		worstZero = max(worstZero, s.worstZero)
		s.heal()
		s.run(2 * tick)
		s.zeroSince, s.twoSince, s.worstZero, s.worstTwo = s.now, s.now, 0, 0
		s.run(3*dead + 4*tick)
		if s.worstTwo > 2*tick {
			fail("two active nodes for %v in a perfect network", s.worstTwo)
		}
		if s.worstZero > dead+3*tick {
			fail("no active node for %v in a perfect network", s.worstZero)
		}
		worstTwo = max(worstTwo, s.worstTwo)
		if s.active(0) == s.active(1) {
			fail("active: %v and %v", s.active(0), s.active(1))
		}
		was := s.active(0)
		s.run(20 * dead)
		if s.active(0) != was || s.active(1) == was {
			fail("the role moved in peace")
		}
		for i := range s.n {
			if s.n[i].g.Peer() != s.n[1-i].boot {
				fail("node %d follows boot %x, its partner is %x", i, s.n[i].g.Peer(), s.n[1-i].boot)
			}
		}
	}
	t.Logf("%d runs; longest without an active node in trouble %v, with two after healing %v", runs, worstZero, worstTwo)
	if worstZero > 8*dead {
		t.Errorf("nobody served for %v", worstZero)
	}
}

// A line that works in one direction only must not leave two active nodes.
func TestOneWayLineLeavesOneActive(t *testing.T) {
	for deaf := range 2 {
		t.Run(fmt.Sprintf("node %d is deaf", deaf), func(t *testing.T) {
			for seed := range uint64(50) {
				s := newSim(seed)
				s.run(2 * dead)
				s.cut[1-deaf] = [2]bool{true, true}
				s.run(4 * dead)
				if s.active(0) == s.active(1) {
					t.Fatalf("seed %d, active: %v and %v\n%q", seed, s.active(0), s.active(1), s.log)
				}
				s.cut = [2][2]bool{}
				s.run(2 * tick)
				was := s.active(0)
				s.run(10 * dead)
				if s.active(0) != was || s.active(1) == was {
					t.Fatalf("seed %d: the role moved after healing\n%q", seed, s.log)
				}
			}
		})
	}
}
