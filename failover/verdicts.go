package failover

import (
	"fmt"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// verdictRefresh is how often a list goes out in which only ages have changed.
const verdictRefresh = 10 * time.Second

// verdicts is what two nodes tell each other of the targets that both check.
// All of it is beside the election.
type verdicts struct {
	// Ours. The list with the number is told until the partner has it; only then
	// comes the one that waits, so that changes in a row do not keep every list
	// from being whole.
	last    []pulse.Verdict // set last, at lastAt
	lastAt  time.Duration
	waiting []byte
	data    []byte
	told    *pulse.Document
	number  uint32 // 0: nothing to tell

	// The partner's, of its present run and of our digest.
	coming pulse.Assembly
	got    uint32
	list   []pulse.Verdict
	made   time.Duration // by the partner's clock
}

// SetVerdicts gives the node what it knows of targets that its partner checks
// too, at most pulse.MaxVerdicts, for the partner to start from when it knows
// nothing newer. It keeps no reference to the list. The list goes out encrypted,
// in pieces beside the beats, to a partner of the same digest: at once when a
// target or a state differs from the list before, and otherwise every ten
// seconds at most. It may be called as often as wanted.
func (n *Node) SetVerdicts(list []pulse.Verdict) error {
	now := n.clock()
	data, err := pulse.AppendVerdicts(nil, now, list)
	if err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v := &n.verdicts
	same := slices.EqualFunc(v.last, list, func(a, b pulse.Verdict) bool { return a.ID == b.ID && a.State == b.State })
	if same && (v.number != 0 || v.waiting != nil || n.remote != nil) && now-v.lastAt < verdictRefresh {
		return nil
	}
	v.last, v.lastAt, v.waiting = slices.Clone(list), now, data
	if n.remote != nil {
		v.waiting = nil
		n.remote.tell(verbVerdicts, data, false) // a new process is told the next list
		return nil
	}
	n.nextVerdicts()
	return nil
}

// PartnerVerdicts returns the partner's list as it is now, with the ages that
// its verdicts have by our clock, and since how long ago it is. ok is false if
// there is none: the partner has not told one in its present run, or its digest
// is not ours. The list of a partner that fell silent stays, and ages.
func (n *Node) PartnerVerdicts() (list []pulse.Verdict, age time.Duration, ok bool) {
	if n.remote != nil {
		return n.distantVerdicts()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v := &n.verdicts
	if v.list == nil {
		return nil, 0, false
	}
	age = n.verdictAge(n.clock())
	list = slices.Clone(v.list)
	for i := range list {
		if list[i].Age >= 0 {
			list[i].Age += age
		}
		if list[i].Lasts >= 0 {
			list[i].Lasts += age
		}
	}
	return list, age, true
}

// verdictAge returns how long ago the partner made its list. The caller holds mu.
func (n *Node) verdictAge(now time.Duration) time.Duration {
	_, heard, _ := n.machine.Partner()
	return max(n.beat.Sent+now-heard-n.verdicts.made, 0)
}

// nextVerdicts lets the list that waits be told, when the partner has the one
// before or nobody is there to get it. The caller holds mu.
func (n *Node) nextVerdicts() {
	v := &n.verdicts
	stale := v.told != nil && v.told.Digest() != n.digest
	if v.waiting == nil && !stale || v.number != 0 && !stale && n.machine.Hears() && n.beat.Has != v.number {
		return
	}
	if v.waiting != nil {
		v.data, v.waiting = v.waiting, nil
	}
	told, err := pulse.NewDocument(n.digest, v.data)
	if err != nil {
		return // too long a list was refused before
	}
	v.told = told
	if v.number++; v.number == 0 {
		v.number = 1
	}
}

// verdictPiece returns the next piece for a partner that has not got the list.
// The caller holds mu.
func (n *Node) verdictPiece() (pulse.Piece, bool) {
	n.nextVerdicts()
	v := &n.verdicts
	if v.number == 0 || n.mismatch || !n.machine.Hears() || n.beat.Has == v.number {
		return pulse.Piece{}, false
	}
	p, ok := v.told.Next()
	p.Kind, p.Number = pulse.PieceVerdicts, v.number
	return p, ok
}

// heardVerdicts takes in a piece of the partner's list. The caller holds mu.
func (n *Node) heardVerdicts(p *pulse.Piece) {
	v := &n.verdicts
	if n.mismatch || p.Digest != n.beat.Digest || p.Number == 0 || v.got != 0 && int32(p.Number-v.got) <= 0 {
		return
	}
	whole, err := v.coming.Add(p)
	if whole == nil && err == nil {
		return
	}
	if err == nil {
		var made time.Duration
		var list []pulse.Verdict
		if made, list, err = pulse.ParseVerdicts(whole); err == nil {
			v.made, v.list = made, list
		}
	}
	v.got = p.Number // also of a broken one: to ask again would mend nothing
	n.events.emit(Event{Kind: EventVerdicts, Err: err})
}

// forgetVerdicts forgets the partner's list. The caller holds mu.
func (n *Node) forgetVerdicts() {
	v := &n.verdicts
	v.coming, v.got, v.list, v.made = pulse.Assembly{}, 0, nil, 0
}
