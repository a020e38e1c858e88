package failover

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// SetKeys replaces the keys of a running node: the first one seals, all of
// them open. No packet is refused if a pair does it in three steps, each on both
// nodes before the next: add the new key as the last one, make it the first one,
// remove the old one. The status tells with which key the partner seals, and
// [EventNewerKey] that it is a step ahead. The error says what is wrong with the
// keys, and then the old ones stay.
func (n *Node) SetKeys(keys []pulse.Key) error {
	if err := pulse.CheckKeys(keys); err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	if n.remote != nil {
		return n.remote.setKeys(cloneKeys(keys))
	}
	return n.setKeys(cloneKeys(keys))
}

// setKeys keeps keys.
func (n *Node) setKeys(keys []pulse.Key) error {
	seal, err := pulse.NewCodec(keys...)
	if err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seal = seal
	n.keys.Store(&keys)
	return nil
}

func cloneKeys(keys []pulse.Key) []pulse.Key {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].Secret = bytes.Clone(keys[i].Secret)
	}
	return keys
}

// renewCodec gives a receiving goroutine the codec of the present keys.
func (n *Node) renewCodec(c *channel) {
	keys := n.keys.Load()
	if keys == c.keys {
		return
	}
	// What makes a codec fail was found when the keys were set.
	if codec, err := pulse.NewCodec(*keys...); err == nil {
		c.open, c.keys = codec, keys
	}
}

// judgeKey tells of a partner that uses a newer key. The caller holds mu.
func (n *Node) judgeKey(id uint32) {
	ours := (*n.keys.Load())[0].ID
	if id <= ours || id == n.newerKey {
		return
	}
	n.newerKey = id
	n.events.emit(Event{Kind: EventNewerKey, Reason: fmt.Sprintf(
		"the partner seals with key %d, this router with key %d; make key %d the first one here too", id, ours, id)})
}

const (
	// clocksDiffer is more than a clock that anyone looks after is off, and
	// clocksAgree ends the alarm.
	clocksDiffer = time.Second
	clocksAgree  = clocksDiffer / 2
	// clockBeats is for how many intervals beats have to say so: those that
	// waited unread are read in one go.
	clockBeats = 3
)

// clocks compares the clocks of day of the two nodes.
type clocks struct {
	now    func() time.Time
	offset time.Duration // of the partner's
	since  time.Duration // all beats differ
	differ bool
	told   bool
}

// judgeClock takes in what the partner's clock said at the time now of ours, 0
// for nothing. The caller holds mu.
func (n *Node) judgeClock(wall int64, now time.Duration) {
	if wall == 0 {
		return
	}
	c := &n.clocks
	c.offset = time.Unix(0, wall).Sub(c.now()) // saturates
	off := max(c.offset, -c.offset)
	if differ := off > clocksDiffer; differ != c.differ {
		c.differ, c.since = differ, now
	}
	switch {
	case !c.told && c.differ && now-c.since >= clockBeats*n.cfg.Interval:
		c.told = true
		n.events.emit(Event{Kind: EventClocksDiffer, Reason: fmt.Sprintf(
			"the partner's clock is %v %s ours; set both by the same time servers", off.Round(time.Millisecond), direction(c.offset))})
	case c.told && off < clocksAgree:
		c.told = false
		n.events.emit(Event{Kind: EventClocksAgree})
	}
}

func direction(offset time.Duration) string {
	if offset < 0 {
		return "behind"
	}
	return "ahead of"
}
