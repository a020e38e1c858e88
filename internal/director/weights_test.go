package director

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// weight is what a server of the web service has in the table, -1 for none.
func (b *bench) weight(server string) int {
	b.t.Helper()
	for _, e := range b.table() {
		for _, d := range e.Destinations {
			if d.Key == addr(server) {
				return d.Weight
			}
		}
	}
	return -1
}

// moved tells whether weights of the loop still move by themselves.
func (b *bench) moving() (n int) {
	b.loop.ask(context.Background(), func(context.Context) { n = len(b.loop.moving) })
	return n
}

func (b *bench) director() *Director { return &Director{loop: b.loop} }

const serverA, serverB = "10.0.0.1:80", "10.0.0.2:80"

func slowSetup() *Setup {
	return webSetup(func(v *VirtualService) {
		v.Unit = fineUnit
		v.Servers[1].SlowStart = time.Minute
	})
}

func TestSlowStartClimbsAndThenStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", slowSetup())
		defer b.stop()
		b.role(stanceServe)
		b.verdict("web/a", health.Up)
		b.verdict("web/b", health.Up)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=128", "tcp/192.0.2.1:80 10.0.0.2:80=2")
		last := 2
		for range 6 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			w := b.weight(serverB)
			if w <= last || w > 64 {
				t.Errorf("weight %d after %d, want it to climb to 64", w, last)
			}
			last = w
		}
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=128", "tcp/192.0.2.1:80 10.0.0.2:80=64")
		b.kernel.ResetLog()
		time.Sleep(time.Hour)
		for _, c := range b.kernel.Log() {
			if c.Op.IsWrite() {
				t.Errorf("a weight that has arrived moves: %v", c)
			}
		}
		if n := b.moving(); n != 0 {
			t.Errorf("%d servers are waited for", n)
		}

		// The next death ends the climb, the next recovery begins it anew.
		b.verdict("web/b", health.Down)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=128")
		if n := b.moving(); n != 0 {
			t.Errorf("%d servers are waited for that are down", n)
		}
		b.verdict("web/b", health.Up)
		if w := b.weight(serverB); w != 2 {
			t.Errorf("weight %d after a recovery, want 2", w)
		}
	})
}

// Many weights that move do so together: each on its own would have the loop
// look through all of them for one.
func TestWeightsMoveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		setup := webSetup(func(v *VirtualService) {
			v.Unit, v.Servers = fineUnit, nil
			for i := range n {
				v.Servers = append(v.Servers, RealServer{Name: fmt.Sprint(i), Destination: dest(fmt.Sprintf("10.0.1.%d:80", i), 1), SlowStart: time.Minute})
			}
		})
		b := newBench(t, ipvstest.New(), "", setup)
		defer b.stop()
		b.role(stanceServe)
		for i := range n {
			b.verdict(fmt.Sprint("web/", i), health.Up)
			time.Sleep(time.Millisecond)
		}
		turns := make(map[time.Time]int)
		b.kernel.SetHook(func(c ipvstest.Command) error {
			if c.Op.IsWrite() {
				turns[time.Now()]++
			}
			return nil
		})
		const span = 20 * time.Second
		time.Sleep(span)
		synctest.Wait()
		b.kernel.SetHook(nil)
		steps := 0
		for _, s := range turns {
			steps += s
		}
		if most := int(span/stepEvery) + 1; len(turns) > most || steps < 15*n {
			t.Errorf("%d steps in %d turns, want about 20 for each of %d servers in at most %d turns", steps, len(turns), n, most)
		}
	})
}

// startWith is a loop that finds the web service with weights in the table.
func startWith(t *testing.T, setup *Setup, a, b int) *bench {
	t.Helper()
	kernel := ipvstest.New()
	have := ipvs.Table{{Service: setup.Services[0].Service, Destinations: []ipvs.Destination{dest(serverA, a), dest(serverB, b)}}}
	if err := kernel.Apply(t.Context(), ipvs.Diff(nil, have, nil)); err != nil {
		t.Fatal(err)
	}
	kernel.ResetLog()
	bench := newBench(t, kernel, "", setup)
	bench.role(stanceHold)
	bench.role(stanceServe)
	synctest.Wait()
	return bench
}

func (b *bench) wantNoCommand(what string) {
	b.t.Helper()
	for _, c := range b.kernel.Log() {
		if c.Op.IsWrite() {
			b.t.Errorf("%s: %v", what, c)
		}
	}
}

func TestSlowStartGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startWith(t, slowSetup(), 128, 20)
		defer b.stop()
		time.Sleep(time.Minute)
		b.wantNoCommand("changed before it was asked")
		b.verdict("web/a", health.Up)
		b.verdict("web/b", health.Up)
		b.wantNoCommand("changed by the first verdict")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w := b.weight(serverB); w < 25 || w > 35 {
			t.Errorf("weight %d ten seconds after it was found with 20, want about 30", w)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w := b.weight(serverB); w != 64 {
			t.Errorf("weight %d, want 64", w)
		}
	})
}

// The second half of a climb and a share that an agent tells are no other
// weights after a restart.
func TestNoWeightJumpsAfterARestart(t *testing.T) {
	fifty, quarter := 50, 25
	for _, tt := range []struct {
		name    string
		found   int
		told    *int
		follows bool // the load
		then    int  // ten seconds later
	}{
		{"late in the climb", 50, nil, false, 61},
		{"led there by its load", 50, nil, true, 50},
		{"climbed, with a quarter by its agent", 16, &quarter, false, 16},
		{"half way, with a half by its agent", 16, &fifty, false, 21},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				setup := slowSetup()
				r := &setup.Services[0].Servers[1]
				r.FollowLoad = tt.follows
				if tt.told != nil {
					r.TellsWeight, r.TellsShare, r.Checker = true, true, &proposing{}
				}
				b := startWith(t, setup, 128, tt.found)
				defer b.stop()
				b.verdict("web/a", health.Up)
				if tt.told != nil {
					b.loop.inbox.weight(inquiryOf(r.Target, r.Checker.Identity()), tt.told)
					synctest.Wait()
				}
				b.verdict("web/b", health.Up)
				b.wantNoCommand("changed by the first verdict")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if w := b.weight(serverB); w < tt.then-2 || w > tt.then+2 {
					t.Errorf("weight %d ten seconds after it was found with %d, want about %d", w, tt.found, tt.then)
				}
			})
		})
	}
}

// A server that counts as up to start with does so before the table was read.
func TestNoWeightJumpsOfAServerThatIsUpToStartWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel, setup := ipvstest.New(), slowSetup()
		have := ipvs.Table{{Service: setup.Services[0].Service, Destinations: []ipvs.Destination{dest(serverA, 128), dest(serverB, 20)}}}
		if err := kernel.Apply(t.Context(), ipvs.Diff(nil, have, nil)); err != nil {
			t.Fatal(err)
		}
		kernel.ResetLog()
		owned, err := ipvs.OpenOwnership("")
		if err != nil {
			t.Fatal(err)
		}
		l := newLoop(slog.New(slog.DiscardHandler), kernel, owned, setup)
		l.begin("web/a", health.Up, time.Now())
		l.begin("web/b", health.Up, time.Now())
		l.settle(t.Context())
		l.stances[""] = stanceServe
		l.settle(t.Context())
		b := &bench{t: t, kernel: kernel, loop: l}
		b.wantNoCommand("changed by the start")
		if len(l.moving) != 1 {
			t.Errorf("%d weights move, want that of the server that climbs", len(l.moving))
		}
	})
}

func loadSetup() *Setup {
	return webSetup(func(v *VirtualService) {
		v.Unit = fineUnit
		v.Servers[0].FollowLoad, v.Servers[1].FollowLoad = true, true
	})
}

func TestWeightsFollowTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", loadSetup())
		defer b.stop()
		b.role(stanceServe)
		b.verdict("web/a", health.Up)
		b.verdict("web/b", health.Up)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=128", "tcp/192.0.2.1:80 10.0.0.2:80=64")
		d := b.director()
		for range 15 {
			d.setLoad("web/a", health.Load{One: 16, Cores: 4}) // four tasks a core
			d.setLoad("web/b", health.Load{One: 0.1, Cores: 4})
			d.setLoad("web/stranger", health.Load{One: 1})
			time.Sleep(20 * time.Second)
		}
		synctest.Wait()
		if a, bb := b.weight(serverA), b.weight(serverB); a > 70 || a < 64 || bb < 90 || bb > 96 {
			t.Errorf("weights %d and %d, want about half of 128 and one and a half times 64", a, bb)
		}

		// A load that is not told any more leads back.
		d.dropLoad("web/b")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if w := b.weight(serverB); w < 61 || w > 67 {
			t.Errorf("weight %d long after the load was dropped, want about 64", w)
		}
		if w := b.weight(serverA); w > 70 {
			t.Errorf("weight %d while the last load still counts", w)
		}
		time.Sleep(loadLife + 3*time.Minute)
		synctest.Wait()
		if w := b.weight(serverA); w < 122 {
			t.Errorf("weight %d long after the last load, want about 128", w)
		}
		if n := b.moving(); n != 0 {
			t.Errorf("%d servers are waited for", n)
		}
		// A server that does not follow ignores it.
		b.loop.ask(t.Context(), func(ctx context.Context) { b.loop.adopt(slowSetup(), nil); b.loop.settle(ctx) })
		d.setLoad("web/a", health.Load{One: 100, Cores: 1})
		time.Sleep(time.Minute)
		synctest.Wait()
		if w := b.weight(serverA); w != 128 {
			t.Errorf("weight %d of a server that follows nothing", w)
		}
	})
}

func TestLoadDrivenWeightsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startWith(t, loadSetup(), 75, 96)
		defer b.stop()
		b.verdict("web/a", health.Up)
		b.verdict("web/b", health.Up)
		time.Sleep(loadLife - time.Second)
		synctest.Wait()
		b.wantNoCommand("changed before a load was told")
		b.director().setLoad("web/a", health.Load{One: 2.8, Cores: 4})
		b.director().setLoad("web/b", health.Load{One: 0.1, Cores: 4}) // what it had led to
		synctest.Wait()
		if w := b.weight(serverB); w != 96 {
			t.Errorf("weight %d with the first load, want 96 as it was found", w)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w := b.weight(serverA); w < 120 {
			t.Errorf("weight %d at a load of 0.7 for each core, want about 128", w)
		}
	})
}

// A reload keeps what is known: a climb goes on, and a new weight counts.
func TestReloadKeepsTheClimb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", slowSetup())
		defer b.stop()
		b.role(stanceServe)
		b.verdict("web/a", health.Up)
		b.verdict("web/b", health.Up)
		time.Sleep(30 * time.Second)
		next := slowSetup()
		next.Services[0].Servers[1].Destination.Weight = 2
		next.Services[0].Servers[0].SlowStart = time.Minute // new for one that has long been there
		b.loop.ask(t.Context(), func(ctx context.Context) {
			b.loop.adopt(next, map[string]health.State{"web/a": health.Up, "web/b": health.Up})
			b.loop.settle(ctx)
		})
		if a, bb := b.weight(serverA), b.weight(serverB); a != 128 || bb < 60 || bb > 72 {
			t.Errorf("weights %d and %d, want 128 and half of 128", a, bb)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w := b.weight(serverB); w != 128 {
			t.Errorf("weight %d, want 128", w)
		}
	})
}

// proposing answers with a weight of its own.
type proposing struct{ weight *int }

func (p *proposing) Check(context.Context, health.Target) health.Result {
	return health.Result{Verdict: health.OK, Weight: p.weight}
}

func (p *proposing) Identity() string { return "proposing" }

func TestChecksTellWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proposing{}
		setup := webSetup(func(v *VirtualService) {
			for i := range v.Servers {
				v.Servers[i].Checker, v.Servers[i].TellsWeight = p, i == 0
				v.Servers[i].Target = health.Target{Addr: addr(serverA)} // one question
			}
		})
		// Another service asks the same question.
		other := setup.Services[0]
		other.Name, other.Service.Key = "other", ipvs.MarkService(7)
		setup.Services = append(setup.Services, other)
		b := startWith(t, setup, 30, 1)
		defer b.stop()
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=30", "tcp/192.0.2.1:80 10.0.0.2:80=1") // as found
		ws := b.director().watches(setup)
		say := func(w *int, v health.State) {
			p.weight = w
			ws[0].Checker.Check(t.Context(), ws[0].Target)
			for _, id := range []string{"web/a", "web/b", "other/a", "other/b"} {
				b.verdict(id, v)
			}
		}
		w := func(n int) *int { return &n }
		say(w(30), health.Up)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=30", "tcp/192.0.2.1:80 10.0.0.2:80=1", "fwmark/7 10.0.0.1:80=30", "fwmark/7 10.0.0.2:80=1")
		say(w(0), health.Up) // it drains
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=0", "tcp/192.0.2.1:80 10.0.0.2:80=1", "fwmark/7 10.0.0.1:80=0", "fwmark/7 10.0.0.2:80=1")
		say(nil, health.Up) // it has no opinion any more
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=2", "tcp/192.0.2.1:80 10.0.0.2:80=1", "fwmark/7 10.0.0.1:80=2", "fwmark/7 10.0.0.2:80=1")
		if _, listens := ws[1].Checker.(listening); listens {
			t.Error("a check whose weights nobody wants is listened to")
		}
	})
}

// A service that comes in by a reload and asks what others ask already has the
// monitor's answer at once; so it needs the weight that came with it.
func TestAReloadKnowsTheWeightsThatAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proposing{}
		setup := webSetup(func(v *VirtualService) {
			v.Servers[0].Checker, v.Servers[0].TellsWeight, v.Servers[0].Target = p, true, health.Target{Addr: addr(serverA)}
		})
		b := newBench(t, ipvstest.New(), "", setup)
		defer b.stop()
		b.role(stanceServe)
		b.loop.inbox.weight(inquiryOf(health.Target{Addr: addr(serverA)}, p.Identity()), new(int))
		b.verdict("web/a", health.Up)
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=0")
		next := *setup
		other := setup.Services[0]
		other.Name, other.Service.Key = "other", ipvs.MarkService(7)
		next.Services = []VirtualService{other, setup.Services[0]}
		b.kernel.ResetLog()
		b.loop.ask(t.Context(), func(ctx context.Context) {
			b.loop.adopt(&next, map[string]health.State{"web/a": health.Up, "other/a": health.Up})
			b.loop.settle(ctx)
		})
		b.wantServers("tcp/192.0.2.1:80 10.0.0.1:80=0", "fwmark/7 10.0.0.1:80=0")
	})
}

func TestSorryServersServeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", webSetup(func(v *VirtualService) {
			v.Quorum, v.Hysteresis = 2, 1
			v.Sorry = unchecked(dest("10.0.0.7:80", 1), dest("10.0.0.8:80", 1), dest("10.0.0.9:80", 1))
			v.Sorry[0].Name, v.Sorry[0].Checker = "s1", &proposing{}
			v.Sorry[1].Name, v.Sorry[1].Checker = "s2", &proposing{}
		}))
		defer b.stop()
		b.role(stanceServe)
		for _, step := range []struct{ verdicts, want string }{
			{"s1=up s2=up a=up b=up", "10.0.0.1:80=2 10.0.0.2:80=1"},
			{"a=down", "10.0.0.2:80=1"},  // 1 is not below 2 - 1
			{"b=down", "10.0.0.7:80=1"},  // the first
			{"s1=down", "10.0.0.8:80=1"}, // the next
			{"s2=down", "10.0.0.9:80=1"}, // the one that is not checked
			{"s2=up", "10.0.0.8:80=1"},
			{"a=up", "10.0.0.1:80=0 10.0.0.8:80=1"}, // 2 is not yet 2 + 1
			{"b=up", "10.0.0.1:80=2 10.0.0.2:80=1"},
		} {
			for _, v := range strings.Fields(step.verdicts) {
				server, state, _ := strings.Cut(v, "=")
				b.verdict("web/"+server, map[string]health.State{"up": health.Up, "down": health.Down}[state])
			}
			var want []string
			for _, d := range strings.Fields(step.want) {
				want = append(want, "tcp/192.0.2.1:80 "+d)
			}
			b.wantServers(want...)
		}
	})
}

func TestMaintenanceCountsBeforeTheChecks(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1\nmaintenance = 1")+realServer("b", "address = 10.0.0.2")))
	for _, state := range []health.State{health.Up, health.Down} {
		got := planOf(s, func(_, server string) health.State {
			if server == "b" {
				return health.Up
			}
			return state
		}, in(nil))[0].Destinations
		if fmt.Sprint(len(got), got[0].Weight, got[1].Weight) != "2 0 1" {
			t.Errorf("while its checks say %v: %v", state, got)
		}
	}
}
