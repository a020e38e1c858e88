package ipvstest

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

func TestApplyOfADifferenceReachesAnyGoal(t *testing.T) {
	seed := testSeed(t)
	for n := range uint64(5000) {
		if !reachesGoal(t, newGenerator(seed, n, allSchedulers), New()) {
			t.Fatalf("case %d", n)
		}
	}
}

// reachesGoal takes an empty table to a generated start, and from there to a
// generated goal beside services of another program, and tells whether all is
// as it has to be.
func reachesGoal(t *testing.T, g *generator, api API) bool {
	t.Helper()
	ctx := t.Context()
	start := g.table(6)
	if err := api.Apply(ctx, ipvs.Diff(nil, start, nil)); err != nil {
		t.Errorf("from nothing to the start: %v", err)
		return false
	}
	snap, err := api.Snapshot(ctx)
	ok(t, err)
	have := snap.Table()
	if d := diffTables(normal(start), have, true); d != "" {
		t.Errorf("the start (-want +got)\n%s", d)
		return false
	}

	goal := g.table(6)
	if g.in(80) {
		goal = g.change(start)
	}
	foreign := map[ipvs.ServiceKey]bool{}
	for _, e := range start {
		if g.in(30) {
			foreign[e.Service.Key] = true
		}
	}
	goal = slices.DeleteFunc(goal, func(e ipvs.Entry) bool { return foreign[e.Service.Key] })
	loose := g.loosen(goal)
	owned := func(k ipvs.ServiceKey) bool { return !foreign[k] }
	changes := ipvs.Diff(have, loose, owned)
	if want := leastChanges(have, normal(goal), owned); len(changes) != want {
		t.Errorf("%d changes, want %d: %v", len(changes), want, changes)
		return false
	}
	if err := api.Apply(ctx, changes); err != nil {
		t.Errorf("from the start to the goal: %v", err)
		return false
	}
	snap, err = api.Snapshot(ctx)
	ok(t, err)
	var ours, theirs, before ipvs.Table
	for _, e := range snap.Table() {
		if foreign[e.Service.Key] {
			theirs = append(theirs, e)
		} else {
			ours = append(ours, e)
		}
	}
	for _, e := range have {
		if foreign[e.Service.Key] {
			before = append(before, e)
		}
	}
	if d := diffTables(normal(goal), ours, false); d != "" {
		t.Errorf("the goal (-want +got)\n%s\nafter %v", d, changes)
		return false
	}
	if d := diffTables(before, theirs, true); d != "" {
		t.Errorf("services of another program (-before +after)\n%s\nafter %v", d, changes)
		return false
	}
	if again := ipvs.Diff(snap.Table(), loose, owned); len(again) != 0 {
		t.Errorf("at the goal %d changes remain: %v", len(again), again)
		return false
	}
	return true
}

// leastChanges counts what differs, one by one.
func leastChanges(have, want ipvs.Table, owned func(ipvs.ServiceKey) bool) int {
	n := 0
	for _, w := range want {
		var h ipvs.Entry
		for _, e := range have {
			if e.Service.Key == w.Service.Key {
				h = e
			}
		}
		if h.Service != w.Service {
			n++
		}
		for _, d := range w.Destinations {
			if !slices.Contains(h.Destinations, d) {
				n++ // to add or to set
			}
		}
		for _, d := range h.Destinations {
			if !slices.ContainsFunc(w.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key }) {
				n++
			}
		}
	}
	for _, h := range have {
		if owned(h.Service.Key) && !slices.ContainsFunc(want, func(e ipvs.Entry) bool { return e.Service.Key == h.Service.Key }) {
			n++
		}
	}
	return n
}

// normal returns the table as a kernel shows it, ordered.
func normal(t ipvs.Table) ipvs.Table {
	out := make(ipvs.Table, 0, len(t))
	for _, e := range t {
		n := ipvs.Entry{Service: e.Service.Normalized(), Destinations: []ipvs.Destination{}}
		for _, d := range e.Destinations {
			n.Destinations = append(n.Destinations, d.Normalized())
		}
		out = append(out, n)
	}
	sortTable(out)
	return out
}

// diffTables compares, in the order of the destinations too if that counts.
func diffTables(want, got ipvs.Table, ordered bool) string {
	if !ordered {
		want, got = byDestination(want), byDestination(got)
	}
	equal := slices.EqualFunc(want, got, func(a, b ipvs.Entry) bool {
		return a.Service == b.Service && slices.Equal(a.Destinations, b.Destinations)
	})
	if equal { // nearly always, and cheaper than the text
		return ""
	}
	return gocmp.Diff(want, got, equate)
}

func byDestination(t ipvs.Table) ipvs.Table {
	out := make(ipvs.Table, 0, len(t))
	for _, e := range t {
		e.Destinations = slices.Clone(e.Destinations)
		slices.SortFunc(e.Destinations, func(a, b ipvs.Destination) int { return a.Key.Compare(b.Key) })
		out = append(out, e)
	}
	return out
}
