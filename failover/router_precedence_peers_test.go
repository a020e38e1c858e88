//go:build linux && peers

package failover_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// TestPeersKeepalivedPrecedence has what decides who serves, beside the
// priorities: on either side, and understood by the other.
func TestPeersKeepalivedPrecedence(t *testing.T) {
	t.Parallel()
	const pace = 100 * time.Millisecond
	base := dialect{interval: pace, vips: prefixes("192.0.2.100/32"), keepalived: "version 3\n advert_int 0.1"}
	with := func(lines string, ours func(*failover.RouterConfig)) *dialect {
		d := base
		d.keepalived += "\n " + lines
		d.ours = ours
		return &d
	}
	// alone starts ours and waits until it serves.
	alone := func(t *testing.T, c *contest, priority uint8) *ourRouter {
		t.Helper()
		o := c.start(t, c.mine, priority)
		c.only("ours alone", c.mine, c.theirs, 0, patience)
		return o
	}
	theirs := func(c *contest) {
		c.t.Helper()
		c.k.start()
		c.only("keepalived alone", c.theirs, c.mine, 0, patience)
	}
	tests := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"keepalived does not preempt", func(t *testing.T) {
			c := newContest(t, with("nopreempt", nil))
			o := alone(t, c, 50)
			c.k.start()
			within(t, patience, "keepalived listens", func() bool { return strings.Contains(c.k.log.String(), "Entering BACKUP STATE") })
			time.Sleep(2 * c.down(100))
			c.only("ours stays", c.mine, c.theirs, 0, slack)
			if got := o.router.Status(); got.Role != failover.RoleActive || got.Rival {
				t.Errorf("status %+v", got)
			}
			o.stop()
			c.only("keepalived takes what is free", c.theirs, c.mine, 0, c.skew(100)+slack)
		}},
		{"ours does not preempt", func(t *testing.T) {
			c := newContest(t, with("", func(c *failover.RouterConfig) { c.NoPreempt = true }))
			theirs(c)
			o := c.start(t, c.mine, 150)
			c.role(o, failover.RoleBackup)
			time.Sleep(2 * c.down(150))
			c.only("keepalived stays", c.theirs, c.mine, 0, slack)
			c.k.stop()
			c.only("ours takes what is free", c.mine, c.theirs, 0, slack)
		}},
		{"keepalived preempts after a delay", func(t *testing.T) {
			c := newContest(t, with("preempt_delay 1", nil))
			o := alone(t, c, 50)
			c.k.start()
			c.only("keepalived preempts", c.theirs, c.mine, time.Second, time.Second+c.down(100)+pace+slack+time.Second) // and its own start
			if st := c.role(o, failover.RoleBackup); st.ActivePriority != 100 {
				t.Errorf("status %+v", st)
			}
		}},
		{"ours preempts after a delay", func(t *testing.T) {
			c := newContest(t, with("", func(c *failover.RouterConfig) { c.PreemptDelay = time.Second }))
			theirs(c)
			o := c.start(t, c.mine, 150)
			c.only("ours preempts", c.mine, c.theirs, time.Second-pace, time.Second+c.down(150)+pace+slack)
			c.role(o, failover.RoleActive)
		}},
		{"keepalived owns the address", func(t *testing.T) {
			c := newContest(t, with("priority 255", nil))
			o := alone(t, c, 254)
			c.k.start()
			c.only("the owner takes it", c.theirs, c.mine, 0, slack+time.Second) // its own start
			if st := c.role(o, failover.RoleBackup); st.ActivePriority != 255 {
				t.Errorf("status %+v", st)
			}
			c.k.stop()
			c.only("the owner stops", c.mine, c.theirs, 0, slack)
		}},
		{"ours owns the address", func(t *testing.T) {
			c := newContest(t, with("", func(c *failover.RouterConfig) { c.Source = netip.MustParseAddr("192.0.2.2") }))
			theirs(c)
			o := c.start(t, c.mine, 255)
			c.only("the owner takes it", c.mine, c.theirs, 0, c.skew(255)+slack) // sooner than anyone who listens
			if st := c.role(o, failover.RoleActive); st.Priority != 255 || !strings.Contains(st.Reason, "own") {
				t.Errorf("status %+v", st)
			}
			o.cancel()
			c.only("the owner stops", c.theirs, c.mine, 0, c.skew(100)+slack)
			o.stop()
		}},
		{"the neighbours follow both", func(t *testing.T) {
			c := newContest(t, with("", nil))
			client := c.w.host("cl", "192.0.2.9/24")
			c.theirs.serve()
			c.mine.serve()
			vip := c.vips[0].Addr()
			theirs(c)
			client.answeredBy(c.theirs, vip)
			at := func(what string, p *peer) {
				t.Helper()
				within(t, patience, what, func() bool { return client.neighbour(vip) == p.mac() })
				client.answeredBy(p, vip)
			}
			at("keepalived alone", c.theirs)
			o := c.start(t, c.mine, 150)
			c.only("ours preempts", c.mine, c.theirs, 0, patience)
			at("ours preempts", c.mine)
			o.stop()
			c.only("ours stops", c.theirs, c.mine, 0, patience)
			at("ours stops", c.theirs)
			c.start(t, c.mine, 50)
			c.k.stop()
			c.only("keepalived stops", c.mine, c.theirs, 0, patience)
			at("keepalived stops", c.mine)
		}},
	}
	var names []string
	for _, tt := range tests {
		names = append(names, tt.name)
	}
	sideBySide(t, names, func(t *testing.T, i int) { tests[i].run(t) })
}
