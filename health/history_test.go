package health

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someResult(rnd *rand.Rand) *Result {
	r := &Result{
		Verdict:  Verdict(rnd.IntN(3)),
		Reason:   strings.Repeat("why ", rnd.IntN(4)),
		Start:    time.Unix(1_700_000_000+rnd.Int64N(1e8), rnd.Int64N(1e9)),
		Duration: time.Duration(rnd.Int64N(int64(time.Minute))),
	}
	for _, name := range []string{"connect", "tls", "read"}[:rnd.IntN(4)] {
		r.Phases = append(r.Phases, Phase{name, time.Duration(rnd.Int64N(1e9))})
	}
	if rnd.IntN(3) == 0 {
		r.Seen = []byte(strings.Repeat("x", 1+rnd.IntN(MaxSeen)))
	}
	if rnd.IntN(3) == 0 {
		r.Weight = new(rnd.IntN(1000) - 1)
	}
	return r
}

// However results come and go, the history is the newest of them, and the
// texts of what is gone are let go.
func TestHistoryKeepsTheNewest(t *testing.T) {
	for _, keep := range []int{1, 2, 10} {
		rnd := rand.New(rand.NewPCG(1, uint64(keep)))
		var all texts
		var a, b history
		var pushed []*Result
		for i := range 500 {
			r := someResult(rnd)
			pushed = append(pushed, r)
			a.push(&all, r, keep)
			b.push(&all, someResult(rnd), keep) // shares the texts
			want := pushed[max(0, len(pushed)-keep):]
			if diff := cmp.Diff(want, a.results(&all, keep)); diff != "" {
				t.Fatalf("keep %d, after %d (-want +got):\n%s", keep, i+1, diff)
			}
			if diff := cmp.Diff(want[len(want)-1:], a.results(&all, 1)); diff != "" {
				t.Fatalf("the newest (-want +got):\n%s", diff)
			}
		}
		a.clear(&all)
		b.clear(&all)
		if len(all.ids) != 0 || len(all.free) != len(all.list) {
			t.Errorf("texts are left: %v", all.ids)
		}
		if len(all.list) > 2*2*keep+4 {
			t.Errorf("%d places for texts, although numbers are used again", len(all.list))
		}
	}
}

// What a record does not carry is kept with the newest result.
func TestHistoryWhole(t *testing.T) {
	if !whole(someResult(rand.New(rand.NewPCG(1, 1)))) {
		t.Error("a record carries less than it does")
	}
}

func FuzzHistory(f *testing.F) {
	f.Add(uint8(1), "connect: accepted", "connect", int64(5), []byte("220"), int64(1), true)
	f.Add(uint8(2), "", "", int64(-5), []byte{}, int64(-1), false)
	f.Fuzz(func(t *testing.T, verdict uint8, reason, phase string, took int64, seen []byte, start int64, weight bool) {
		r := Result{
			Verdict: Verdict(verdict % 3), Reason: reason, Seen: seen, Duration: time.Duration(took),
			Start: time.Unix(0, start), Phases: []Phase{{phase, time.Duration(-took)}, {"read", 1}},
		}
		if weight {
			r.Weight = new(int(took))
		}
		r = r.tidy(time.Now(), 1)
		var all texts
		var h history
		h.push(&all, &Result{Reason: reason}, 2)
		h.push(&all, &r, 2)
		h.push(&all, &r, 2)
		got := h.results(&all, 2)
		want := r
		want.Phases[0].Name = want.Phases[0].Name[:min(len(phase), maxPhaseName)]
		if len(want.Seen) == 0 {
			want.Seen = nil
		}
		if diff := cmp.Diff([]*Result{&want, &want}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.clear(&all)
		if len(all.ids) != 0 {
			t.Errorf("texts are left: %v", all.ids)
		}
	})
}
