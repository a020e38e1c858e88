package pulse

import "testing"

// end is one side of a conversation for the guard's tests.
type end struct {
	g     Guard
	boot  uint64
	seq   uint64
	nonce uint64
}

func newEnd(boot uint64) *end {
	return &end{g: NewGuard(boot, boot*1000), boot: boot, nonce: boot * 1000}
}

func (e *end) beat(channel uint8) Beat {
	e.seq++
	return Beat{Boot: e.boot, Challenge: e.g.Challenge(), Echo: e.g.Echo(), Seq: e.seq, Channel: channel}
}

func (e *end) hear(b Beat, channel int) (Proof, Drop) {
	e.nonce++
	return e.g.Accept(channel, &b, e.nonce)
}

// meet brings two ends in contact and returns the packets that were sent.
func meet(t *testing.T, a, b *end) (recorded []Beat) {
	t.Helper()
	send := func(from, to *end) Drop {
		p := from.beat(0)
		recorded = append(recorded, p)
		_, d := to.hear(p, 0)
		return d
	}
	if d := send(a, b); d != DropUnproven {
		t.Fatalf("first packet: %v", d)
	}
	if d := send(b, a); d != DropNone {
		t.Fatalf("answer: %v", d)
	}
	if d := send(a, b); d != DropNone {
		t.Fatalf("proof: %v", d)
	}
	return recorded
}

func TestGuardAcceptsAfterOneRoundTrip(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	meet(t, a, b)
	for range 3 {
		if p, d := b.hear(a.beat(0), 0); d != DropNone || !p.Fresh || !p.Channel || p.NewPeer {
			t.Fatalf("got %+v, %v", p, d)
		}
	}
}

func TestGuardRefusesWhatWasDelivered(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	recorded := meet(t, a, b)
	for i, p := range recorded {
		to := b
		if p.Boot == b.boot {
			to = a
		}
		if i == 0 {
			continue // refused as unproven then; its sequence is passed now
		}
		if _, d := to.hear(p, 0); d != DropReplay {
			t.Errorf("packet %d again: %v", i, d)
		}
	}
	if _, d := b.hear(recorded[0], 0); d != DropReplay {
		t.Errorf("the first packet again: %v", d)
	}
}

func TestGuardRefusesAnOldBootAfterOurOwnRestart(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	recorded := meet(t, a, b)
	for range 10 {
		p := a.beat(0)
		recorded = append(recorded, p)
		b.hear(p, 0)
	}
	b = newEnd(3) // b restarts and remembers nothing
	for i, p := range recorded {
		if _, d := b.hear(p, 0); d != DropUnproven {
			t.Errorf("packet %d: %v", i, d)
		}
	}
	// The real partner gets through all the same.
	a.hear(b.beat(0), 0)
	if p, d := b.hear(a.beat(0), 0); d != DropNone || !p.NewPeer {
		t.Errorf("real partner: %+v, %v", p, d)
	}
}

func TestGuardNeverReturnsToABootThatWasLeft(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	meet(t, a, b)
	var held []Beat // sent by the old run, stopped on the way
	for range 5 {
		held = append(held, a.beat(0))
	}
	a2 := newEnd(4)
	if _, d := b.hear(a2.beat(0), 0); d != DropUnproven {
		t.Fatal(d)
	}
	a2.hear(b.beat(0), 0)
	if p, d := b.hear(a2.beat(0), 0); d != DropNone || !p.NewPeer {
		t.Fatalf("new run: %+v, %v", p, d)
	}
	for i, p := range held {
		if _, d := b.hear(p, 0); d != DropUnproven {
			t.Errorf("held packet %d of the old run: %v", i, d)
		}
	}
	if p, d := b.hear(a2.beat(0), 0); d != DropNone || !p.Fresh {
		t.Errorf("new run afterwards: %+v, %v", p, d)
	}
}

func TestGuardRefusesReflections(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	recorded := meet(t, a, b)
	if _, d := a.hear(recorded[0], 0); d != DropOwn {
		t.Errorf("own packet: %v", d)
	}
	a = newEnd(5)
	if _, d := a.hear(recorded[0], 0); d != DropUnproven {
		t.Errorf("packet of our own older run: %v", d)
	}
}

func TestGuardTellsChannelsApart(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	meet(t, a, b)
	first := a.beat(0)
	second := first
	second.Channel = 1
	if p, d := b.hear(first, 0); d != DropNone || !p.Fresh {
		t.Fatalf("first copy: %+v, %v", p, d)
	}
	if p, d := b.hear(second, 1); d != DropNone || p.Fresh || !p.Channel {
		t.Errorf("second copy: %+v, %v; want the channel alive and nothing new", p, d)
	}
	next := a.beat(0)
	if p, d := b.hear(next, 1); d != DropChannel || !p.Fresh || p.Channel {
		t.Errorf("carried over: %+v, %v; want a live partner and no live channel", p, d)
	}
	if p, d := b.hear(next, 1); d != DropChannel || p.Fresh {
		t.Errorf("carried over again: %+v, %v", p, d)
	}
}

// Packets held back on one channel count for nothing while another works.
func TestGuardTakesNoOldContentFromASlowChannel(t *testing.T) {
	a, b := newEnd(1), newEnd(2)
	meet(t, a, b)
	var held []Beat
	for range 5 {
		p := a.beat(0)
		copy1 := p
		copy1.Channel = 1
		held = append(held, copy1)
		b.hear(p, 0)
	}
	for _, p := range held {
		if proof, d := b.hear(p, 1); d != DropNone || proof.Fresh {
			t.Errorf("sequence %d: %+v, %v", p.Seq, proof, d)
		}
	}
}

// An attacker replays packets of a run that is over, after each of the partner's.
// A partner that has just started gets to know us all the same.
func TestReplaysDoNotKeepANewRunFromBelievingUs(t *testing.T) {
	first, b := newEnd(1), newEnd(2)
	old := meet(t, first, b)[0]
	first.hear(b.beat(0), 0)
	second := newEnd(3)
	meet(t, second, b)
	second.hear(b.beat(0), 0)
	restarted := newEnd(4)
	intervals := 0
	for ; restarted.g.Peer() != b.boot && intervals < 20; intervals++ {
		b.hear(restarted.beat(0), 0)
		b.hear(old, 0)
		restarted.hear(b.beat(0), 0) // the answer to that
		b.hear(old, 0)
		restarted.hear(b.beat(0), 0)
	}
	if intervals > 2 {
		t.Errorf("followed after %d intervals", intervals)
	}
	// Without an attacker nothing is echoed but what was heard last.
	b.hear(restarted.beat(0), 0)
	for range 3 {
		if got, want := b.g.Echo(), restarted.g.Challenge(); got != want {
			t.Errorf("echo %d, want %d", got, want)
		}
	}
}
