package pulse

// Guard decides whether an authentic packet is new. One guard watches all
// channels of one partner; the package comment says what it withstands. It is
// a plain value, not safe for concurrent use.
type Guard struct {
	boot      uint64 // our own
	challenge uint64 // what a new boot has to echo
	echo      uint64 // the challenge heard last of the boot we follow
	asked     uint64 // of a boot that we do not know, 0 if none since
	owed      bool   // the boot that we follow was heard since it was echoed
	answered  bool   // the last echo was that of a boot that we do not know
	peer      uint64 // the boot we follow, 0 if none
	high      uint64 // highest sequence of all channels
	last      [MaxChannels]uint64
	pieces    [MaxChannels]window
}

// window remembers the highest sequence of pieces of one channel, and which of
// the 64 before it have come: pieces go out in bursts, in which a network may
// change their order. It is the window of RFC 4303 section 3.4.3.
type window struct {
	high uint64
	seen uint64 // bit i: high-i
}

// take reports whether the sequence is new, and notes it.
func (w *window) take(seq uint64) bool {
	switch {
	case seq > w.high:
		w.seen = w.seen<<(seq-w.high) | 1
		w.high = seq
		return true
	case w.high-seq >= 64 || w.seen>>(w.high-seq)&1 != 0:
		return false
	}
	w.seen |= 1 << (w.high - seq)
	return true
}

// NewGuard returns the guard of a run named boot. Both numbers must be random
// (crypto/rand) and not 0.
func NewGuard(boot, challenge uint64) Guard {
	return Guard{boot: boot, challenge: challenge}
}

// Boot returns our own boot.
func (g *Guard) Boot() uint64 { return g.boot }

// Challenge returns the number that the partner has to echo.
func (g *Guard) Challenge() uint64 { return g.challenge }

// Echo returns the number to echo in the next beat: the challenge heard last. A
// boot that we do not know does not keep the one that we follow from its own:
// they take turns. Otherwise old packets, replayed all the time, would let us
// echo nothing else, and a partner that has just started would never believe us.
func (g *Guard) Echo() uint64 {
	if g.asked != 0 && !(g.answered && g.owed) {
		g.answered = true
		return g.asked
	}
	g.answered, g.owed = false, false
	return g.echo
}

// Peer returns the boot of the partner that is followed, 0 if none.
func (g *Guard) Peer() uint64 { return g.peer }

// Proof is what an authentic packet proves.
type Proof struct {
	// Fresh: newer than all before on any channel. Its content counts.
	Fresh bool
	// Channel: newer than all before on this channel, which works.
	Channel bool
	// NewPeer: the first packet of a new run of the partner.
	NewPeer bool
	// Answer: the partner waits for a packet of ours to prove one side or the
	// other; sending one now instead of at the next interval saves time.
	Answer bool
}

// Accept judges a packet that [Codec.Open] found authentic and that came in
// on the given channel. next is a new random number, not 0, that replaces the
// challenge if the packet begins a new run of the partner. The Drop is to be
// counted; with DropChannel the proof may be Fresh all the same.
func (g *Guard) Accept(channel int, b *Beat, next uint64) (Proof, Drop) {
	if b.Boot == g.boot {
		return Proof{}, DropOwn
	}
	var p Proof
	if b.Boot != g.peer {
		if b.Echo != g.challenge {
			g.asked = b.Challenge
			return Proof{Answer: true}, DropUnproven
		}
		g.peer, g.high, g.last, g.pieces = b.Boot, 0, [MaxChannels]uint64{}, [MaxChannels]window{}
		g.challenge = next
		p.NewPeer, p.Answer = true, true
	}
	drop := DropNone
	if int(b.Channel) != channel {
		// The copy tells that the partner lives, but not that this channel
		// does: it may have been carried over by someone.
		drop = DropChannel
	} else if b.Seq <= g.last[channel] {
		return Proof{}, DropReplay
	} else {
		g.last[channel] = b.Seq
		p.Channel = true
	}
	if b.Seq > g.high {
		g.high, g.echo, g.owed, g.asked = b.Seq, b.Challenge, true, 0
		p.Fresh = true
	}
	return p, drop
}

// AcceptPiece judges a piece that [Codec.OpenPiece] found authentic and that
// came in on the given channel: it must be of the run of the partner that the
// beats have proven, and not have come on this channel before. One that is more
// than 63 behind the newest counts as a replay. It says nothing of whether the
// partner lives.
func (g *Guard) AcceptPiece(channel int, p *Piece) Drop {
	switch {
	case p.Boot == g.boot:
		return DropOwn
	case p.Boot != g.peer:
		return DropUnproven
	case int(p.Channel) != channel:
		return DropChannel
	case !g.pieces[channel].take(p.Seq):
		return DropReplay
	}
	return DropNone
}
