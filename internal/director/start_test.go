package director

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// A server that is to count as up before its first answer serves from the
// start, and stays so when its answers agree, of which no event tells.
func TestServersCountAsTheyAreToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ipvstest.New(), func(c *Config) {
			v := &c.Setup.Services[0]
			v.Servers[0].Initial, v.Servers[1].Initial = health.Up, health.Down
			for i := range v.Servers {
				v.Servers[i].Policy = health.Policy{Interval: time.Hour, Timeout: time.Hour, Rise: 2}
			}
			// Down from the start is no wave of failures.
			c.Setup.Alarm = pool.Alarm{Share: 0.1, Least: 1}
		})
		defer r.stop()
		r.checker.SetFor(addr(serverB), healthtest.Verdicts(health.NoResult))
		time.Sleep(10 * time.Second)
		s := r.status().Services[0]
		if a := s.Servers[0]; a.State != "up" || a.Weight != 2 {
			t.Errorf("a server that starts up: %+v", a)
		}
		if b := s.Servers[1]; b.State != "down" || b.InTable {
			t.Errorf("a server that starts down: %+v", b)
		}
		r.d.loop.ask(t.Context(), func(context.Context) {
			if phase, _ := r.d.loop.wave.Phase(); phase != pool.Calm {
				t.Errorf("phase %v", phase)
			}
		})
	})
}

func TestAgentsTellASharePerServer(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1\nweight = 2\ncheck = agent")+realServer("b", "address = 10.0.0.2")))
	v := s.Services[0]
	if a := v.Servers[0]; !a.TellsShare || !a.TellsWeight || v.Unit != fineUnit {
		t.Fatalf("%+v, unit %d", a, v.Unit)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ipvstest.New(), "", s)
		defer b.stop()
		b.role(stanceServe)
		tell := func(w int) {
			b.loop.inbox.weight(inquiryOf(v.Servers[0].Target, v.Servers[0].Checker.Identity()), &w)
			b.verdict("web/a", health.Up)
		}
		b.verdict("web/b", health.Up)
		for _, step := range []struct{ percent, want int }{{100, 128}, {75, 96}, {0, 0}, {1, 1}, {200, 256}} {
			tell(step.percent)
			if w := b.weight(serverA); w != step.want {
				t.Errorf("at %d %%: weight %d, want %d", step.percent, w, step.want)
			}
		}
	})
}
