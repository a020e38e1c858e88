package health

import (
	"fmt"
	"time"
)

// bfdSlow is the least time between packets until a session is Up (RFC 5880,
// section 6.8.3).
const bfdSlow = time.Second

// bfdNext is the state machine of RFC 5880, section 6.8.6: the next state by
// our own and by the one received.
var bfdNext = [4][4]bfdState{
	bfdAdminDown: {bfdAdminDown, bfdAdminDown, bfdAdminDown, bfdAdminDown},
	bfdDown:      {bfdAdminDown: bfdDown, bfdDown: bfdInit, bfdInit: bfdUp, bfdUp: bfdDown},
	bfdInit:      {bfdAdminDown: bfdDown, bfdDown: bfdInit, bfdInit: bfdUp, bfdUp: bfdUp},
	bfdUp:        {bfdAdminDown: bfdDown, bfdDown: bfdDown, bfdInit: bfdUp, bfdUp: bfdUp},
}

// bfdSession is one end of an asynchronous session over one hop: what was
// received and what time it is go in, what to send and until when to wait
// comes out. It has no clock, no socket and no goroutine. The names in
// brackets are the variables of RFC 5880, section 6.8.1.
type bfdSession struct {
	interval   time.Duration // wanted while Up, both ways [RequiredMinRxInterval]
	multiplier uint8         // [DetectMult]
	mine       uint32        // [LocalDiscr]

	state   bfdState
	diag    bfdDiag       // why the state was left last
	desired time.Duration // [DesiredMinTxInterval]
	polling bool          // we ask for a Final

	heard            time.Time // when the last packet came; zero is never
	yours            uint32    // [RemoteDiscr], 0 is unknown
	remote           bfdState
	remoteDiag       bfdDiag
	remoteDemand     bool
	remoteMultiplier uint8
	remoteDesired    time.Duration
	remoteRequired   time.Duration // [RemoteMinRxInterval]
}

// newBFDSession returns a session that is Down.
func newBFDSession(interval time.Duration, multiplier uint8, mine uint32) *bfdSession {
	return &bfdSession{
		interval: interval, multiplier: multiplier, mine: mine,
		state: bfdDown, remote: bfdDown, desired: max(interval, bfdSlow), remoteRequired: time.Microsecond,
	}
}

// receive takes a packet that [parseBFD] has read. An error means that it is
// not of this session, and that nothing has changed.
func (s *bfdSession) receive(p bfdPacket, now time.Time) error {
	if p.yours != 0 && p.yours != s.mine {
		return fmt.Errorf("discriminator %08x of another session", p.yours)
	}
	s.heard = now
	s.yours, s.remote, s.remoteDiag, s.remoteDemand = p.mine, p.state, p.diag, p.demand
	s.remoteMultiplier, s.remoteDesired, s.remoteRequired = p.multiplier, p.desired, p.required
	if p.final {
		s.polling = false
	}
	if next := bfdNext[s.state][p.state]; next == bfdDown {
		s.become(next, bfdSignalled)
	} else {
		s.become(next, bfdNoDiag)
	}
	return nil
}

// become changes the state. The faster pace of a session that is Up is
// announced by a poll (RFC 5880, section 6.8.3); the slow one needs none, as
// it begins with the session Down.
func (s *bfdSession) become(next bfdState, why bfdDiag) {
	if next == s.state {
		return
	}
	s.state, s.diag = next, why
	slow := max(s.interval, bfdSlow)
	s.polling = next == bfdUp && slow != s.interval
	if s.desired = slow; next == bfdUp {
		s.desired = s.interval
	}
}

// admin takes the session down on our side (RFC 5880, section 6.8.16).
func (s *bfdSession) admin() { s.become(bfdAdminDown, bfdAdmin) }

// detection is how long the other end may be silent (RFC 5880, section 6.8.4).
func (s *bfdSession) detection() time.Duration {
	return time.Duration(s.remoteMultiplier) * max(s.interval, s.remoteDesired)
}

// expiry is when its silence ends the session; zero is never.
func (s *bfdSession) expiry() time.Time {
	if s.heard.IsZero() {
		return time.Time{}
	}
	return s.heard.Add(s.detection())
}

// expire tells the session what time it is.
func (s *bfdSession) expire(now time.Time) {
	at := s.expiry()
	if at.IsZero() || now.Before(at) {
		return
	}
	s.heard, s.yours = time.Time{}, 0
	s.remoteDemand = false
	if s.state == bfdInit || s.state == bfdUp {
		s.become(bfdDown, bfdExpired)
	}
}

// pace is the time between packets; 0 means that none is to be sent by itself
// (RFC 5880, section 6.8.7). random is in [0,1) and shortens it by up to a
// quarter, and by at least a tenth where one lost packet is one too many.
func (s *bfdSession) pace(random float64) time.Duration {
	demand := s.remoteDemand && s.state == bfdUp && s.remote == bfdUp && !s.polling
	if s.remoteRequired == 0 || demand {
		return 0
	}
	least, most := 0.75, 1.0
	if s.multiplier == 1 {
		most = 0.9
	}
	interval := max(s.desired, s.remoteRequired)
	return time.Duration(float64(interval) * (most - (most-least)*random))
}

// packet is what to send now. A Final is the answer to a Poll.
func (s *bfdSession) packet(final bool) bfdPacket {
	return bfdPacket{
		diag: s.diag, state: s.state, poll: s.polling && !final, final: final, multiplier: s.multiplier,
		mine: s.mine, yours: s.yours, desired: s.desired, required: s.interval,
	}
}
