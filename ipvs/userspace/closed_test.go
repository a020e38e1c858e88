package userspace

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// Short connections one after another go where a kernel would send them that
// keeps each closed one as inactive: what the model says, step by step.
func TestSequentialConnectionsSpread(t *testing.T) { onEngines(t, testSequentialConnectionsSpread) }

func testSequentialConnectionsSpread(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	tests := []struct {
		scheduler string
		weights   [2]int
		a, b      int
	}{
		{"wlc", [2]int{1, 3}, 3, 9},
		{"wlc", [2]int{3, 1}, 9, 3},
		{"lc", [2]int{1, 3}, 6, 6},
	}
	for _, tt := range tests {
		for _, rules := range []sched.Rules{sched.OlderRules, sched.NewerRules} {
			t.Run(tt.scheduler+" "+rules.String(), func(t *testing.T) {
				model, err := sched.New(tt.scheduler, &sched.Options{Rules: rules})
				if err != nil {
					t.Fatal(err)
				}
				for i, addr := range []netip.AddrPort{a.addr, bb.addr} {
					if _, err := model.Add(addr, sched.ServerConfig{Weight: tt.weights[i]}, "ab"[i:i+1]); err != nil {
						t.Fatal(err)
					}
				}
				b := newBalancer(t, &Config{Rules: rules})
				s := tcpService(t, b, tt.scheduler, dest(a.addr, tt.weights[0]), dest(bb.addr, tt.weights[1]))
				var got, want string
				for range 12 {
					picked := model.Pick(sched.Flow{})
					picked.Opened()
					want += picked.Value().(string)
					got += asks(t, s, 1)
					settled(t, b, s, len(got))
				}
				if got != want {
					t.Errorf("asked %s, the model %s", got, want)
				}
				if n := strings.Count(got, "a"); n != tt.a || len(got)-n != tt.b {
					t.Errorf("shared %d:%d, want %d:%d", n, len(got)-n, tt.a, tt.b)
				}
			})
		}
	}
}

// A closed connection leaves by itself after FinTimeout.
func TestClosedConnectionsLeave(t *testing.T) { onEngines(t, testClosedConnectionsLeave) }

func testClosedConnectionsLeave(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, &Config{FinTimeout: time.Second})
	s := tcpService(t, b, "wlc", dest(a.addr, 1))
	start := time.Now()
	asks(t, s, 3)
	eventually(t, "the closed connections left", func() bool {
		x := state(t, b, s, a.addr)
		return x.Active+x.Inactive == 0
	})
	if took := time.Since(start); took < time.Second {
		t.Errorf("they left after %v, want at least a second", took)
	}
}

// A new time-out is that of connections which have closed, too.
func TestSetTimeoutsReachesClosedConnections(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "wlc", dest(a.addr, 1))
	asks(t, s, 2)
	settled(t, b, s, 2)
	if err := b.SetTimeouts(t.Context(), ipvs.Timeouts{TCPFin: time.Second}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the closed connections left", func() bool { return state(t, b, s, a.addr).Inactive == 0 })
}

func TestResetConnectionsLeaveSooner(t *testing.T) { onEngines(t, testResetConnectionsLeaveSooner) }

func testResetConnectionsLeaveSooner(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "wlc", dest(a.addr, 1))
	asks(t, s, 1)
	_, c := ask(t, s)
	c.SetLinger(0)
	c.Close()
	settled(t, b, s, 2)
	closed, end := closedOf(b, s), b.now()
	inactive := func() uint32 { return state(t, b, s, a.addr).Inactive }
	// Both ended before end, and before the sweeps' own clock.
	closed.sweep(end + int64(resetTimeout))
	if got := inactive(); got != 1 {
		t.Errorf("%d closed connections after %v, want the one that ended in order", got, resetTimeout)
	}
	closed.sweep(end + int64(DefaultFinTimeout))
	if got := inactive(); got != 0 {
		t.Errorf("%d closed connections after %v, want none", got, DefaultFinTimeout)
	}
}

// A connection that was silent for the time of its state has had its time.
func TestExpiredConnectionsLeaveAtOnce(t *testing.T) { onEngines(t, testExpiredConnectionsLeaveAtOnce) }

func testExpiredConnectionsLeaveAtOnce(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, &Config{IdleTimeout: 500 * time.Millisecond})
	s := tcpService(t, b, "wlc", dest(a.addr, 1))
	_, c := ask(t, s)
	if _, err := io.ReadAll(c); !isReset(err) {
		t.Errorf("the idle one read %v, want a reset", err)
	}
	eventually(t, "the connection is gone", func() bool { return b.limits.connections.Load() == 0 })
	if x := state(t, b, s, a.addr); x.Active+x.Inactive != 0 {
		t.Errorf("%d active and %d inactive connections, want none", x.Active, x.Inactive)
	}
}

func TestDeletedDestinationTakesItsClosedConnectionsAlong(t *testing.T) {
	onEngines(t, testDeletedDestinationTakesItsClosedConnectionsAlong)
}

func testDeletedDestinationTakesItsClosedConnectionsAlong(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "lc", dest(a.addr, 1), dest(bb.addr, 1))
	for i := range 4 {
		asks(t, s, 1)
		settled(t, b, s, i+1)
	}
	svc := b.services[s.Key]
	old := svc.dests[bb.addr].server
	_, open := ask(t, s) // On b, for a tie goes to the first.
	apply(t, b, change(ipvs.OpDelDestination, s, dest(bb.addr, 1)), change(ipvs.OpAddDestination, s, dest(bb.addr, 1)))
	// As in the kernel the same address is the same destination again.
	if x := state(t, b, s, bb.addr); x.Active != 1 || x.Inactive != 2 {
		t.Errorf("added anew: %d active and %d inactive, want 1 and 2", x.Active, x.Inactive)
	}
	hangUp(t, open)
	eventually(t, "the connection is gone", func() bool { return b.limits.connections.Load() == 0 })
	if old.Active() != 0 || old.Inactive() != 3 {
		t.Errorf("the deleted one counts %d active and %d inactive connections, want 0 and 3", old.Active(), old.Inactive())
	}
	closed := closedOf(b, s)
	closed.sweep(b.now() + int64(DefaultFinTimeout))
	for _, server := range append(svc.sched.Servers(), old) {
		if server.Active() != 0 || server.Inactive() != 0 {
			t.Errorf("%v counts %d active and %d inactive, want none", server.Addr(), server.Active(), server.Inactive())
		}
	}
	if closed.inOrder.n != 0 || closed.inOrder.ring != nil {
		t.Errorf("%d closed connections are held in a ring of %d", closed.inOrder.n, len(closed.inOrder.ring))
	}
}

func TestDeletedServiceDropsItsClosedConnections(t *testing.T) {
	onEngines(t, testDeletedServiceDropsItsClosedConnections)
}

func testDeletedServiceDropsItsClosedConnections(t *testing.T) {
	for name, end := range map[string]func(testing.TB, *Balancer, ipvs.Service){
		"delete": func(t testing.TB, b *Balancer, s ipvs.Service) {
			apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}))
		},
		"close": func(t testing.TB, b *Balancer, _ ipvs.Service) {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := named(t, "a")
			b := newBalancer(t, nil)
			s := tcpService(t, b, "lc", dest(a.addr, 1))
			asks(t, s, 3)
			settled(t, b, s, 3)
			_, open := ask(t, s)
			closed, server := closedOf(b, s), b.services[s.Key].dests[a.addr].server
			end(t, b, s)
			open.Close()
			eventually(t, "the last connection is gone", func() bool { return b.limits.connections.Load() == 0 })
			if server.Active() != 0 || server.Inactive() != 0 {
				t.Errorf("%d active and %d inactive, want none", server.Active(), server.Inactive())
			}
			if closed.inOrder.ring != nil || closed.reset.ring != nil {
				t.Error("a ring is left")
			}
		})
	}
}

// An overloaded server is relieved when its closed connections have left:
// below three quarters of its upper threshold, as the model has it.
func TestClosedConnectionsCountTowardsThresholds(t *testing.T) {
	onEngines(t, testClosedConnectionsCountTowardsThresholds)
}

func testClosedConnectionsCountTowardsThresholds(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	limited := dest(a.addr, 1)
	limited.UpperThreshold = 4
	s := tcpService(t, b, "lc", limited)
	model, err := sched.New("lc", nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := model.Add(a.addr, schedConfig(limited), nil)
	if err != nil {
		t.Fatal(err)
	}
	var ends []int64
	for i := range 4 {
		asks(t, s, 1)
		settled(t, b, s, i+1)
		ends = append(ends, b.now())
		server.Opened()
	}
	for i, end := range ends {
		if model.Pick(sched.Flow{}) != nil {
			if i != 2 { // 4 and 3 of 4 are too many, 2 are not.
				t.Errorf("the model is relieved with %d connections", 4-i)
			}
			asks(t, s, 1)
			return
		}
		if err := fate(s); !isReset(err) {
			t.Errorf("with %d closed connections the client saw %v, want a reset", 4-i, err)
		}
		closedOf(b, s).sweep(end + int64(DefaultFinTimeout))
		server.Closed(false)
	}
	t.Error("never relieved")
}

// The rings against plain slices, through growth, wrapping and eviction.
func TestClosedConnsModel(t *testing.T) {
	const capacity = 21 // Not of the sizes that doubling meets.
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		scheduler, err := sched.New("lc", nil)
		if err != nil {
			t.Fatal(err)
		}
		var servers []*sched.Server
		for i := range 3 {
			server, err := scheduler.Add(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(80+i)), sched.ServerConfig{Weight: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			servers = append(servers, server)
		}
		var now int64
		clock := func() int64 { return now }
		var closed closedConns
		closed.init(capacity)
		closed.setFin(40 * time.Second)
		model := map[ending][]closedConn{}
		life := map[ending]int64{endInOrder: int64(40 * time.Second), endReset: int64(resetTimeout)}
		for step := range 500 {
			now += rnd.Int64N(int64(2 * time.Second))
			if rnd.IntN(50) == 0 {
				life[endInOrder] = int64(20+rnd.IntN(40)) * int64(time.Second)
				closed.setFin(time.Duration(life[endInOrder]))
			}
			if rnd.IntN(8) == 0 {
				closed.sweep(now)
				for how, q := range model {
					for len(q) > 0 && q[0].ended+life[how] <= now {
						q = q[1:]
					}
					model[how] = q
				}
			} else {
				server, how := servers[rnd.IntN(3)], ending(rnd.IntN(3))
				server.Opened()
				closed.add(server, how, clock)
				if how != endExpired {
					model[how] = append(model[how], closedConn{server, now})
					if q := model[how]; len(q) > capacity {
						model[how] = q[1:]
					}
				}
			}
			for _, server := range servers {
				want := 0
				for _, q := range model {
					for _, c := range q {
						if c.server == server {
							want++
						}
					}
				}
				if got := server.Inactive(); got != want {
					t.Fatalf("step %d: %v counts %d, want %d", step, server.Addr(), got, want)
				}
			}
			if n := len(closed.inOrder.ring); n > capacity {
				t.Fatalf("step %d: a ring of %d", step, n)
			}
		}
	}
}

func TestClosedConnsAllocateNothing(t *testing.T) {
	scheduler, err := sched.New("lc", nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := scheduler.Add(netip.MustParseAddrPort("10.0.0.1:80"), sched.ServerConfig{Weight: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var now int64
	clock := func() int64 { return now }
	var closed closedConns
	closed.init(maxClosed)
	closed.setFin(time.Second)
	step := func() {
		now += int64(time.Millisecond)
		server.Opened()
		closed.add(server, endInOrder, clock)
		closed.sweep(now)
	}
	for range 2000 {
		step()
	}
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("%v allocations for a connection, want none", got)
	}
	if got := server.Inactive(); got != 1000 {
		t.Errorf("%d closed connections within a second of 1000, want 1000", got)
	}
	for range 3 * maxClosed { // A burst between two sweeps.
		server.Opened()
		closed.add(server, endInOrder, clock)
	}
	if got := server.Inactive(); got != maxClosed {
		t.Errorf("%d closed connections after a burst, want %d", got, maxClosed)
	}
}
