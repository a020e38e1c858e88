package pool

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func number(n int) *int { return &n }

// m is a member: "name weight state" and what else change says.
func m(name string, weight int, s health.State, change ...func(*Member)) Member {
	x := Member{ID: name, Weight: weight, State: s, Reason: "as tested"}
	for _, f := range change {
		f(&x)
	}
	return x
}

func sorry(place int) func(*Member) { return func(x *Member) { x.Sorry = place } }
func inhibit(x *Member)             { x.Inhibit = true }
func admin(a Admin) func(*Member)   { return func(x *Member) { x.Admin = a } }
func found(w int) func(*Member)     { return func(x *Member) { x.Found = &w } }
func told(w int) func(*Member)      { return func(x *Member) { x.Told = &w } }
func share(f float64) func(*Member) { return func(x *Member) { x.Share = f } }
func load(f float64) func(*Member)  { return func(x *Member) { x.Load = f } }
func climb(f float64) func(*Member) { return func(x *Member) { x.Climb = f } }
func moves(x *Member)               { x.Moves = true }
func table(g Group) string {
	var out []string
	for _, d := range g.Members {
		w := "out"
		if d.In {
			w = fmt.Sprint(d.Weight)
		}
		out = append(out, fmt.Sprintf("%s=%s %s", d.ID, w, d.Cause))
	}
	return strings.Join(out, ", ")
}

const (
	up, down, unknown = health.Up, health.Down, health.Unknown
)

func TestNextDecidesOnMembers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		policy  Policy
		members []Member
		want    string
		why     string // of the first
	}{
		{"up servers serve with their weights", Policy{}, []Member{m("a", 2, up), m("b", 1, up)}, "a=2 up, b=1 up", "up: configured weight 2"},
		{"a failed server leaves", Policy{}, []Member{m("a", 2, down), m("b", 1, up)}, "a=out down, b=1 up", "down: as tested"},
		{"a failed server stays inhibited", Policy{}, []Member{m("a", 2, down, inhibit), m("b", 1, up)}, "a=0 down, b=1 up", "down, kept with weight 0: as tested"},
		{"the operator counts before the checks", Policy{}, []Member{m("a", 2, down, admin(Maintenance)), m("b", 1, up)}, "a=0 maintenance, b=1 up", "maintenance: no new clients by order"},
		{"a server that drains has weight 0", Policy{}, []Member{m("a", 2, up, admin(Drain)), m("b", 1, up)}, "a=0 drain, b=1 up", "drain: weight 0 by order"},
		{"a server that fails while it drains leaves", Policy{}, []Member{m("a", 2, down, admin(Drain)), m("b", 1, up)}, "a=out down, b=1 up", "down: as tested"},
		{"the checks count before the agent", Policy{}, []Member{m("a", 2, down, told(50)), m("b", 1, up)}, "a=out down, b=1 up", "down: as tested"},
		{"the agent counts in place of the configuration", Policy{}, []Member{m("a", 2, up, told(50)), m("b", 1, up)}, "a=50 up, b=1 up", "up: told weight 50"},
		{"an agent drains with 0", Policy{}, []Member{m("a", 2, up, told(0), load(3)), m("b", 1, up)}, "a=0 told, b=1 up", "its check tells weight 0: as tested"},
		{"an agent tells a share", Policy{Unit: 64}, []Member{m("a", 2, up, share(0.75), load(0.5)), m("b", 1, up)}, "a=48 up, b=64 up", "up: configured weight 2 x 64, x 0.75 by its agent, x 0.50 for its load"},
		{"the rest is multiplied", Policy{Unit: 64}, []Member{m("a", 2, up, told(10), load(0.5), climb(0.25))}, "a=80 up", "up: told weight 10 x 64, x 0.50 for its load, slow start at 25 %"},
		{"rounding never makes a live weight 0", Policy{}, []Member{m("a", 1, up, load(0.01), climb(0.01))}, "a=1 up", "up: configured weight 1, x 0.01 for its load, slow start at 1 %"},
		{"rounding is to the nearest", Policy{}, []Member{m("a", 10, up, load(0.25)), m("b", 10, up, load(0.34))}, "a=3 up, b=3 up", "up: configured weight 10, x 0.25 for its load"},
		{"a weight has a bound", Policy{Unit: 65535}, []Member{m("a", MaxWeight, up, load(100))}, fmt.Sprintf("a=%d up", MaxWeight), "up: configured weight 2147483647 x 65535, x 100.00 for its load"},
		{"a configured weight of 0 stays 0", Policy{Unit: 64}, []Member{m("a", 0, up), m("b", 1, up)}, "a=0 configured, b=64 up", "up, and configured with weight 0"},
		{"an unasked server that is not there stays out", Policy{}, []Member{m("a", 1, unknown), m("b", 1, up)}, "a=out unasked, b=1 up", "no verdict yet: out until it has one"},
		{"an unasked server that was found serves on", Policy{}, []Member{m("a", 1, unknown, found(1)), m("b", 1, up)}, "a=1 found, b=1 up", "no verdict yet: serves as it was found"},
		{"an unasked server gets a new configured weight", Policy{}, []Member{m("a", 2, unknown, found(5)), m("b", 1, up)}, "a=2 found, b=1 up", "no verdict yet: serves as it was found"},
		{"an unasked server keeps a weight that moves", Policy{Unit: 64}, []Member{m("a", 2, unknown, found(91), moves), m("b", 1, up)}, "a=91 found, b=64 up", "no verdict yet: serves as it was found"},
		{"an unasked server that was quiesced stays so", Policy{}, []Member{m("a", 2, unknown, found(0)), m("b", 1, up)}, "a=0 found, b=1 up", "no verdict yet: stays with weight 0, as it was found"},
		{"the first sorry server that is up serves", Policy{}, []Member{m("a", 1, down), m("s3", 1, up, sorry(3)), m("s1", 1, down, sorry(1)), m("s2", 1, up, sorry(2))}, "a=out down, s3=out standby, s1=out down, s2=1 sorry", "down: as tested"},
		{"sorry servers of one place serve together", Policy{}, []Member{m("a", 1, down), m("s1", 1, up, sorry(1)), m("s2", 2, up, sorry(1))}, "a=out down, s1=1 sorry, s2=2 sorry", "down: as tested"},
		{"a sorry server without a verdict stays out", Policy{}, []Member{m("a", 1, down), m("s1", 1, down, sorry(1)), m("s2", 1, unknown, sorry(2))}, "a=out down, s1=out down, s2=out unasked", "down: as tested"},
		{"a sorry server that was found serving is as good as one that is up", Policy{}, []Member{m("a", 1, down), m("s1", 1, unknown, sorry(1), found(1)), m("s2", 1, up, sorry(2))}, "a=out down, s1=1 sorry, s2=out standby", "down: as tested"},
		{"a sorry server that was found with weight 0 is not", Policy{}, []Member{m("a", 1, down), m("s1", 1, unknown, sorry(1), found(0)), m("s2", 1, up, sorry(2))}, "a=out down, s1=out unasked, s2=1 sorry", "down: as tested"},
		{"a sorry server that is up is better than one without a verdict", Policy{}, []Member{m("a", 1, down), m("s1", 1, unknown, sorry(1)), m("s2", 1, up, sorry(2))}, "a=out down, s1=out unasked, s2=1 sorry", "down: as tested"},
		{"a sorry server in maintenance is passed over", Policy{}, []Member{m("a", 1, down), m("s1", 1, up, sorry(1), admin(Maintenance)), m("s2", 1, up, sorry(2))}, "a=out down, s1=out maintenance, s2=1 sorry", "down: as tested"},
		{"too few left end what they have beside the sorry server", Policy{Quorum: 3}, []Member{m("a", 2, up), m("b", 2, down, inhibit), m("s", 1, up, sorry(1))}, "a=0 quorum, b=0 down, s=1 sorry", "the quorum is not there: weight 0 while sorry servers serve"},
		{"too few left serve on when no sorry server can", Policy{Quorum: 3}, []Member{m("a", 2, up), m("b", 2, down), m("s", 1, down, sorry(1))}, "a=2 up, b=out down, s=out down", "up: configured weight 2"},
		{"a sorry server stays while there may be enough", Policy{Quorum: 2}, []Member{m("a", 1, up), m("b", 1, unknown), m("s", 1, up, sorry(1), found(1))}, "a=0 quorum, b=out unasked, s=1 sorry", "the quorum is not there: weight 0 while sorry servers serve"},
		{"a sorry server waits while there may be enough", Policy{Quorum: 2}, []Member{m("a", 1, up), m("b", 1, unknown), m("s", 1, up, sorry(1))}, "a=1 up, b=out unasked, s=out standby", "up: configured weight 1"},
		{"panic keeps those that are down", Policy{Panic: 0.5}, []Member{m("a", 2, down), m("b", 1, down), m("c", 1, up)}, "a=2 panic, b=1 panic, c=1 up", "down, and kept since too few are up: configured weight 2"},
		{"no panic at the threshold", Policy{Panic: 0.5}, []Member{m("a", 2, down), m("b", 1, up)}, "a=out down, b=1 up", "down: as tested"},
		{"no panic beside a sorry server", Policy{Panic: 0.5}, []Member{m("a", 2, down), m("s", 1, up, sorry(1))}, "a=out down, s=1 sorry", "down: as tested"},
		{"no panic for what is in maintenance", Policy{Panic: 1}, []Member{m("a", 2, down, admin(Drain)), m("b", 1, down), m("c", 1, up)}, "a=out down, b=1 panic, c=1 up", "down: as tested"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.policy.Next(Group{}, tt.members, noon)
			if diff := cmp.Diff(tt.want, table(g)); diff != "" {
				t.Errorf("decisions (-want +got):\n%s", diff)
			}
			if why := g.Members[0].Why(); why != tt.why {
				t.Errorf("why %q, want %q", why, tt.why)
			}
		})
	}
}

// Quorums, played step by step: each letter is a server of weight 1, U up, d
// down, ? without a verdict, f so and found serving, z so and found with weight
// 0, s a sorry server that was found serving.
func TestQuorumHasHysteresis(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rule  Policy
		steps string
		want  string
	}{
		{"one live server is enough by default", Policy{}, "dd Ud dd", "lost gained lost"},
		{"the first decision is by the quorum alone", Policy{Quorum: 2, Hysteresis: 1}, "UUdd", "gained"},
		{"gained at quorum and hysteresis, lost below quorum less hysteresis", Policy{Quorum: 3, Hysteresis: 1}, "UUddd UUUdd UUUUd UUUdd UUddd Udddd UUUdd UUUUd", "lost lost gained gained gained lost lost gained"},
		{"a hysteresis of the quorum: up with all, down with none", Policy{Quorum: 1, Hysteresis: 1}, "dd Ud UU Ud dd Ud UU", "lost lost gained gained lost lost gained"},
		{"a hysteresis above the quorum loses with the last", Policy{Quorum: 1, Hysteresis: 2}, "UUU Udd ddd", "gained gained lost"},
		{"not lost while the unasked may be enough", Policy{Quorum: 2}, "U?? U?d Udd", "undecided undecided lost"},
		{"gained as soon as there are enough", Policy{Quorum: 2}, "UU??", "gained"},
		{"a gained one waits for new servers", Policy{Quorum: 2}, "UU ?? ?U UU ?d", "gained gained gained gained lost"},
		{"no servers, no quorum", Policy{}, "- U", "lost gained"},
		{"a restart keeps one that was gained", Policy{Quorum: 2, Hysteresis: 1}, "f? fd Ud dd", "gained gained gained lost"},
		{"and gains none that is not enough", Policy{Quorum: 3, Hysteresis: 1}, "fzz Uzz Udz", "undecided undecided lost"},
		{"a restart keeps one that was lost", Policy{Quorum: 2, Hysteresis: 1}, "zzzs UUzs UUds UUU", "lost lost lost gained"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var g Group
			var got []string
			for _, step := range strings.Fields(tt.steps) {
				var members []Member
				for i, c := range step {
					switch x := m(fmt.Sprint(i), 1, map[rune]health.State{'U': up, 'd': down}[c]); c {
					case 's':
						members = append(members, m("s", 1, up, sorry(1), found(1)))
					case 'f', 'z':
						x.Found = number(map[rune]int{'f': 1}[c])
						fallthrough
					default:
						members = append(members, x)
					case '-':
					}
				}
				g = tt.rule.Next(g, members, noon)
				got = append(got, g.Quorum.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("quorum (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuorumIsToldInWords(t *testing.T) {
	p := Policy{Quorum: 2, Hysteresis: 1}
	for _, tt := range []struct {
		name    string
		was     Quorum
		members []Member
		want    string
	}{
		{"undecided", Undecided, []Member{m("a", 1, up), m("b", 1, unknown)}, "quorum undecided: live weight 1 of 2, and 1 servers have not answered yet"},
		{"gained", Undecided, []Member{m("a", 1, up), m("b", 3, up)}, "quorum gained: live weight 4, lost below 1"},
		{"kept", Gained, []Member{m("b", 3, unknown)}, "quorum kept: live weight 0, and 1 servers have not answered yet"},
		{"lost", Undecided, []Member{m("a", 1, up), m("b", 3, down)}, "quorum lost: live weight 1, gained at 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := p.Next(Group{Quorum: tt.was, Since: noon}, tt.members, noon)
			if got := g.Why(); got != tt.want {
				t.Errorf("why %q, want %q", got, tt.want)
			}
		})
	}
}

func TestQuorumCountsWeightsBeforeLoadAndSlowStart(t *testing.T) {
	p := Policy{Quorum: 4, Unit: 64}
	warm := []Member{m("a", 2, up, climb(0.1)), m("b", 2, up, load(0.5))}
	if g := p.Next(Group{}, warm, noon); g.Quorum != Gained || g.Live != 4 {
		t.Errorf("warming up: %v with %d, want it gained with 4", g.Quorum, g.Live)
	}
	if g := p.Next(Group{}, []Member{m("a", 2, up, told(1)), m("b", 2, up)}, noon); g.Quorum != Lost || g.Live != 3 {
		t.Errorf("an agent that tells less: %v with %d, want it lost with 3", g.Quorum, g.Live)
	}
}

func TestSinceStandsUntilTheCauseChanges(t *testing.T) {
	var p Policy
	g := p.Next(Group{}, []Member{m("a", 1, up, climb(0.1)), m("b", 1, down)}, noon)
	later := noon.Add(time.Minute)
	g = p.Next(g, []Member{m("new", 1, up), m("b", 1, up), m("a", 1, up)}, later)
	want := map[string]time.Time{"a": noon, "b": later, "new": later}
	for _, d := range g.Members {
		if !d.Since.Equal(want[d.ID]) {
			t.Errorf("%s since %v, want %v", d.ID, d.Since, want[d.ID])
		}
	}
	if !g.Since.Equal(noon) {
		t.Errorf("the quorum since %v, want %v", g.Since, noon)
	}
	g = p.Next(g, []Member{m("a", 1, down)}, later)
	if g.Quorum != Lost || !g.Since.Equal(later) {
		t.Errorf("%v since %v, want it lost since %v", g.Quorum, g.Since, later)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	err := Policy{Quorum: -1, Hysteresis: -1, Unit: -1, Panic: 2}.Validate()
	for _, want := range []string{"quorum -1", "hysteresis -1", "unit -1", "panic 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	err = Alarm{Share: 2, Least: -1, Window: -1}.Validate()
	for _, want := range []string{"share 2", "least -1", "window -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := errorsOf(Policy{Panic: 0.5}.Validate(), Alarm{Share: 1}.Validate()); err != nil {
		t.Error(err)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
