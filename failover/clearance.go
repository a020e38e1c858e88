package failover

import (
	"context"
	"fmt"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// clearance is what has to agree before silence alone makes a node active: the
// witness and the fence, in this order, in a goroutine of their own.
type clearance struct {
	waits  bool               // the machine waits for us
	cancel context.CancelFunc // of the question under way
	ask    chan struct{}
	// Of this silence: how far it has come, what is the trouble, and when each
	// was told.
	text string
	step string
	told map[string]time.Time
}

const askingWitness = "asking the witness"

// heldEvery limits EventTakeOverHeld of one trouble.
const heldEvery = time.Minute

// follow starts and ends questions as the machine wants. The caller holds mu.
func (n *Node) followClearance() {
	c := &n.clearance
	waits := n.machine.Waits()
	if n.machine.Hears() {
		c.text = ""
	}
	if waits == c.waits {
		return
	}
	c.waits = waits
	if !waits {
		if c.cancel != nil {
			c.cancel()
		}
		return
	}
	c.step, c.told, c.text = "", make(map[string]time.Time), "about to be asked for"
	select {
	case c.ask <- struct{}{}:
	default:
	}
}

// clearances answers the machine until ctx ends.
func (n *Node) clearances(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.clearance.ask:
		}
		n.clear(ctx)
	}
}

// clear asks witness and fence until both agree or the machine waits no more.
func (n *Node) clear(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	if !n.clearance.waits {
		n.mu.Unlock()
		return
	}
	n.clearance.cancel = cancel
	n.mu.Unlock()

	cutOff, pause := false, firstRetry
	for {
		next := time.Now().Add(n.cfg.Interval)
		reached := n.askWitness(ctx)
		if reached && cutOff {
			// The network is back, and the witness may answer before the
			// partner's next beat comes: what was silence may have been us.
			n.clearing("the witness is reached again, listening for the partner")
			sleep(ctx, n.deadAfter())
		}
		if cutOff = !reached; reached && ctx.Err() == nil {
			if n.fencePartner(ctx) {
				break
			}
			// The witness is asked anew: by then this node may be cut off.
			next = time.Now().Add(pause)
			pause = min(2*pause, lastRetry)
		}
		if sleep(ctx, time.Until(next)); ctx.Err() != nil {
			return
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// A silence that ended while we asked has ended ctx, whatever came after it.
	if ctx.Err() == nil && n.clearance.waits {
		n.clearance.text = "cleared"
		n.events.emit(Event{Kind: EventTakeOverFree})
		n.step(pulse.Event{Kind: pulse.EventCleared}, n.clock())
	}
}

// askWitness asks once, and reports whether the node may go on.
func (n *Node) askWitness(ctx context.Context) bool {
	if n.cfg.Witness == nil {
		return true
	}
	n.clearing(askingWitness)
	limit, done := context.WithTimeout(ctx, n.cfg.WitnessTimeout)
	defer done()
	ok, why := n.cfg.Witness(limit)
	if !ok {
		n.held(ctx, "witness", "the witness is not reached ("+why+"), so this node may be the one that is cut off")
	}
	return ok
}

// fencePartner fences once, and reports whether the partner cannot serve.
func (n *Node) fencePartner(ctx context.Context) bool {
	if n.cfg.Fence == nil {
		return true
	}
	n.clearing("fencing the partner")
	slow := time.AfterFunc(heldEvery, func() {
		n.held(ctx, "slow fence", fmt.Sprintf("fencing the partner has not ended for %v", heldEvery))
	})
	defer slow.Stop()
	err := n.cfg.Fence(ctx, pulse.ReasonPartnerSilent.String())
	if err != nil {
		n.held(ctx, "fence", "the partner cannot be fenced: "+err.Error())
	}
	return err == nil
}

// deadAfter is how long the partner may be silent.
func (n *Node) deadAfter() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.DeadAfter()
}

// clearing notes what is being done, unless a trouble with it is noted.
func (n *Node) clearing(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.clearance
	if c.step == "" || text != askingWitness && c.step == "witness" {
		c.text = text
	}
}

// held notes and tells why the take-over is held.
func (n *Node) held(ctx context.Context, step, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return // an answer that nobody waits for
	}
	c := &n.clearance
	c.text, c.step = text, step
	if at, ok := c.told[step]; ok && time.Since(at) < heldEvery {
		return
	}
	c.told[step] = time.Now()
	n.events.emit(Event{Kind: EventTakeOverHeld, Reason: text})
}

// sleep waits for a while, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
