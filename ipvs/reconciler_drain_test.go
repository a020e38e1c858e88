package ipvs_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

func connections(k *ipvstest.Kernel, of ipvs.ServiceKey, d ipvs.DestinationKey, active, inactive, persistent uint32) {
	k.SetDestinationCounters(of, ipvs.DestinationState{
		Destination: ipvs.Destination{Key: d}, Active: active, Inactive: inactive, Persistent: persistent,
	})
}

// bySnapshot hides that a plane can be read by service.
type bySnapshot struct{ k *ipvstest.Kernel }

func (b bySnapshot) Snapshot(ctx context.Context) (ipvs.Snapshot, error) { return b.k.Snapshot(ctx) }

func (b bySnapshot) Apply(ctx context.Context, changes []ipvs.Change) error {
	return b.k.Apply(ctx, changes)
}

func TestDrainWaitsForTheConnections(t *testing.T) {
	udp := ipvs.UDPService(server(53))
	for _, tt := range []struct {
		name  string
		key   ipvs.ServiceKey
		plane func(*ipvstest.Kernel) ipvs.Plane
	}{
		{"tcp, read by service", web(1), func(k *ipvstest.Kernel) ipvs.Plane { return k }},
		{"tcp, read as a whole", web(1), func(k *ipvstest.Kernel) ipvs.Plane { return bySnapshot{k} }},
		{"udp", udp, func(k *ipvstest.Kernel) ipvs.Plane { return k }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := ipvstest.New()
				var rec recorder
				r := ipvs.NewReconciler(tt.plane(k), &ipvs.ReconcilerConfig{Drain: time.Minute, OnEvent: rec.event})
				defer start(r)()
				must(t, r.Set(t.Context(), ipvs.Table{entry(tt.key, 1, 2), entry(web(7), 1)}))
				// A connection is active with TCP, and with UDP never.
				if tt.key == udp {
					connections(k, tt.key, server(2), 0, 1, 0)
				} else {
					connections(k, tt.key, server(2), 1, 3, 0)
				}
				rec.take()
				k.ResetLog()
				begin := time.Now()
				must(t, r.Put(t.Context(), entry(tt.key, 1)))
				wantTable(t, k, entry(tt.key, 1, 0), entry(web(7), 1))
				time.Sleep(20 * time.Second)
				wantTable(t, k, entry(tt.key, 1, 0), entry(web(7), 1))
				st := r.Status()
				if len(st.Drains) != 1 {
					t.Fatalf("drains %+v", st.Drains)
				}
				d := st.Drains[0]
				if d.Service != tt.key || d.Destination != server(2) || d.Since != begin || d.Deadline != begin.Add(time.Minute) ||
					d.Active+d.Inactive == 0 || d.Counted.IsZero() {
					t.Errorf("drain %+v", d)
				}
				connections(k, tt.key, server(2), 0, 0, 0)
				time.Sleep(1100 * time.Millisecond)
				synctest.Wait()
				wantTable(t, k, entry(tt.key, 1), entry(web(7), 1))
				if st := r.Status(); len(st.Drains) != 0 || st.Repairs != 0 {
					t.Errorf("status %+v", st)
				}
				wantLines(t, "writes", writes(k),
					fmt.Sprintf("set destination %v %v 0", tt.key, server(2)), fmt.Sprintf("delete destination %v %v 0", tt.key, server(2)))
				wantLines(t, "events", rec.take(),
					fmt.Sprintf("drain started %v", server(2)),
					fmt.Sprintf("changed; set destination %v of %v: weight 2 -> 0", server(2), tt.key),
					fmt.Sprintf("drained %v", server(2)),
					fmt.Sprintf("changed; delete destination %v of %v", server(2), tt.key))
				// It stays so.
				k.ResetLog()
				time.Sleep(2 * time.Minute)
				wantLines(t, "afterwards", writes(k))
			})
		})
	}
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: 10 * time.Second, OnEvent: rec.event})
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1)}))
		connections(k, web(1), server(2), 1, 0, 0)
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		rec.take()
		time.Sleep(9500 * time.Millisecond)
		wantTable(t, k, entry(web(1), 1, 0))
		time.Sleep(1600 * time.Millisecond)
		synctest.Wait()
		wantTable(t, k, entry(web(1), 1))
		if lines := rec.take(); len(lines) != 2 || lines[0] != "drain expired 10.0.0.2:80" {
			t.Errorf("events %q", lines)
		}
	})
}

// The deadline holds although nobody can count the connections.
func TestDrainEndsAtItsDeadlineUncounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: 10 * time.Second})
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1)}))
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		k.SetHook(func(c ipvstest.Command) error {
			if c.Op == ipvs.OpListDestinations {
				return syscall.ENOMEM
			}
			return nil
		})
		time.Sleep(9 * time.Second)
		wantTable(t, k, entry(web(1), 1, 0))
		time.Sleep(2 * time.Second)
		wantTable(t, k, entry(web(1), 1))
	})
}

func TestDrainIsCancelledWhenTheServerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: 10 * time.Second, OnEvent: rec.event})
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 4)}))
		connections(k, web(1), server(2), 1, 0, 0)
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		time.Sleep(5 * time.Second)
		rec.take()
		k.ResetLog()
		must(t, r.Put(t.Context(), entry(web(1), 1, 4)))
		wantLines(t, "writes", writes(k), "set destination tcp/192.0.0.1:80 10.0.0.2:80 4")
		wantLines(t, "events", rec.take(), "drain cancelled 10.0.0.2:80", "changed; set destination 10.0.0.2:80 of tcp/192.0.0.1:80: weight 0 -> 4")
		time.Sleep(time.Minute)
		wantTable(t, k, entry(web(1), 1, 4))
		// A second drain has a deadline of its own.
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		time.Sleep(8 * time.Second)
		wantTable(t, k, entry(web(1), 1, 0))
	})
}

func TestDrainOfAWholeService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		path := filepath.Join(t.TempDir(), "state.json")
		owned, err := ipvs.OpenOwnership(path)
		must(t, err)
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: time.Minute, Ownership: owned})
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1), entry(web(2), 1), entry(web(3))}))
		connections(k, web(1), server(1), 1, 0, 0)
		must(t, r.Remove(t.Context(), web(1), web(3)))
		wantTable(t, k, entry(web(1), 0, 0), entry(web(2), 1))
		time.Sleep(10 * time.Second)
		// A service may take connections as long as it is there; the idle
		// server goes first.
		wantTable(t, k, entry(web(1), 0), entry(web(2), 1))
		if !owned.Has(web(1)) {
			t.Error("a draining service is not ours any more")
		}
		connections(k, web(1), server(1), 0, 9, 0)
		time.Sleep(2 * time.Second)
		wantTable(t, k, entry(web(2), 1))
		if got := owned.Services(); !slices.Equal(got, []ipvs.ServiceKey{web(2)}) {
			t.Errorf("remembered: %v", got)
		}
		// And by a Set that wants nothing.
		connections(k, web(2), server(1), 1, 0, 0)
		must(t, r.Set(t.Context(), nil))
		wantTable(t, k, entry(web(2), 0))
		time.Sleep(62 * time.Second)
		wantTable(t, k)
	})
}

// A program that is killed while a server drains finds it again.
func TestDrainGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		path := filepath.Join(t.TempDir(), "state.json")
		open := func() *ipvs.Reconciler {
			owned, err := ipvs.OpenOwnership(path)
			must(t, err)
			return ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: time.Minute, Ownership: owned})
		}
		first := open()
		stop := start(first)
		must(t, first.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1), entry(web(2), 1)}))
		connections(k, web(1), server(2), 1, 0, 0)
		connections(k, web(2), server(1), 1, 0, 0)
		must(t, first.Set(t.Context(), ipvs.Table{entry(web(1), 1)}))
		time.Sleep(30 * time.Second)
		stop()
		k.ResetLog()

		second := open()
		defer start(second)()
		must(t, second.Set(t.Context(), ipvs.Table{entry(web(1), 1)}))
		time.Sleep(40 * time.Second)
		wantLines(t, "the restart", writes(k))
		if st := second.Status(); len(st.Drains) != 2 || st.Drains[0].Active != 1 {
			t.Errorf("drains %+v", st.Drains)
		}
		connections(k, web(1), server(2), 0, 0, 0)
		time.Sleep(2 * time.Second)
		wantTable(t, k, entry(web(1), 1), entry(web(2), 0))
		time.Sleep(30 * time.Second)
		wantTable(t, k, entry(web(1), 1))
	})
}

// Somebody else's edits of what drains: a weight goes back to 0, and what
// was removed is no trouble.
func TestDrainAndOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		var rec recorder
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: 10 * time.Minute, OnEvent: rec.event})
		defer start(r)()
		must(t, r.Set(t.Context(), ipvs.Table{entry(web(1), 1, 1, 1, 1)}))
		for i := range 4 {
			connections(k, web(1), server(i+1), 1, 0, 0)
		}
		must(t, r.Put(t.Context(), entry(web(1), 1)))
		must(t, k.SetDestination(t.Context(), web(1), ipvs.Destination{Key: server(2), Weight: 50}))
		// It has no connection now, but the weight would bring it some.
		connections(k, web(1), server(2), 0, 0, 0)
		time.Sleep(5 * time.Second)
		wantTable(t, k, entry(web(1), 1, 50, 0, 0))
		connections(k, web(1), server(2), 1, 0, 0)
		time.Sleep(25500 * time.Millisecond)
		wantTable(t, k, entry(web(1), 1, 0, 0, 0))
		if st := r.Status(); st.Repairs != 1 {
			t.Errorf("status %+v", st)
		}
		connections(k, web(1), server(2), 0, 0, 0)
		time.Sleep(2 * time.Second)
		wantTable(t, k, entry(web(1), 1, -1, 0, 0))
		must(t, k.DelDestination(t.Context(), web(1), server(3)))
		time.Sleep(2 * time.Second)
		if st := r.Status(); len(st.Drains) != 1 || st.Drains[0].Destination != server(4) || st.Err != nil {
			t.Errorf("status %+v", st)
		}
		must(t, k.DelService(t.Context(), web(1)))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantTable(t, k, entry(web(1), 1))
		if st := r.Status(); len(st.Drains) != 0 || st.Err != nil {
			t.Errorf("status %+v", st)
		}
	})
}

// Counting reads the services where something drains, and no others.
func TestDrainReadsOnlyWhatDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ipvstest.New()
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: time.Minute, Resync: time.Hour})
		defer start(r)()
		var table ipvs.Table
		for i := range 50 {
			table = append(table, entry(web(i), 1, 1))
		}
		must(t, r.Set(t.Context(), table))
		connections(k, web(7), server(2), 1, 0, 0)
		must(t, r.Put(t.Context(), entry(web(7), 1)))
		reads := map[ipvs.ServiceKey]int{}
		k.SetHook(func(c ipvstest.Command) error { reads[c.Service.Key]++; return nil })
		time.Sleep(10500 * time.Millisecond)
		k.SetHook(nil)
		if len(reads) != 1 || reads[web(7)] != 10 {
			t.Errorf("reads in ten seconds: %v", reads)
		}
	})
}
