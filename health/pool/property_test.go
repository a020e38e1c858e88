package pool

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

// groupOf makes a policy, a group that was and its members of any bytes.
func groupOf(data []byte) (Policy, Group, []Member) {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	factors := []float64{0, 1, 0.5, 1.5, 1e-300, 1e300, -1, math.NaN(), math.Inf(1), 0.01}
	weights := []int{0, 1, 1, 2, 3, 100, MaxWeight, -5}
	p := Policy{Quorum: next() % 8, Hysteresis: next() % 5, Unit: []int{0, 1, 64, 65535}[next()%4], Panic: []float64{0, 0, 0.5, 1}[next()%4]}
	before := Group{Quorum: Quorum(next() % 3), Since: noon}
	var members []Member
	for i := 0; len(data) > 0 && i < 20; i++ {
		x := Member{ID: fmt.Sprint(i), Weight: weights[next()%len(weights)], State: health.State(next() % 3), Load: factors[next()%len(factors)], Climb: factors[next()%len(factors)], Share: factors[next()%len(factors)]}
		switch next() % 6 {
		case 0:
			x.Sorry = 1 + next()%3
		case 1:
			x.Admin = Admin(1 + next()%2)
		case 2:
			x.Told = number(weights[next()%len(weights)])
		}
		flags := next()
		x.Inhibit, x.Moves = flags&1 != 0, flags&2 != 0
		if flags&4 != 0 {
			x.Found = number(weights[next()%6])
		}
		members = append(members, x)
	}
	return p, before, members
}

// judge holds what must be true of every group against one.
func judge(t *testing.T, data []byte) {
	t.Helper()
	p, before, members := groupOf(data)
	kept := slices.Clone(members)
	g := p.Next(before, members, noon)
	if diff := cmp.Diff(kept, members, cmp.Comparer(sameFloat)); diff != "" {
		t.Fatalf("the members were changed:\n%s", diff)
	}
	if len(g.Members) != len(members) {
		t.Fatalf("%d decisions on %d members", len(g.Members), len(members))
	}
	serving := 0
	for i, d := range g.Members {
		m := members[i]
		switch {
		case d.ID != m.ID:
			t.Fatalf("decision %d is about %q, want %q", i, d.ID, m.ID)
		case d.Cause == CauseNone || strings.ContainsAny(d.Why(), "\n") || d.Why() == "":
			t.Fatalf("no reason for %+v", d)
		case d.Weight < 0 || d.Weight > MaxWeight || !d.In && d.Weight != 0:
			t.Fatalf("weight out of bounds: %+v", d)
		case d.Weight > 0 && m.Admin != Ready:
			t.Fatalf("clients against the operator's order: %+v", d)
		case d.Weight > 0 && m.State == health.Down && d.Cause != CausePanic:
			t.Fatalf("clients for a server that is down: %+v", d)
		case d.Weight > 0 && m.base() == 0 && d.Cause != CauseFound:
			t.Fatalf("clients for a weight of 0: %+v", d)
		case d.Cause == CauseUp && d.Weight == 0:
			t.Fatalf("a live weight was rounded to 0: %+v", d)
		case m.Sorry > 0 && d.In != (d.Cause == CauseSorry):
			t.Fatalf("a sorry server is in for another reason: %+v", d)
		case m.Sorry == 0 && g.Sorry && d.Weight > 0:
			t.Fatalf("an ordinary server beside the sorry servers: %+v", d)
		}
		if d.Weight > 0 {
			serving++
		}
	}
	if g.Live > 0 && serving == 0 {
		t.Fatalf("somebody lives and nobody serves: %+v", g)
	}

	// Idempotent: the same facts again, later, change nothing.
	if diff := cmp.Diff(g, p.Next(g, members, noon.Add(time.Hour)), cmp.Comparer(sameFloat)); diff != "" {
		t.Fatalf("not stable (-first +second):\n%s", diff)
	}

	// The order of the facts does not matter.
	backwards := slices.Clone(members)
	slices.Reverse(backwards)
	turned := p.Next(before, backwards, noon)
	slices.Reverse(turned.Members)
	if diff := cmp.Diff(g, turned, cmp.Comparer(sameFloat)); diff != "" {
		t.Fatalf("the order matters (-forwards +backwards):\n%s", diff)
	}

	// One more server up never loses the quorum.
	for i := range members {
		if members[i].State == health.Up {
			continue
		}
		more := slices.Clone(members)
		more[i].State = health.Up
		after := p.Next(before, more, noon)
		if g.Quorum == Gained && after.Quorum != Gained || g.Quorum != Lost && after.Quorum == Lost {
			t.Fatalf("%v became %v when %s came up", g.Quorum, after.Quorum, members[i].ID)
		}
		if again := p.Next(g, more, noon); g.Quorum == Gained && again.Quorum != Gained {
			t.Fatalf("%v was lost when %s came up", g.Quorum, members[i].ID)
		}
	}

	// What was decided survives being written down.
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var read Group
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g, read); diff != "" {
		t.Fatalf("JSON (-wrote +read):\n%s", diff)
	}
}

func sameFloat(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("LVSKIT_TEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	t.Logf("LVSKIT_TEST_SEED=%d", s)
	return s
}

func TestEveryGroupKeepsTheRules(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 1))
	for range 700 {
		data := make([]byte, r.IntN(120))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		judge(t, data)
	}
}

func FuzzGroup(f *testing.F) {
	f.Add([]byte{3, 1, 2, 0, 1, 1, 1, 0, 0, 3, 0, 1, 2, 0, 0, 0, 1, 4, 1})
	f.Add([]byte{1, 0, 0, 2, 2, 1, 2, 1, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) { judge(t, data) })
}

func TestNamesOfTheEnums(t *testing.T) {
	for _, names := range [][]string{adminNames, quorumNames, causeNames, phaseNames} {
		for _, n := range names {
			if n == "" {
				t.Errorf("a number without a name in %q", names)
			}
		}
	}
	for n := range uint8(20) {
		a, q, c, p := Admin(n), Quorum(n), Cause(n), Phase(n)
		in := struct {
			A Admin
			Q Quorum
			C Cause
			P Phase
		}{a, q, c, p}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out := in
		out.A, out.Q, out.C, out.P = 99, 99, 99, 99
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		if out != in {
			t.Errorf("%s came back as %+v", text, out)
		}
	}
	var q Quorum
	if err := q.UnmarshalText([]byte("won")); err == nil || !strings.Contains(err.Error(), "gained") {
		t.Errorf("a wrong word: %v", err)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			members := make([]Member, n)
			for i := range members {
				members[i] = Member{ID: fmt.Sprint(i), Weight: 1, State: health.Up, Found: number(1)}
			}
			p := Policy{Quorum: n / 2, Hysteresis: 1}
			g := p.Next(Group{}, members, noon)
			b.ReportAllocs()
			for b.Loop() {
				g = p.Next(g, members, noon)
			}
		})
	}
}
