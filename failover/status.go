package failover

import (
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// Status is what a [Node] knows at one moment.
type Status struct {
	// Role, since when, and why; the reason also tells of a partner that is
	// refused or not heard on all channels, with what mends it.
	Role   Role      `json:"role"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Primary is the configured precedence.
	Primary bool `json:"primary"`
	// Legacy: the partner is spoken to by Piranha's heartbeat, which is not
	// authenticated.
	Legacy bool `json:"legacy,omitempty"`
	// Serving: the role hook and the addresses are through. It follows Role
	// with the time that they take.
	Serving bool `json:"serving"`
	// HandOver is how far it has come while the node asks its partner to take
	// over, or to hand over; empty otherwise.
	HandOver string `json:"hand_over,omitempty"`
	// Clearance is how far witness and fence have come in the present silence
	// of the partner; empty if none had to be asked.
	Clearance string `json:"clearance,omitempty"`
	// AddressError is the trouble with hook or addresses, empty if none.
	AddressError string `json:"address_error,omitempty"`
	// Addresses is what the owner knows of them, if it is [Addresses] or has a
	// Status like it.
	Addresses []AddressStatus `json:"addresses,omitempty"`
	// Rival: both nodes are active.
	Rival bool `json:"rival"`
	// DigestMismatch: the partner runs another configuration.
	DigestMismatch bool `json:"digest_mismatch"`
	// Partner is what was heard last.
	Partner PartnerStatus `json:"partner"`
	// Channels in the order of the configuration.
	Channels []ChannelStatus `json:"channels"`
	// EventsLost counts events that OnEvent was too slow for.
	EventsLost uint64 `json:"events_lost"`
}

// PartnerStatus is what a [Node] knows of its partner.
type PartnerStatus struct {
	// Known: heard at least once; without it the rest is empty but Refused.
	Known bool `json:"known"`
	// Refused is the reason for which packets from the partner's address were
	// refused within the last dead time, as in ChannelStatus.Drops: it speaks
	// and is not believed. Empty if none were, or if it is Alive.
	Refused string `json:"refused,omitempty"`
	// Alive: not silent on all channels.
	Alive   bool `json:"alive"`
	Role    Role `json:"role"`
	Primary bool `json:"primary"`
	// Serving: its hook and addresses are through, and its neighbours know.
	Serving   bool      `json:"serving"`
	LastHeard time.Time `json:"last_heard"`
	// Hears: it says that it hears us.
	Hears bool `json:"hears"`
	// Key is the id of the key that it seals with.
	Key uint32 `json:"key"`
	// ClockOffset is how far its clock of day is ahead of ours, with the time
	// that a packet takes; negative if it is behind. ClocksDiffer: by more than
	// a second, for three intervals.
	ClockOffset  time.Duration `json:"clock_offset"`
	ClocksDiffer bool          `json:"clocks_differ"`
	// Uptime of its node when it was heard last.
	Uptime    time.Duration `json:"uptime"`
	Interval  time.Duration `json:"interval"`
	DeadAfter time.Duration `json:"dead_after"`
	Digest    [32]byte      `json:"-"`
	// Verdicts is how many verdicts its list has, and VerdictsAge how long ago
	// it made it; see [Node.PartnerVerdicts].
	Verdicts    int           `json:"verdicts"`
	VerdictsAge time.Duration `json:"verdicts_age"`
}

// ChannelStatus is what a [Node] knows of one channel.
type ChannelStatus struct {
	Name  string         `json:"name"`
	Local netip.AddrPort `json:"local"`
	Peer  netip.AddrPort `json:"peer"`
	// Open: the socket is there. Error is why not, or why sending fails.
	Open  bool   `json:"open"`
	Error string `json:"error,omitempty"`
	// Up: the partner is heard here. LastHeard is zero if it never was.
	Up        bool      `json:"up"`
	LastHeard time.Time `json:"last_heard"`
	// Sent and Received count packets; Drops those that were refused, by
	// reason, without the reasons that never occurred, and LastDrops when the
	// last one of each came.
	Sent      uint64               `json:"sent"`
	Received  uint64               `json:"received"`
	Drops     map[string]uint64    `json:"drops,omitempty"`
	LastDrops map[string]time.Time `json:"last_drops,omitempty"`
}

// Status returns the present state.
func (n *Node) Status() Status {
	if n.remote != nil {
		return n.distantStatus()
	}
	addresses := n.effects.addresses() // before mu, which no address may hold up
	n.mu.Lock()
	m, beat, clocks, now := n.machine, n.beat, n.clocks, n.clock()
	refused := n.refused(now)
	verdicts, age := len(n.verdicts.list), time.Duration(0)
	if verdicts > 0 {
		age = n.verdictAge(now)
	}
	s := Status{
		Reason: n.reason(now), Primary: n.cfg.Primary, Legacy: n.cfg.Legacy, DigestMismatch: n.mismatch, Rival: m.Rival(),
		HandOver: handOverText(&m), Clearance: n.clearance.text, Addresses: addresses,
	}
	if quiet := n.quiet(); quiet != "" {
		s.Reason += "; " + quiet
	}
	n.mu.Unlock()

	state, _, since := m.State()
	s.Role, s.Since = role(state), n.start.Add(since)
	serving, err := n.effects.status()
	s.Serving, s.EventsLost = serving, n.events.losses()
	if err != nil {
		s.AddressError = err.Error()
	}
	if state, heard, ok := m.Partner(); ok {
		s.Partner = PartnerStatus{
			Known: true, Alive: m.Hears(), Role: role(state), Primary: beat.Primary, Serving: beat.Serving, LastHeard: n.start.Add(heard),
			Hears: beat.Hears, Key: beat.Key, ClockOffset: clocks.offset, ClocksDiffer: clocks.told, Uptime: beat.Sent, Interval: beat.Interval, DeadAfter: beat.DeadAfter, Digest: beat.Digest,
			Verdicts: verdicts, VerdictsAge: age,
		}
	}
	if refused != pulse.DropNone {
		s.Partner.Refused = refused.String()
	}
	for i, c := range n.chans {
		cs := ChannelStatus{Name: c.Name, Local: c.Local, Peer: c.Peer, Sent: c.sent.Load(), Received: c.received.Load()}
		var heard time.Duration
		var ever bool
		if cs.Up, heard, ever = m.Channel(i); ever {
			cs.LastHeard = n.start.Add(heard)
		}
		c.mu.Lock()
		cs.Open = c.conn != nil
		if c.err != nil {
			cs.Error = c.err.Error()
		}
		c.mu.Unlock()
		for d := range c.drops {
			if v := c.drops[d].Load(); v > 0 {
				if cs.Drops == nil {
					cs.Drops, cs.LastDrops = make(map[string]uint64), make(map[string]time.Time)
				}
				cs.Drops[pulse.Drop(d).String()] = v
				cs.LastDrops[pulse.Drop(d).String()] = n.start.Add(time.Duration(c.dropped[d].Load()))
			}
		}
		s.Channels = append(s.Channels, cs)
	}
	return s
}
