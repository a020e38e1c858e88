package failover

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// This file is the part of a Node that knows the heartbeat: it feeds the
// election with packets and time, and turns its actions into orders for the
// effects and events for the owner. Another protocol would stand beside it.

// clock is the monotonic time of the machine.
func (n *Node) clock() time.Duration { return time.Since(n.start) }

func (n *Node) params() pulse.Params {
	return pulse.Params{
		Primary:  n.cfg.Primary,
		Boot:     n.guard.Boot(),
		Channels: len(n.chans), Interval: n.cfg.Interval, DeadAfter: n.cfg.DeadAfter,
		Legacy: n.cfg.Legacy, Clearance: n.cfg.Witness != nil || n.cfg.Fence != nil,
	}
}

func randomID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if v := binary.BigEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

// heard takes an authentic packet in.
func (n *Node) heard(c *channel, b *pulse.Beat, at time.Duration) {
	n.mu.Lock()
	proof, drop := n.guard.Accept(c.index, b, n.spare)
	if n.guard.Challenge() == n.spare {
		n.spare = randomID() // for the next partner
	}
	if proof.Fresh {
		n.beat, n.refusals = *b, refusals{}
	}
	if proof.NewPeer {
		n.forgetVerdicts()
	}
	if proof.NewPeer && n.docs.whole == nil {
		n.docs.over = false // another run of it may tell what the last one did not
	}
	if proof.Fresh || proof.Channel {
		n.step(pulse.Event{Kind: pulse.EventHeard, Channel: c.index, Proof: proof, At: at, Beat: b}, max(at, n.clock()))
	}
	if proof.Fresh {
		n.compareDigests()
		n.judgeKey(b.Key)
		n.judgeClock(b.Wall, n.clock())
	}
	if proof.Fresh || drop == pulse.DropUnproven {
		n.judgeHearing(proof.Fresh && b.Hears, at)
	}
	// Old packets that somebody replays ask for an answer like first ones: a few
	// in an interval are enough, and no amplifier.
	if proof.NewPeer || proof.Answer && at >= n.answerAgain {
		n.answerAgain = at + n.cfg.Interval/4
		n.sendNow()
	}
	n.mu.Unlock()
	if drop != pulse.DropNone {
		n.refuse(c, drop)
	}
}

// deafness watches for a partner that we hear and that does not hear us.
type deafness struct {
	since time.Duration
	seen  bool
	told  bool
}

func (n *Node) judgeHearing(hears bool, now time.Duration) {
	d := &n.deaf
	switch {
	case hears:
		*d = deafness{}
	case !d.seen:
		*d = deafness{since: now, seen: true}
	case !d.told && now-d.since >= n.cfg.DeadAfter:
		d.told = true
		n.events.emit(Event{Kind: EventPartnerDeaf, Reason: n.deafText()})
	}
}

// compareDigests tells when the two configurations begin or cease to differ,
// and when they differ in another way than before. The caller holds mu.
func (n *Node) compareDigests() {
	none := [32]byte{}
	if n.beat.Boot == 0 {
		return
	}
	now := [2][32]byte{n.digest, n.beat.Digest}
	if now == n.compared {
		return
	}
	if now[1] != n.compared[1] {
		n.docs.coming, n.docs.whole, n.docs.over = pulse.Assembly{}, nil, false
	}
	n.compared = now
	was := n.mismatch
	n.mismatch = now[0] != now[1] && now[0] != none && now[1] != none
	switch {
	case n.mismatch:
		n.forgetVerdicts()
		n.events.emit(Event{Kind: EventDigestMismatch, Reason: "the two nodes run different configurations"})
	case was:
		n.docs = documents{own: n.docs.own}
		n.events.emit(Event{Kind: EventDigestMatch})
	}
}

// countOpen tells the machine whether any channel can be heard.
func (n *Node) countOpen() {
	blind := len(n.chans) > 0
	for _, c := range n.chans {
		if c.current() != nil {
			blind = false
		}
	}
	n.mu.Lock()
	n.step(pulse.Event{Kind: pulse.EventBlind, On: blind}, n.clock())
	n.mu.Unlock()
}

// step feeds the machine and does what it says. The caller holds mu; nothing
// in here waits for anything.
func (n *Node) step(e pulse.Event, now time.Duration) {
	from, _, _ := n.machine.State()
	next, actions := n.machine.Step(e, now)
	n.machine = next
	for _, a := range actions {
		switch a.Kind {
		case pulse.ActionState:
			s, _, _ := n.machine.State()
			if s != from {
				n.effects.request(role(s), n.holdFor(s))
				n.events.emit(Event{Kind: EventRole, Role: role(s), From: role(from), Reason: n.reason(now)})
			}
		case pulse.ActionSend:
			n.sendNow()
		case pulse.ActionAnnounce:
			n.effects.announce()
		case pulse.ActionPartnerFound:
			n.events.emit(Event{Kind: EventPartnerFound})
		case pulse.ActionPartnerLost:
			n.events.emit(Event{Kind: EventPartnerLost, Reason: n.loss(nil, now)})
		case pulse.ActionChannelFound:
			n.events.emit(Event{Kind: EventChannelFound, Channel: n.chans[a.Channel].Name})
		case pulse.ActionChannelLost:
			c := n.chans[a.Channel]
			n.events.emit(Event{Kind: EventChannelLost, Channel: c.Name, Reason: n.loss(c, now)})
		case pulse.ActionRivalSeen:
			n.legacy.last = n.cfg.Legacy
			n.events.emit(Event{Kind: EventRivalSeen, Reason: "both nodes are active"})
		case pulse.ActionRivalGone:
			n.events.emit(Event{Kind: EventRivalGone})
		case pulse.ActionRoleConflict:
			reason := "both nodes are configured as backup; make one the primary"
			if n.cfg.Primary {
				reason = "both nodes are configured as primary; make one the backup"
			}
			n.events.emit(Event{Kind: EventRoleConflict, Reason: reason})
		default:
			n.handOver(a.Kind)
		}
	}
	if on := n.machine.Relieved(); on != n.relieved {
		if n.relieved = on; n.onRelieved != nil {
			n.onRelieved(on)
		}
	}
	n.followClearance()
	n.effects.stepAside(n.machine.Yielding())
	n.wakeLoop() // what is due next may have changed
}

// sendNow asks the loop for a beat; only the loop writes, so that sequences
// go out in order.
func (n *Node) sendNow() {
	n.send = true
	n.wakeLoop()
}

func (n *Node) wakeLoop() { nudge(n.poke) }

// loop beats, and passes time to the machine, until the node has left.
//
// A silence is never found at the moment it is due: the loop first sleeps a
// settle time, for beats that are late, and then takes in what has arrived. Where
// the sockets cannot tell, the receivers drain them in that time. If the loop
// itself wakes late by more than an interval, the machine is told of the stall.
func (n *Node) loop(ctx context.Context) {
	var transport any // without channels none is used
	if len(n.chans) > 0 {
		transport = n.cfg.Transport
	}
	timer := newAlarm(transport)
	defer timer.Stop()
	interval := n.cfg.Interval
	var settle time.Duration // of the silence that is looked at
	packets := make([][]byte, len(n.chans))
	var pieces [][]byte
	for i := range packets {
		packets[i] = make([]byte, 0, pulse.Size)
	}
	planned := n.clock()
	nextBeat, confirm := planned, time.Duration(0)
	confirms := 0
	left := false
	cancelled := ctx.Done()
	for {
		seen := n.clock()
		if confirm != 0 && seen >= confirm {
			n.drainAll()
		}
		n.mu.Lock()
		now := n.clock()
		if now-planned > interval {
			n.step(pulse.Event{Kind: pulse.EventStall}, now)
			confirm = 0
		}
		if ctx.Err() != nil && cancelled != nil {
			cancelled = nil
			n.step(pulse.Event{Kind: pulse.EventLeave}, now)
		}
		switch due := n.machine.Next(); {
		case due > now:
			confirm = 0
		case confirm == 0:
			settle = n.settle()
			confirm, confirms = now+settle, 1
		case now > confirm+settle && confirms < 3:
			confirm = now + settle // overslept: the receivers did so too
			confirms++
		case seen >= confirm:
			n.step(pulse.Event{}, now)
			confirm = 0
		}
		send := n.send || now >= nextBeat || left
		n.send = false
		if send {
			n.encode(packets, now)
		}
		regular := now >= nextBeat
		if regular {
			pieces = n.encodePieces(pieces, now)
			if nextBeat += interval; nextBeat <= now {
				nextBeat = now + interval
			}
		}
		planned = nextBeat
		if confirm != 0 {
			planned = min(planned, confirm)
		} else {
			planned = min(planned, n.machine.Next())
		}
		planned = min(planned, n.anticipate(now))
		n.mu.Unlock()

		if send {
			for i, c := range n.chans {
				n.write(c, packets[i])
			}
		}
		if regular { // after the beats, which never wait for them
			for i, p := range pieces {
				// Where nothing can be sent each try may take a while; the beats try.
				if c := n.chans[i%len(n.chans)]; c.trouble() == nil {
					n.write(c, p)
				}
			}
		}
		if left {
			return
		}
		timer.Set(n.start.Add(planned))
		select {
		case <-timer.Rings():
		case <-n.poke:
		case <-cancelled:
		case <-n.effects.done:
			left = true // say it once more, now that all is released
		}
	}
}

// anticipate lets the effects prepare a take-over, once for each silence, when a
// beat is overdue. It returns when that will be. The caller holds mu.
func (n *Node) anticipate(now time.Duration) time.Duration {
	s, _, _ := n.machine.State()
	_, heard, met := n.machine.Partner()
	if s != pulse.StateBackup || !met || !n.machine.Hears() || heard == n.anticipated {
		return pulse.Never
	}
	every := n.beat.Interval
	if every == 0 { // Piranha's does not say
		every = n.cfg.Interval
	}
	overdue := heard + 3*every/2
	if now < overdue {
		return overdue
	}
	n.anticipated = heard
	n.effects.prepare()
	return pulse.Never
}

// settle is how late beats may be, and for how long packets may lie in sockets
// that cannot tell. It is no part of the interval where that is long: what makes
// beats late is a busy machine. The caller holds mu.
func (n *Node) settle() time.Duration {
	most := 10 * time.Millisecond
	for _, c := range n.chans {
		conn := c.current()
		if _, tells := conn.(ArrivalConn); conn != nil && !tells || n.cfg.Legacy {
			most = 100 * time.Millisecond
		}
	}
	return min(max(n.cfg.Interval/4, time.Millisecond), most)
}

// encode seals the next beat for each channel. The caller holds mu.
func (n *Node) encode(packets [][]byte, now time.Duration) {
	if n.cfg.Legacy {
		n.encodeLegacy(packets)
		return
	}
	s, _, _ := n.machine.State()
	n.seq++
	b := pulse.Beat{
		Primary: n.cfg.Primary, Hears: n.machine.Hears(), Yielding: s == pulse.StateActive && n.machine.Yielding(),
		Asks: n.asks(), Serving: n.serving, Takes: n.machine.Takes(), State: s,
		Boot: n.guard.Boot(), Challenge: n.guard.Challenge(), Echo: n.guard.Echo(), Seq: n.seq,
		Sent: now, Wall: n.clocks.now().UnixNano(), Interval: n.cfg.Interval, DeadAfter: n.cfg.DeadAfter,
		Terms: n.machine.Terms(), Verdicts: n.verdicts.number, Has: n.verdicts.got, Digest: n.digest,
	}
	for i := range packets {
		b.Channel = uint8(i)
		packets[i] = n.seal.Append(packets[i][:0], &b)
	}
}
