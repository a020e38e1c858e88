package director

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

// A server that failed while the router lacked its link is back with its first
// good answer when the link is, so that the router does not take over without
// servers. One that fails by itself has to be well for its whole time.
func TestFailuresOfAFaultAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVRRPPair(t, sides, func(_ int, c *Config) {
			fake := healthtest.NewFake("fake")
			for i := range c.Setup.Services {
				r := &c.Setup.Services[i].Servers[0]
				r.Checker, r.Target = fake, health.Target{Addr: r.Destination.Key, Name: r.Name}
				r.Policy = health.Policy{Interval: time.Second, Timeout: time.Second, Rise: 60, Fall: 1}
			}
		})
		fake := p.one.d.setup.Services[0].Servers[0].Checker.(*healthtest.Fake)
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff([]string{"10.0.0.1:80"}, destinationsOf(p.one)); diff != "" {
			t.Fatalf("at first (-want +got):\n%s", diff)
		}

		outside := p.one.d.electing.members[0].router
		outside.SetFault("a test cut the cable")
		fake.Set(healthtest.Verdicts(health.Fail))
		time.Sleep(10 * time.Second)
		p.want("while the cable is cut", nil, []string{web, mail})
		fake.Set(healthtest.Verdicts(health.OK))
		outside.SetFault("")
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]string{"10.0.0.1:80"}, destinationsOf(p.one)); diff != "" {
			t.Errorf("with the cable back (-want +got):\n%s", diff)
		}

		fake.Set(healthtest.Verdicts(health.Fail))
		time.Sleep(5 * time.Second)
		fake.Set(healthtest.Verdicts(health.OK))
		time.Sleep(30 * time.Second)
		if diff := cmp.Diff([]string(nil), destinationsOf(p.one)); diff != "" {
			t.Errorf("failed by itself, and not well for long (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"10.0.0.1:80"}, destinationsOf(p.one)); diff != "" {
			t.Errorf("well for its whole time (-want +got):\n%s", diff)
		}
	})
}
