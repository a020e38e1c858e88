package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// Node is one of a pair of directors, or a single one. Its methods are safe
// for concurrent use, also from within the callbacks of [Config].
type Node struct {
	cfg     *Config
	start   time.Time
	events  *eventQueue
	effects *effects
	chans   []*channel
	legacy  legacy // under mu
	keys    atomic.Pointer[[]pulse.Key]
	poke    chan struct{}
	remote  *remote // where all of it is with a Beat; nil: here

	mu       sync.Mutex
	started  bool
	machine  pulse.Machine
	guard    pulse.Guard
	spare    uint64 // the next challenge
	seal     *pulse.Codec
	newerKey uint32 // of the partner's, told last
	seq      uint64
	pieceSeq uint64
	// lastPiece is when pieces went out.
	lastPiece time.Duration
	clocks    clocks
	send      bool // a beat is wanted before the interval is over
	// answerAgain is when an unproven packet is answered again at once.
	answerAgain time.Duration
	beat        pulse.Beat
	// anticipated is when the partner was heard before the silence for which a
	// take-over was prepared last.
	anticipated time.Duration
	digest      [32]byte
	serving     bool // and the neighbours know
	mismatch    bool
	compared    [2][32]byte // the digests told last, ours and the partner's
	docs        documents
	verdicts    verdicts
	clearance   clearance
	fault       string
	deaf        deafness
	refusals    refusals
	relieved    bool
	// onRelieved, if set, is told when that changes, under mu.
	onRelieved func(bool)
}

// New returns a node, which does nothing before Run. The error lists all that
// is wrong with cfg; nil is a node alone without addresses.
func New(cfg *Config) (*Node, error) {
	c, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	c.shelter()
	if c.Beat.apart() {
		return c.distantNode()
	}
	n := &Node{cfg: c, start: time.Now(), poke: make(chan struct{}, 1), digest: c.Digest, clocks: clocks{now: time.Now}}
	n.clearance.ask = make(chan struct{}, 1)
	n.events = newEventQueue(c.Logger, c.OnEvent)
	n.effects = newEffects(c.Owner, c.OnRole, n.events.emit)
	n.effects.settled = n.settled
	for i, ch := range c.Channels {
		// One byte more than a packet, so that longer ones show.
		n.chans = append(n.chans, &channel{Channel: ch, index: i, changed: make(chan struct{}, 1), in: make([]byte, max(pulse.Size, pulse.MaxPieceSize)+1)})
	}
	n.legacy.little = nativeLittle()
	if len(n.chans) > 0 && !c.Legacy {
		if err := n.setKeys(c.Keys); err != nil {
			return nil, err
		}
	}
	n.guard, n.spare = pulse.NewGuard(randomID(), randomID()), randomID()
	n.machine = pulse.NewMachine(n.params(), 0)
	return n, nil
}

// Run takes part in the pair until ctx ends; then it tells the partner, serves
// until the partner does if that is able to (which may take DeadAfter for it to
// begin, and ten seconds more for its hook and addresses), releases the
// addresses, calls the role hook and returns nil; these two are tried for ten
// seconds. With no partner that is able to, a partner that died within DeadAfter
// excepted, nothing is waited for. It returns an error at once if
// no channel may be opened for want of permission; any other trouble is reported
// and tried again. A node runs once.
func (n *Node) Run(ctx context.Context) error {
	if n.remote != nil {
		return n.remote.run(ctx)
	}
	n.mu.Lock()
	if n.started {
		n.mu.Unlock()
		return errors.New("failover: the node has run already; make a new one with New")
	}
	n.started = true
	n.mu.Unlock()

	// What runs inside outlives ctx until the partner knows and the
	// addresses are released.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var denied []error
	for _, c := range n.chans {
		if err := n.listen(ctx, c); errors.Is(err, fs.ErrPermission) {
			denied = append(denied, fmt.Errorf("failover: channel %q: %w: run as root, give CAP_NET_BIND_SERVICE, or use a port above 1023", c.Name, err))
		}
	}
	if len(denied) > 0 && len(denied) == len(n.chans) {
		return errors.Join(denied...)
	}

	n.mu.Lock()
	now := n.clock()
	n.machine = pulse.NewMachine(n.params(), now)
	n.step(pulse.Event{Kind: pulse.EventFault, On: n.fault != ""}, now)
	n.mu.Unlock()
	n.countOpen()
	if n.cfg.Legacy && len(n.chans) > 0 {
		n.events.emit(Event{Kind: EventLegacy, Reason: "the partner's heartbeat is Piranha's, which is not authenticated: whoever can send from its address decides who serves; end this when both routers are new"})
	}

	var work, telling sync.WaitGroup
	// Events end after everything else, so that the last one is told.
	tell, quiet := context.WithCancel(context.WithoutCancel(ctx))
	telling.Go(func() { n.events.run(tell) })
	work.Go(n.effects.run)
	for _, c := range n.chans {
		work.Go(func() { n.receive(inner, c) })
	}
	work.Go(func() { n.clearances(inner) })
	if len(n.chans) > 0 {
		work.Go(func() { noticeChanges(inner, n.cfg.Transport, n.retry) })
	}
	n.loop(ctx)
	stop()
	work.Wait()
	quiet()
	telling.Wait()
	return nil
}

// SetDigest replaces the digest of the configuration, as after a reload.
func (n *Node) SetDigest(d [32]byte) {
	if n.remote != nil {
		n.remote.tell(verbDigest, d, true)
		return
	}
	n.mu.Lock()
	n.digest = d
	n.compareDigests()
	n.mu.Unlock()
}

// SetFault keeps the node from being active, for the reason given, and if it is
// releases what it has at once; the empty reason ends the fault. A node whose
// fault ends listens before it takes anything over.
func (n *Node) SetFault(reason string) {
	if n.remote != nil {
		n.remote.tell(verbFault, reason, true)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = reason
	if n.started {
		n.step(pulse.Event{Kind: pulse.EventFault, On: reason != ""}, n.clock())
	}
}

// Announce begins the schedule of announcements anew if the node is active,
// as after addresses were added.
func (n *Node) Announce() {
	if n.remote != nil {
		n.remote.tell(verbAnnounce, nil, false)
		return
	}
	n.effects.announce()
}
