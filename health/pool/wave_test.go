package pool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

// sea is a set of targets with a wave over them: what their checks say, and
// what they count as.
type sea struct {
	alarm  Alarm
	wave   Wave
	says   map[string]health.State
	counts map[string]health.State
	now    time.Time
}

func newSea(n int, a Alarm) *sea {
	s := &sea{alarm: a, says: map[string]health.State{}, counts: map[string]health.State{}, now: noon}
	for i := range n {
		s.says[fmt.Sprint(i)], s.counts[fmt.Sprint(i)] = up, up
	}
	return s
}

func (s *sea) standing(but string) (n int) {
	for id, st := range s.counts {
		if id != but && st != down {
			n++
		}
	}
	return n
}

func (s *sea) fall(ids ...int) {
	for _, i := range ids {
		id := fmt.Sprint(i)
		if s.says[id] == down {
			continue
		}
		s.says[id] = down
		if s.wave.Fell(s.alarm, id, s.counts[id], s.standing(id), s.now) {
			s.counts[id] = down
		}
		s.settle()
	}
}

func (s *sea) rise(ids ...int) {
	for _, i := range ids {
		id := fmt.Sprint(i)
		s.says[id] = up
		s.wave.Rose(id)
		s.settle()
	}
}

func (s *sea) control(ok bool) { s.wave.Answer(s.alarm, ok, "as asked", s.now); s.settle() }

func (s *sea) pass(d time.Duration) { s.now = s.now.Add(d); s.wave.Tick(s.alarm, s.now); s.settle() }

func (s *sea) settle() {
	for id, st := range s.says {
		if held, ok := s.wave.Held(id); ok {
			st = held
		}
		s.counts[id] = st
	}
}

func (s *sea) want(t *testing.T, phase Phase, downs string) {
	t.Helper()
	var got []string
	for id, st := range s.counts {
		if st == down {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	p, _ := s.wave.Phase()
	if diff := cmp.Diff(fmt.Sprint(phase, " ", downs), fmt.Sprint(p, " ", strings.Join(got, " "))); diff != "" {
		t.Errorf("phase and who is down (-want +got):\n%s", diff)
	}
}

func TestFewFailuresAreBelieved(t *testing.T) {
	s := newSea(6, Alarm{Share: 0.5})
	s.fall(0, 1, 2)
	s.want(t, Calm, "0 1 2")
	s.pass(DefaultWindow + time.Second)
	s.fall(3) // one of three that stand, in a window of its own
	s.want(t, Calm, "0 1 2 3")
	s.rise(0)
	s.want(t, Calm, "1 2 3")
}

func TestNoAlarmBelievesAll(t *testing.T) {
	s := newSea(6, Alarm{})
	s.fall(0, 1, 2, 3, 4, 5)
	s.want(t, Calm, "0 1 2 3 4 5")
	few := newSea(3, Alarm{Share: 0.5})
	few.fall(0, 1, 2)
	few.want(t, Calm, "0 1 2")
}

func TestManyFailuresAreBelievedWhenTheControlTargetAnswers(t *testing.T) {
	s := newSea(6, Alarm{Share: 0.5})
	s.fall(0, 1, 2, 3, 4)
	s.want(t, Asking, "0 1 2")
	if !s.wave.Asks() || s.wave.Holds() != 2 {
		t.Errorf("asks %t, holds %d; want it to ask and to hold 2", s.wave.Asks(), s.wave.Holds())
	}
	s.control(true)
	s.want(t, Granted, "0 1 2 3 4")
	s.fall(5)
	s.want(t, Granted, "0 1 2 3 4 5")
	if until := s.wave.Until(); !until.Equal(noon.Add(DefaultWindow)) {
		t.Errorf("until %v", until)
	}
	s.rise(0, 1, 2, 3, 4, 5)
	s.pass(DefaultWindow)
	s.want(t, Calm, "")
}

func TestOurOwnSicknessTakesNobodyOut(t *testing.T) {
	s := newSea(6, Alarm{Share: 0.5})
	s.fall(0, 1, 2, 3)
	s.want(t, Asking, "0 1 2")
	s.control(false)
	// Those that went before it was noticed come back, too.
	s.want(t, Holding, "")
	s.fall(4, 5)
	s.pass(time.Hour)
	s.control(false)
	s.want(t, Holding, "")
	if why := s.wave.Why(); !strings.Contains(why, "4 of 6 targets failed at once") || !strings.Contains(why, "cut off") || !strings.Contains(why, "6 targets keep") {
		t.Errorf("why %q", why)
	}
	// One that answers is up by itself, and may fall again.
	s.rise(4)
	s.fall(4)
	s.want(t, Holding, "")

	// The control target answers again: the others get time to do so too.
	s.control(true)
	s.want(t, Settling, "")
	s.rise(0, 1, 2, 3)
	s.pass(DefaultWindow - time.Second)
	s.want(t, Settling, "")
	s.pass(time.Second)
	s.want(t, Calm, "4 5")
}

func TestTheControlTargetMayGoAgain(t *testing.T) {
	s := newSea(4, Alarm{Share: 0.25})
	s.fall(0, 1)
	s.want(t, Asking, "0")
	s.control(false)
	s.control(true)
	s.control(false)
	s.want(t, Holding, "")
	s.pass(time.Hour)
	s.want(t, Holding, "")
}

func TestAnUnaskedTargetStaysUnasked(t *testing.T) {
	var w Wave
	a := Alarm{Share: 0.1, Least: 1}
	if w.Fell(a, "a", unknown, 9, noon) && w.Fell(a, "b", unknown, 8, noon) {
		t.Fatal("two of ten were believed")
	}
	w.Answer(a, false, "", noon)
	for _, id := range []string{"a", "b"} {
		if got, ok := w.Held(id); !ok || got != unknown {
			t.Errorf("%s is held as %v, %t; want it unknown", id, got, ok)
		}
	}
}

// A failure that comes before the tick that is due does not swallow what the
// tick has to say.
func TestAFailureDoesNotStandForATick(t *testing.T) {
	a := Alarm{Share: 0.5, Least: 1, Window: 10 * time.Second}
	var w Wave
	for i, id := range []string{"a", "b"} {
		w.Fell(a, id, up, 1-i, noon)
	}
	w.Answer(a, false, "", noon)
	w.Answer(a, true, "", noon)
	late := noon.Add(11 * time.Second)
	w.Fell(a, "c", up, 9, late)
	if !w.Tick(a, late) || w.Holds() != 0 {
		t.Errorf("nobody was told that targets are not held any more; %d are", w.Holds())
	}
}

// What flaps within the window is remembered once.
func TestFlappingTargetsDoNotMakeItGrow(t *testing.T) {
	s := newSea(100, Alarm{Share: 0.5})
	for range 1000 {
		s.now = s.now.Add(time.Millisecond)
		s.fall(1)
		s.rise(1)
	}
	if n := len(s.wave.order); n > 200 {
		t.Errorf("%d turns are remembered of one target", n)
	}
	s.want(t, Calm, "")
}

// In every history: a target that answers is up, and with the alarm off all
// failures count at once. When all is over, all counts as its checks say.
func TestWavesOfAnyKindEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 2))
	for range 300 {
		n := 2 + r.IntN(12)
		s := newSea(n, Alarm{Share: []float64{0, 0.2, 0.5, 0.9}[r.IntN(4)], Least: 1 + r.IntN(5), Window: 10 * time.Second})
		for range 100 {
			switch r.IntN(5) {
			case 0, 1:
				s.fall(r.IntN(n))
			case 2:
				s.rise(r.IntN(n))
			case 3:
				if s.wave.Asks() {
					s.control(r.IntN(2) == 0)
				}
			case 4:
				s.pass(time.Duration(r.Int64N(int64(4 * time.Second))))
			}
			for id, st := range s.says {
				if st == up && s.counts[id] != up {
					t.Fatalf("%s answers and counts as %v", id, s.counts[id])
				}
				if s.alarm.Share == 0 && s.counts[id] != st {
					t.Fatalf("%s is held without an alarm", id)
				}
			}
		}
		s.control(true)
		s.pass(time.Hour)
		s.control(true)
		s.pass(time.Hour)
		if diff := cmp.Diff(s.says, s.counts); diff != "" {
			t.Fatalf("held for ever (-checks +counts):\n%s", diff)
		}
	}
}

func TestMerge(t *testing.T) {
	trust := Trust{Fresh: 10 * time.Second, MaxAge: time.Minute}
	v := func(s health.State, age time.Duration) Verdict {
		return Verdict{ID: "a", Check: "tcp", State: s, Age: age}
	}
	for _, tt := range []struct {
		name      string
		own, peer Verdict
		taken     bool
	}{
		{"a start where ours is missing", v(unknown, 0), v(down, 30*time.Second), true},
		{"a start where ours is older than fresh", v(up, 40*time.Second), v(down, 30*time.Second), true},
		{"never over a fresh one of our own", v(up, 10*time.Second), v(down, 0), false},
		{"never over a younger one of our own", v(up, 20*time.Second), v(down, 30*time.Second), false},
		{"not when it is too old", v(unknown, 0), v(down, time.Minute+1), false},
		{"not when it says nothing", v(unknown, 0), v(unknown, 0), false},
		{"not of an impossible age", v(unknown, 0), v(down, -1), false},
		{"not of a state that we do not know", v(unknown, 0), v(health.State(9), 0), false},
		{"not of another check", v(unknown, 0), Verdict{ID: "a", Check: "http", State: up}, false},
		{"not of another target", v(unknown, 0), Verdict{ID: "b", Check: "tcp", State: up}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.own
			if tt.taken {
				want = tt.peer
			}
			got, taken := trust.Choose(tt.own, tt.peer)
			if taken != tt.taken || got != want {
				t.Errorf("%+v, %t; want %+v, %t", got, taken, want, tt.taken)
			}
			if _, taken := (Trust{}).Choose(tt.own, tt.peer); taken && tt.peer.Age > 0 {
				t.Error("taken without trust")
			}
			merged := trust.Merge([]Verdict{{ID: "x", Check: "tcp"}, tt.own}, []Verdict{{ID: "stranger", State: up}, tt.peer})
			if (len(merged) == 1) != tt.taken {
				t.Errorf("merged %+v", merged)
			}
		})
	}
	own := []Verdict{{ID: "a", Check: "tcp"}, {ID: "b", Check: "tcp"}}
	peer := []Verdict{
		{ID: "b", Check: "tcp", State: up, Age: 3},
		{ID: "a", Check: "tcp", State: up, Age: 5},
		{ID: "a", Check: "tcp", State: down, Age: 5},
		{ID: "a", Check: "tcp", State: up, Age: 6},
	}
	want := []Verdict{peer[2], peer[0]}
	for range 2 {
		if diff := cmp.Diff(want, trust.Merge(own, peer)); diff != "" {
			t.Errorf("of several lines (-want +got):\n%s", diff)
		}
		slices.Reverse(peer)
	}
}
