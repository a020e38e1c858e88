package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// Limits and defaults of [Config].
const (
	// DefaultInterval is the interval that 0 stands for.
	DefaultInterval = time.Second
	// MinInterval is the shortest interval; below it a machine's own
	// scheduling is what gets measured.
	MinInterval = time.Millisecond
)

// Channel is one way to the partner. Two over different wires are better than
// one: either alone keeps the partner alive.
type Channel struct {
	// Name is for messages, as "public". It must not be empty.
	Name string
	// Local is the address and port that this node binds and sends from.
	Local netip.AddrPort
	// Peer is the partner's Local of the same channel; packets from any other
	// address are refused.
	Peer netip.AddrPort
}

// Config configures a [Node].
type Config struct {
	// Primary gives this node precedence when neither or both are active. It
	// should be set on exactly one of the two.
	Primary bool
	// Channels lead to the partner, in the same order on both nodes, at most
	// pulse.MaxChannels. None: the node is alone and active at once.
	Channels []Channel
	// Key authenticates the heartbeats: at least pulse.MinKey bytes, random,
	// the same on both nodes and on no other pair. It is short for one key with
	// the id 0 in Keys.
	// Not needed without channels.
	Key []byte
	// Keys replace Key: the first one seals, all of them open; at most
	// pulse.MaxKeys. [Node.SetKeys] has the way to change them.
	Keys []pulse.Key
	// Legacy speaks to a partner that runs Piranha's pulse, by its heartbeat of
	// four bytes, for a pair of which one node is new; set it on no pair of two
	// new ones. That heartbeat is NOT AUTHENTICATED: whoever can send from the
	// partner's address decides which node serves, and keys are not used. Beyond
	// role and silence nothing is told: no digest, document, verdict, clock or
	// request to hand over. Primary must be true on the node that is the primary
	// of lvs.cf. An event warns of it at the start.
	Legacy bool
	// Interval is the time between two beats, 1 ms to 1 min; 0 means
	// DefaultInterval.
	Interval time.Duration
	// DeadAfter is the silence after which the partner counts as dead, at
	// least two intervals and at most an hour; 0 means three intervals. With
	// two, the loss of one beat is survived and that of two in a row is not.
	// A partner that beats so slowly that two of its own intervals do not fit
	// is given three of them. A take-over comes a quarter of an interval later,
	// at least 1 ms and at most 10 ms, for beats that are late; over sockets that
	// are no [ArrivalConn], 100 ms at most.
	DeadAfter time.Duration
	// Digest of the configuration. The nodes tell each other and complain if
	// they differ. Zero means none and is equal to all.
	Digest [32]byte
	// Witness, if set, is asked before the node takes over on silence, also
	// after its start: is this node connected at all? It is not called when the
	// partner itself says that it stops, yields or has a fault. A node that hears
	// neither partner nor witness may be the one that is cut off; it does not take
	// over, says so and asks again every interval. When the witness is reached
	// again, the node first listens for the partner for DeadAfter, which may be
	// back as well. why is for people. So a pair whose witness is down has no take-over on silence, and none at its start
	// while one node is off. A node that is active stays so, whatever its witness
	// says: two nodes that both lost the network must not both give up.
	// [PingWitness] asks a host. Beats do not wait for it. One that panics, or does
	// not end with its context, has not agreed; it is not called again before it
	// has ended.
	Witness func(ctx context.Context) (ok bool, why string) `json:"-"`
	// WitnessTimeout is when the context of one question ends, at most
	// DeadAfter; 0 means Interval.
	WitnessTimeout time.Duration
	// Fence, if set, is called before the node takes over on silence, when the
	// witness agrees, to make sure that the partner does not serve: it cuts its
	// power, or its ports off. While it fails the node does not serve; it is
	// called again with growing pauses, so it must be fit for that, each time after
	// the witness has agreed anew. It has all the time it needs, and an event tells
	// when that is more than a minute, but its context ends when the partner is
	// heard again or the node stops. Beats do not wait for it. A panic is an error,
	// and one that does not end with its context is not called again before.
	Fence func(ctx context.Context, reason string) error `json:"-"`
	// Owner takes and gives back the virtual addresses; nil means
	// [NoAddresses].
	Owner AddressOwner `json:"-"`
	// OnRole is called before the addresses are acquired, with RoleActive, and
	// after they were released, with the role that the node has then; so what
	// serves is ready before clients come and stays until they are gone. Not
	// every role change is told: what is told is always the latest, and one
	// call ends before the next begins. It may take its time, as heartbeats
	// do not wait for it; its context ends when the active role was lost
	// meanwhile, or, for other roles, ten seconds after the release began. An
	// error is reported and the call is repeated, so it must be fit for that. It
	// has to return soon after its context ends: the addresses wait for it, and
	// so does Run. nil means nothing to do.
	OnRole func(ctx context.Context, r Role) error `json:"-"`
	// OnEvent is told what happens, in order, from a goroutine of its own. If
	// it is slower than events come, the oldest are lost and counted. Run returns
	// when the last one is told, so it must not wait for Run. nil means nobody
	// listens.
	OnEvent func(Event) `json:"-"`
	// Transport opens the sockets; nil means [UDP].
	Transport Transport `json:"-"`
	// Logger gets role changes and troubles; nil discards.
	Logger *slog.Logger `json:"-"`
	// Beat is the process that the node runs in; nil is this one. It takes
	// *[Addresses] or [NoAddresses] as Owner, and [UDP] as Transport.
	Beat *Beat `json:"-"`
}

// fill returns a checked copy with the defaults filled in.
func (c *Config) fill() (*Config, error) {
	if c == nil {
		c = &Config{}
	}
	f := *c
	var errs []error
	complain := func(format string, a ...any) { errs = append(errs, fmt.Errorf("failover: "+format, a...)) }
	if f.Interval == 0 {
		f.Interval = DefaultInterval
	}
	if f.DeadAfter == 0 {
		f.DeadAfter = 3 * f.Interval
	}
	if f.Interval < MinInterval || f.Interval > pulse.MaxInterval {
		complain("interval %v is out of range; use %v to %v", f.Interval, MinInterval, pulse.MaxInterval)
	} else if f.DeadAfter < 2*f.Interval || f.DeadAfter > pulse.MaxDeadAfter {
		complain("dead time %v is out of range; use at least two intervals (%v) and at most %v", f.DeadAfter, 2*f.Interval, pulse.MaxDeadAfter)
	} else if f.WitnessTimeout < 0 || f.WitnessTimeout > f.DeadAfter {
		complain("witness time-out %v is out of range; use at most the dead time (%v)", f.WitnessTimeout, f.DeadAfter)
	}
	f.WitnessTimeout = cmp.Or(f.WitnessTimeout, f.Interval)
	if n := len(f.Channels); n > pulse.MaxChannels {
		complain("%d channels; at most %d are possible", n, pulse.MaxChannels)
	}
	if len(f.Channels) > 0 && !f.Legacy {
		switch {
		case len(f.Keys) == 0:
			f.Keys = []pulse.Key{{Secret: f.Key}}
		case len(f.Key) > 0:
			complain("both Key and Keys are given; give one of them")
		}
		if err := pulse.CheckKeys(f.Keys); err != nil {
			errs = append(errs, fmt.Errorf("failover: %w", err))
		}
	}
	f.Channels = slices.Clone(f.Channels)
	locals, peers := make(map[netip.AddrPort]string), make(map[netip.AddrPort]string)
	for i := range f.Channels {
		ch := &f.Channels[i]
		ch.Local, ch.Peer = plain(ch.Local), plain(ch.Peer)
		who := fmt.Sprintf("channel %d (%q)", i+1, ch.Name)
		switch {
		case ch.Name == "":
			complain("%s: no name", who)
		case !ch.Local.IsValid() || ch.Local.Port() == 0:
			complain("%s: local %v: give an address with a port, as 192.0.2.1:539", who, ch.Local)
		case !ch.Peer.IsValid() || ch.Peer.Port() == 0 || ch.Peer.Addr().IsUnspecified() || ch.Peer.Addr().IsMulticast():
			complain("%s: peer %v: give the partner's own address with a port", who, ch.Peer)
		case ch.Local.Addr().Is4() != ch.Peer.Addr().Is4():
			complain("%s: local %v and peer %v are of different families", who, ch.Local, ch.Peer)
		case ch.Peer.Addr().Is6() && ch.Peer.Addr().IsLinkLocalUnicast() && ch.Peer.Addr().Zone() == "":
			complain("%s: peer %v is link-local: give the device, too, as [fe80::2%%eth0]:539", who, ch.Peer)
		case ch.Local == ch.Peer:
			complain("%s: local and peer are both %v; the peer is the other node", who, ch.Peer)
		case locals[ch.Local] != "":
			complain("%s: local %v is used by channel %q already", who, ch.Local, locals[ch.Local])
		case peers[ch.Peer] != "":
			complain("%s: peer %v is used by channel %q already", who, ch.Peer, peers[ch.Peer])
		}
		locals[ch.Local], peers[ch.Peer] = ch.Name, ch.Name
	}
	if err := checkOwner(f.Owner); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f.Key, f.Keys = nil, cloneKeys(f.Keys)
	if f.Owner == nil {
		f.Owner = NoAddresses{}
	}
	switch t := f.Transport.(type) {
	case nil:
		f.Transport = UDP{}
	case *UDP: // the same, to who asks for UDP
		f.Transport = *cmp.Or(t, &UDP{})
	}
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	return &f, nil
}

// plain returns a with its address as sockets tell it.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
