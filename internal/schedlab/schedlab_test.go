package schedlab

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/sched"
)

var sameAddrs = cmpopts.EquateComparable(netip.AddrPort{})

// generated are cases of every scheduler that package sched has, played on
// the model alone.
func generated(t testing.TB, n int) []Case {
	t.Helper()
	g := &Generator{Seed: 1, Schedulers: sched.Names(), Steps: 40, Ends: 1, Expiration: time.Hour, Waits: true}
	var cases []Case
	for i := range n {
		c := g.Case(i)
		m, err := NewModel(c)
		if err != nil {
			t.Fatal(err)
		}
		var played []Step
		for _, s := range c.Steps {
			s, ok := m.Sensible(s)
			if !ok {
				continue
			}
			if s.Got, err = m.Play(s); err != nil {
				t.Fatalf("case %s: %v: %v", c.Name, s, err)
			}
			if s.Got != 0 {
				m.Took(s, s.Got)
			}
			played = append(played, s)
		}
		c.Steps = played
		cases = append(cases, c)
	}
	return cases
}

func TestTextOfCasesReadsBack(t *testing.T) {
	want := generated(t, 60)
	var text strings.Builder
	if err := WriteCases(&text, want...); err != nil {
		t.Fatal(err)
	}
	got, err := ReadCases([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameAddrs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReplayFindsAChangedPick(t *testing.T) {
	changed := 0
	for _, c := range generated(t, 60) {
		if err := Replay(c); err != nil {
			t.Errorf("unchanged: %v", err)
		}
		last := len(c.Steps) - 1
		for last >= 0 && (c.Steps[last].Op != Pick || c.Steps[last].Got == 0) {
			last--
		}
		if last < 0 {
			continue
		}
		changed++
		c.Steps[last].Got = 0
		if err := Replay(c); err == nil {
			t.Errorf("case %s with a changed pick replays", c.Name)
		}
	}
	if changed < 30 {
		t.Errorf("only %d cases have a pick", changed)
	}
}

func TestGeneratorRepeatsItself(t *testing.T) {
	g := Generator{Seed: 7, Schedulers: []string{"rr", "mh"}, Steps: 50, Ends: 2}
	a, b := g.Case(3), g.Case(3)
	if diff := cmp.Diff(a, b, sameAddrs); diff != "" {
		t.Errorf("(-first +second)\n%s", diff)
	}
	if cmp.Equal(a.Steps, g.Case(5).Steps, sameAddrs) {
		t.Error("another number gives the same case")
	}
}

func TestReadCasesNamesTheLine(t *testing.T) {
	const head = "case a rr tcp older\n"
	tests := map[string]struct{ text, want string }{
		"a step without a case": {"add 1 10.0.0.1:80 1 0/0\n", "line 1"},
		"an unknown protocol":   {"case a rr icmp older", `protocol "icmp"`},
		"an unknown key":        {"case a rr tcp older colour=red", "colour"},
		"too few words":         {"case a", "want a name"},
		"an unknown step":       {head + "jump 1", "line 2"},
		"no number":             {head + "remove x", "line 2"},
		"server 0":              {head + "remove 0", "begin at 1"},
		"a word too many":       {head + "remove 1 2", "too much"},
		"a word missing":        {head + "add 1 10.0.0.1:80", "missing"},
		"no arrow":              {head + "pick 1 10.0.0.1:1 10.0.0.2:2 1", ">"},
		"the first service":     {head + "pick 1 10.0.0.1:1 = > 1", "line 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCases([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzReadCases(f *testing.F) {
	for _, c := range generated(f, 20) {
		f.Add([]byte(c.String()))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cases, err := ReadCases(text)
		if err != nil {
			return
		}
		var again strings.Builder
		if err := WriteCases(&again, cases...); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCases([]byte(again.String()))
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, again.String())
		}
		if diff := cmp.Diff(cases, got, sameAddrs, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestShrinkLeavesWhatMatters(t *testing.T) {
	var c Case
	for n := range 40 {
		c.Steps = append(c.Steps, Step{Op: Remove, Server: n + 1})
	}
	fails := func(c Case) bool {
		has := func(n int) bool {
			return slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Server == n })
		}
		return has(7) && has(8) && has(31)
	}
	got := Shrink(c, 1000, fails)
	var numbers []int
	for _, s := range got.Steps {
		numbers = append(numbers, s.Server)
	}
	if diff := cmp.Diff([]int{7, 8, 31}, numbers); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := Shrink(c, 3, fails); !fails(got) {
		t.Error("a few tries lose the failure")
	}
}

// The critical values are those of the usual table of the distribution.
func TestSurvivalIsThatOfTheTable(t *testing.T) {
	for _, tt := range []struct {
		x       float64
		freedom int
		want    float64
	}{
		{3.841, 1, 0.05},
		{10.828, 1, 0.001},
		{5.991, 2, 0.05},
		{7.815, 3, 0.05},
		{18.467, 4, 0.001},
		{18.307, 10, 0.05},
		{37.566, 20, 0.01},
		{0, 3, 1},
	} {
		if got := survival(tt.x, tt.freedom); math.Abs(got-tt.want) > tt.want/200 {
			t.Errorf("survival(%v, %d) = %.5f, want %.5f", tt.x, tt.freedom, got, tt.want)
		}
	}
}

func TestUnlikelyTellsAFairDieFromALoadedOne(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	shares := []float64{0.25, 0.25, 0.499, 0.001, 0}
	draw := func(shares []float64) []int {
		counts := make([]int, len(shares))
		for range 2000 {
			x := rnd.Float64()
			for i, p := range shares {
				if x -= p; x < 0 {
					counts[i]++
					break
				}
			}
		}
		return counts
	}
	if p := Unlikely(draw(shares), shares); p < 1e-4 {
		t.Errorf("fair: p = %g", p)
	}
	if p := Unlikely(draw([]float64{0.30, 0.25, 0.45, 0, 0}), shares); p > 1e-4 {
		t.Errorf("loaded: p = %g", p)
	}
	if p := Unlikely([]int{500, 500, 999, 0, 1}, shares); p != 0 {
		t.Errorf("the impossible: p = %g", p)
	}
}
