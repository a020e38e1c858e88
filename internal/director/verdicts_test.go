package director

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/health/pool"
)

// destinationsOf are the servers in a director's table.
func destinationsOf(r *rig) (out []string) {
	r.t.Helper()
	snap, err := r.kernel.Snapshot(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range snap {
		for _, d := range e.Destinations {
			if d.Weight > 0 {
				out = append(out, d.Key.String())
			}
		}
	}
	slices.Sort(out)
	return out
}

// A backup that has no answer yet serves with what the partner knew, and goes by
// its own answers as soon as there are any, whatever the partner says.
func TestPartnersVerdictsAreAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := setupOf(t, pairFile("", 1, 1, 1)), setupOf(t, pairFile("", 1, 1, 1))
		// The second cannot ask yet: its way to the servers is being set up.
		_, a, b, _ := twoDirectors(t, first, second, health.NoResult)
		defer a.stop()
		defer b.stop()
		a.checker.SetFor(addr("10.0.0.2:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff([]string{"10.0.0.1:80", "10.0.0.3:80"}, destinationsOf(a)); diff != "" {
			t.Fatalf("the first serves with (-want +got):\n%s", diff)
		}
		if p := partnerOf(t, b); p.Verdicts != 3 {
			t.Errorf("the partner told %d verdicts, want 3", p.Verdicts)
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff([]string{"10.0.0.1:80", "10.0.0.3:80"}, destinationsOf(b)); diff != "" {
			t.Errorf("the second begins with (-want +got):\n%s", diff)
		}
		if why := b.status().Services[0].Servers[0].Why; !strings.Contains(why, "as the partner found it") {
			t.Errorf("why: %q", why)
		}
		b.checker.Set(healthtest.Verdicts(health.OK))
		b.checker.SetFor(addr("10.0.0.3:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff([]string{"10.0.0.1:80", "10.0.0.2:80"}, destinationsOf(b)); diff != "" {
			t.Errorf("by its own answers (-want +got):\n%s", diff)
		}
		if why := b.status().Services[0].Servers[0].Why; strings.Contains(why, "partner") {
			t.Errorf("why: %q", why)
		}
	})
}

// A fresh answer of our own counts, whatever the partner found, and an old one
// does not; what the partner says of other checks is nothing to us.
func TestPartnersVerdictsAreMerged(t *testing.T) {
	own := []pool.Verdict{
		{ID: "web/unknown", Check: "tcp", State: health.Unknown, Age: -1},
		{ID: "web/fresh", Check: "tcp", State: health.Down, Age: time.Second},
		{ID: "web/stale", Check: "tcp", State: health.Down, Age: time.Hour},
		{ID: "web/other", Check: "http", State: health.Unknown, Age: -1},
	}
	theirs := []pool.Verdict{
		{ID: "web/unknown", Check: "tcp", State: health.Up, Age: 2 * time.Second},
		{ID: "web/fresh", Check: "tcp", State: health.Up, Age: 0},
		{ID: "web/stale", Check: "tcp", State: health.Up, Age: time.Second},
		{ID: "web/other", Check: "tcp", State: health.Up, Age: time.Second},
		{ID: "web/elsewhere", Check: "tcp", State: health.Up, Age: time.Second},
		{ID: "web/unasked", Check: "tcp", State: health.Unknown, Age: -1},
	}
	list := told(theirs)
	if len(list) != 5 {
		t.Errorf("%d verdicts are told, want 5: an unknown state is none", len(list))
	}
	var got []string
	for _, v := range (pool.Trust{Fresh: 10 * time.Second, MaxAge: time.Minute}).Merge(own, heard(list, own)) {
		got = append(got, v.ID+" "+v.State.String())
	}
	if diff := cmp.Diff([]string{"web/unknown up", "web/stale up"}, got); diff != "" {
		t.Errorf("taken from the partner (-want +got):\n%s", diff)
	}
	if n := len(told(make([]pool.Verdict, pulse.MaxVerdicts+5))); n != 0 {
		t.Errorf("%d unknown verdicts are told", n)
	}
	many := make([]pool.Verdict, pulse.MaxVerdicts+5)
	for i := range many {
		many[i].State = health.Up
	}
	if n := len(told(many)); n != pulse.MaxVerdicts {
		t.Errorf("%d verdicts are told, want %d at most", n, pulse.MaxVerdicts)
	}
}
