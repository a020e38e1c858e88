package pool

import (
	"time"

	"github.com/lvskit/lvskit/health"
)

// Verdict is what one node knows of a target, in the form in which it can be
// told to a peer that checks the same. Times are ages, so that the clocks of
// the two need not agree.
type Verdict struct {
	// ID names the target; both nodes give it the same name.
	ID string `json:"id"`
	// Check is the identity of the check. Verdicts of different checks do
	// not compare.
	Check string `json:"check"`
	// State is what the answers add up to; Unknown says nothing.
	State health.State `json:"state"`
	// Reason is that of the last answer, at most health.MaxReason bytes.
	Reason string `json:"reason,omitempty"`
	// Age is how long ago the last answer came, Lasts how long ago the state
	// began. Below 0 they say nothing.
	Age   time.Duration `json:"age_ns"`
	Lasts time.Duration `json:"lasts_ns"`
}

// Trust says how far a peer is believed. The zero value believes nothing.
type Trust struct {
	// Fresh is how old a verdict of our own may be so that no peer counts
	// against it, whatever it says: some intervals of the check.
	Fresh time.Duration `json:"fresh_ns"`
	// MaxAge is how old a peer's verdict may be to be taken at all.
	MaxAge time.Duration `json:"max_age_ns"`
}

// Choose returns our own verdict or the peer's, and true when it is the
// peer's. The peer's is taken for a start only: when it is about the same
// check of the same target, not older than MaxAge, and when we have none, or
// one that is neither fresh nor younger.
func (t Trust) Choose(own, peer Verdict) (Verdict, bool) {
	switch {
	case peer.State != health.Up && peer.State != health.Down,
		peer.ID != own.ID || peer.Check != own.Check,
		peer.Age < 0 || peer.Age > t.MaxAge:
		return own, false
	case own.State != health.Up && own.State != health.Down, own.Age < 0:
		return peer, true
	case own.Age <= t.Fresh, own.Age <= peer.Age:
		return own, false
	}
	return peer, true
}

// Merge chooses for each of our own targets and returns those where the peer
// is taken. What the peer says of others, or more than once, it says in vain,
// and a later line of the same target counts only if it is younger.
func (t Trust) Merge(own, peer []Verdict) []Verdict {
	at := make(map[string]int, len(own))
	for i, v := range own {
		at[v.ID] = i
	}
	taken := make(map[string]Verdict)
	for _, v := range peer {
		i, ours := at[v.ID]
		if !ours {
			continue
		}
		// Of two lines of one age the order must not decide: the worse counts.
		if best, again := taken[v.ID]; again && (best.Age < v.Age || best.Age == v.Age && best.State >= v.State) {
			continue
		}
		if best, ok := t.Choose(own[i], v); ok {
			taken[v.ID] = best
		}
	}
	out := make([]Verdict, 0, len(taken))
	for _, v := range own {
		if best, ok := taken[v.ID]; ok {
			out = append(out, best)
		}
	}
	return out
}
