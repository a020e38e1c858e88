package director

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// randomSetup has services with quorums, sorry servers in order, servers with
// weight 0, in maintenance, and such that stay when they are down. ids are the
// watches.
func randomSetup(r *rand.Rand) (s *Setup, ids []string) {
	s = &Setup{}
	for i := range 1 + r.IntN(3) {
		v := VirtualService{
			Name: fmt.Sprint("s", i), Service: ipvs.Service{Key: ipvs.MarkService(uint32(i + 1)), Scheduler: "wlc"},
			Quiesce: r.IntN(2) == 0, Quorum: r.IntN(4), Hysteresis: r.IntN(3),
		}
		for j := range 1 + r.IntN(4) {
			v.Servers = append(v.Servers, RealServer{
				Name: fmt.Sprint(j), Destination: dest(fmt.Sprintf("10.0.%d.%d:80", i, j), r.IntN(3)), Checker: &proposing{}, Maintenance: r.IntN(6) == 0,
			})
			ids = append(ids, WatchID(v.Name, fmt.Sprint(j)))
		}
		for j := range r.IntN(3) {
			sorry := RealServer{Name: fmt.Sprint("sorry", j), Destination: dest(fmt.Sprintf("10.0.%d.%d:80", i, 100+j), 1)}
			if r.IntN(2) == 0 {
				sorry.Checker = &proposing{}
				ids = append(ids, WatchID(v.Name, sorry.Name))
			}
			v.Sorry = append(v.Sorry, sorry)
		}
		s.Services = append(s.Services, v)
	}
	return s, ids
}

// Whatever the configuration and whoever is down: a restarted daemon finds the
// table as it should be, before the first verdict and after each of them, in
// any order.
func TestNoRestartChangesTheTable(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for n := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, n))
			setup, ids := randomSetup(r)
			kernel := ipvstest.New()
			first := newBench(t, kernel, "", setup)
			first.role(stanceServe)
			says := make(map[string]health.State)
			for i := range 30 + len(ids) {
				id := ids[i%len(ids)]
				if says[id] != health.Unknown {
					id = ids[r.IntN(len(ids))]
				}
				says[id] = []health.State{health.Up, health.Down}[r.IntN(2)]
				first.verdict(id, says[id])
			}
			time.Sleep(2 * resyncEvery) // for what drains
			first.stop()
			left := first.table()
			kernel.ResetLog()
			second := newBench(t, kernel, "", setup)
			defer second.stop()
			second.role(stanceHold)
			second.role(stanceServe)
			r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			for _, id := range ids {
				second.verdict(id, says[id])
			}
			time.Sleep(2 * resyncEvery)
			second.wantNoCommand("changed by a restart")
			if t.Failed() {
				t.Logf("seed %d, %d; the table was %v; verdicts %v in the order %v", seed, n, left, says, ids)
			}
		})
		if t.Failed() {
			return
		}
	}
}
