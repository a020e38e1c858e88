package director

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

func TestStatusSaysWhyAndSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), func(c *Config) {
			v := &c.Setup.Services[0]
			v.Quorum, v.Unit = 2, fineUnit
			v.Servers[1].SlowStart = time.Minute
			v.Sorry = unchecked(dest("10.0.0.9:80", 1))
		})
		defer r.stop()
		time.Sleep(31 * time.Second)
		s := r.status().Services[0]
		if s.Quorum.State != "gained" || s.Quorum.Live != 3 || s.Quorum.Need != 2 || s.Quorum.Since == nil || s.Quorum.Why != "quorum gained: live weight 3, lost below 2" {
			t.Errorf("quorum %+v", s.Quorum)
		}
		if a := s.Servers[0]; a.Why != "up: configured weight 2 x 64" || a.Weight != 128 || a.WhySince == nil || time.Since(*a.WhySince) < 20*time.Second {
			t.Errorf("a server that is up: %+v", a)
		}
		if b := s.Servers[1]; !strings.HasPrefix(b.Why, "up: configured weight 1 x 64, slow start at ") || b.Weight <= 2 || b.Weight >= 64 {
			t.Errorf("a server that climbs: %+v", b)
		}
		if len(s.SorryServers) != 1 || s.SorryServers[0].Why != "sorry server, not needed" || s.SorryUsed || s.Sorry != "10.0.0.9:80" {
			t.Errorf("sorry servers %+v", s.SorryServers)
		}

		r.checker.SetFor(addr("10.0.0.1:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(2 * time.Second)
		s = r.status().Services[0]
		if s.Quorum.State != "lost" || s.Quorum.Why != "quorum lost: live weight 1, gained at 2" {
			t.Errorf("quorum %+v", s.Quorum)
		}
		if a := s.Servers[0]; !strings.HasPrefix(a.Why, "down: ") || a.InTable {
			t.Errorf("a server that is down: %+v", a)
		}
		if b := s.Servers[1]; b.Why != "the quorum is not there: weight 0 while sorry servers serve" || b.Weight != 0 || !b.InTable {
			t.Errorf("a server that gives way: %+v", b)
		}
		if q := s.SorryServers[0]; !q.InTable || !s.SorryUsed || q.Why != "sorry server, serves: configured weight 1 x 64" {
			t.Errorf("a sorry server that serves: %+v", q)
		}
	})
}

func TestStatusTellsOfStatesThatAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := healthtest.NewFake("control")
		control.SetFor(addr("10.0.0.254:0"), healthtest.Verdicts(health.Fail))
		r := newRig(t, ipvstest.New(), func(c *Config) {
			c.Setup.Alarm = pool.Alarm{Share: 0.5, Least: 2, Window: time.Minute}
			c.Setup.Control = ControlTarget{health.Target{Addr: addr("10.0.0.254:0"), Name: "gateway"}, control}
		})
		defer r.stop()
		time.Sleep(3 * time.Second)
		r.checker.SetFor(addr("10.0.0.1:80"), healthtest.Verdicts(health.Fail))
		r.checker.SetFor(addr("10.0.0.2:80"), healthtest.Verdicts(health.Fail))
		time.Sleep(5 * time.Second)
		st := r.status()
		if n := r.servers(); n != 2 {
			t.Errorf("%d servers in the table, want both", n)
		}
		if notes := strings.Join(st.Notes, "\n"); !strings.Contains(notes, "2 of 2 targets failed at once, and the control target does not answer either") || !strings.Contains(notes, "gateway (10.0.0.254:0): ") {
			t.Errorf("notes:\n%s", notes)
		}
		for _, s := range st.Services[0].Servers {
			if s.State != "down" || !strings.HasPrefix(s.Why, "still counts as up: ") || s.Weight == 0 {
				t.Errorf("a server that is held: %+v", s)
			}
		}
	})
}

// A router that stands by tells what it would do.
func TestStatusOfARouterThatDoesNotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), nil)
		defer r.stop()
		time.Sleep(3 * time.Second)
		r.d.loop.ask(t.Context(), r.d.loop.withdraw)
		s := r.status().Services[0]
		if s.Quorum.State != "gained" || s.Quorum.Since != nil || s.Servers[0].Why != "up: configured weight 2" || s.Servers[0].WhySince != nil {
			t.Errorf("%+v", s)
		}
	})
}

// Weights that checks tell come through the monitor, which asks one question
// once for all who ask it.
func TestDirectorTakesToldWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proposing{weight: new(int)}
		*p.weight = 40
		r := newRig(t, ipvstest.New(), func(c *Config) {
			c.Setup = checked(webSetup(nil), p)
			for i := range c.Setup.Services[0].Servers {
				c.Setup.Services[0].Servers[i].TellsWeight = true
				c.Setup.Services[0].Servers[i].Target = health.Target{Addr: addr(serverA)}
			}
		})
		defer r.stop()
		time.Sleep(3 * time.Second)
		for _, s := range r.status().Services[0].Servers {
			if s.Weight != 40 || s.Why != "up: told weight 40" {
				t.Errorf("%+v", s)
			}
		}
		in := r.d.loop.inbox
		in.mu.Lock()
		if n := len(in.news.weights); n > 1 {
			t.Errorf("%d weights wait for one question", n)
		}
		in.mu.Unlock()
	})
}
