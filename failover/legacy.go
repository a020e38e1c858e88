package failover

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// ErrLegacy tells that the partner runs Piranha's pulse, which cannot be asked to
// hand over.
var ErrLegacy = errors.New("failover: the partner speaks Piranha's heartbeat, which knows no request to hand over; stop pulse there instead")

// legacy is what a node remembers of a partner that runs Piranha's pulse.
type legacy struct {
	// little is the byte order that the partner reads: that of its machine,
	// which it also sends in, and ours until it was heard.
	little bool
	// last: an active node that gives way says once more that it is active, so
	// that the other one knows that the neighbours were told by two.
	last bool
}

func nativeLittle() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// readLegacy takes in one packet of the partner's address.
func (n *Node) readLegacy(c *channel, packet []byte, at time.Duration) {
	l, little, err := pulse.ParseLegacy(packet)
	if err != nil {
		n.refuse(c, err.(pulse.Drop))
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.legacy.little = little
	// It says no more than this; the rest is what such a partner is like.
	b := pulse.Beat{Primary: !n.cfg.Primary, Hears: true, State: pulse.StateBackup, Boot: 1}
	if l == pulse.LegacyActive {
		b.State, b.Serving = pulse.StateActive, true
	}
	n.beat, n.refusals = b, refusals{}
	b.Interval, b.DeadAfter = n.cfg.Interval, n.cfg.DeadAfter
	proof := pulse.Proof{Fresh: true, Channel: true}
	n.step(pulse.Event{Kind: pulse.EventHeard, Channel: c.index, Proof: proof, At: at, Beat: &b}, max(at, n.clock()))
}

// encodeLegacy writes the next beat for each channel. The caller holds mu.
func (n *Node) encodeLegacy(packets [][]byte) {
	l := pulse.LegacyInactive
	s, _, _ := n.machine.State()
	switch {
	case n.legacy.last:
		l, n.legacy.last = pulse.LegacyActive, false
		n.sendNow() // and that it is over
	case s == pulse.StateActive && !n.machine.Yielding():
		l = pulse.LegacyActive
	}
	for i := range packets {
		packets[i] = pulse.AppendLegacy(packets[i][:0], l, n.legacy.little)
	}
}
