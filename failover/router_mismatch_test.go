package failover_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// However two routers differ, one serves and both say in what, with the cure;
// and both say when it is mended.
func TestMismatchIsToldOnBothNodes(t *testing.T) {
	const slow = time.Second
	tests := []struct {
		name            string
		change          func(c *failover.RouterConfig) // of one of the two
		serving, backup string                         // what they say
		live            bool                           // it can be mended while they run
	}{
		{
			"interval", func(c *failover.RouterConfig) { c.Interval = 2 * slow },
			"it sends every 2s and we every 1s", "it sends every 1s and we every 2s", true,
		},
		{
			"interval of version 2", func(c *failover.RouterConfig) { c.Version, c.Interval = 2, 2*slow },
			"it sends every 2s and we every 1s", "it sends every 1s and we every 2s", true,
		},
		{
			"addresses", func(c *failover.RouterConfig) { c.Addresses = append(c.Addresses[:1:1], source(99)) },
			"it serves other addresses (only it [192.0.2.99], only we []): give both the same",
			"it serves other addresses (only it [], only we [192.0.2.99]): give both the same", true,
		},
		{
			"version", func(c *failover.RouterConfig) { c.Version = 5 - max(c.Version, 3) },
			"it speaks version 2 and we speak 3: set the same version on both", "it speaks version 3 and we speak 2: set the same version on both", false,
		},
	}
	for _, tt := range tests {
		for which := range 2 {
			t.Run(tt.name+[]string{" of the backup", " of the serving"}[which], inBubble(func(t *testing.T) {
				g := new(failovertest.Segment)
				base := func(c *failover.RouterConfig) {
					c.Interval = slow
					if tt.name == "interval of version 2" {
						c.Version = 2
					}
				}
				high, low := newSpeaker(t, g, 1, base), newSpeaker(t, g, 2, base)
				odd := []*speaker{low, high}[which]
				right := odd.cfg
				tt.change(&odd.cfg)
				// Also where both were active and hear each other.
				g.Partition(high.place, low.place, true)
				high.start()
				low.start()
				time.Sleep(20 * slow)
				high.is(failover.RoleActive)
				low.is(failover.RoleActive)
				g.Partition(high.place, low.place, false)
				time.Sleep(5 * slow)
				high.Events()
				low.Events()
				time.Sleep(10 * time.Minute)
				high.is(failover.RoleActive)
				low.is(failover.RoleBackup)
				for _, s := range []*speaker{high, low} {
					if n := s.Count(failover.EventRole) + s.Count(failover.EventRivalSeen); n != 0 {
						t.Errorf("events %v", s.Events())
					}
					want := tt.serving
					if (s == low) == (which == 0) {
						want = tt.backup
					}
					st := s.router.Status()
					if len(st.Peers) != 1 || !strings.Contains(strings.Join(st.Peers[0].Mismatch, "; "), want) {
						t.Errorf("%v says %q of %+v, want %q", s.cfg.Priority, st.Reason, st.Peers, want)
					}
					if st.Drops != nil {
						t.Errorf("drops %v", st.Drops)
					}
				}
				if !tt.live {
					return
				}
				if err := odd.router.Reconfigure(t.Context(), &right); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * slow)
				for _, s := range []*speaker{high, low} {
					if n := s.Count(failover.EventMismatchGone); n != 1 {
						t.Errorf("the end is told %d times", n)
					}
					if st := s.router.Status(); len(st.Peers[0].Mismatch) != 0 {
						t.Errorf("mismatch %v", st.Peers[0].Mismatch)
					}
				}
			}))
		}
	}
}

// A serving router hears of a mismatch from a backup that was never active,
// once a minute, and forgets what nobody tells any more.
func TestMismatchOfABackupThatNeverServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		high, low, third := newSpeaker(t, g, 1), newSpeaker(t, g, 2), newSpeaker(t, g, 3)
		low.cfg.Addresses = []netip.Addr{vips[0], source(99)}
		high.start()
		time.Sleep(time.Second)
		low.start()
		third.start()
		time.Sleep(time.Second)
		complaints := 0
		g.Tap(func(p failover.AdvertPacket) {
			if p.Source == source(2) {
				complaints++
			}
		})
		time.Sleep(10 * time.Minute)
		g.Tap(nil)
		if complaints < 9 || complaints > 11 {
			t.Errorf("%d complaints in 10 minutes", complaints)
		}
		for _, s := range []*speaker{low, third} {
			s.is(failover.RoleBackup)
		}
		high.is(failover.RoleActive)
		if n := high.Count(failover.EventMismatch); n != 1 {
			t.Errorf("told %d times: %v", n, high.Events())
		}
		if n := third.Count(failover.EventRole); n != 1 {
			t.Errorf("the third: %v", third.Events())
		}
		low.stop()
		low.cfg.Addresses = vips
		low.start()
		time.Sleep(3 * time.Minute)
		if n := high.Count(failover.EventMismatchGone); n != 1 {
			t.Errorf("its end is told %d times: %v", n, high.Events())
		}
		high.is(failover.RoleActive)
	})
}

// Where other backups wait for next to nothing after an advert of priority 0, a
// mismatch is told on the backup alone.
func TestMismatchIsNotToldWhereOthersAreQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		quick := func(c *failover.RouterConfig) { c.Interval = 10 * time.Millisecond }
		high, low := newSpeaker(t, g, 1, quick), newSpeaker(t, g, 2, quick)
		high.cfg.Priority = 254
		low.cfg.Addresses = []netip.Addr{vips[0], source(99)}
		high.start()
		time.Sleep(time.Second)
		low.start()
		time.Sleep(5 * time.Minute)
		high.is(failover.RoleActive)
		low.is(failover.RoleBackup)
		if a, b := high.Count(failover.EventMismatch), low.Count(failover.EventMismatch); a != 0 || b != 1 {
			t.Errorf("told %d and %d times", a, b)
		}
	})
}

// What cannot be authenticated cannot be believed: both serve, and both say so
// with the cure.
func TestOtherKeysAreTheExceptionAndTold(t *testing.T) {
	key := func(s string) []vrrp.Key { return []vrrp.Key{{ID: 1, Secret: []byte(strings.Repeat(s, 32))}} }
	for _, tt := range []struct {
		name      string
		high, low func(*failover.RouterConfig)
		says      [2]string
	}{
		{
			"keys", func(c *failover.RouterConfig) { c.Keys = key("a") }, func(c *failover.RouterConfig) { c.Keys = key("b") },
			[2]string{"bad-signature): give all routers the same keys", "bad-signature): give all routers the same keys"},
		},
		{
			"a key on one side", func(c *failover.RouterConfig) { c.Keys = key("a") }, func(*failover.RouterConfig) {},
			[2]string{"unsigned): give all routers the same keys", "unwanted-signature): it signs and we have no key"},
		},
		{
			"passwords", func(c *failover.RouterConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "one" },
			func(c *failover.RouterConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "two" },
			[2]string{"bad-password): give all routers the same password", "bad-password): give all routers the same password"},
		},
		{
			"paths", unicast, func(*failover.RouterConfig) {},
			[2]string{"unwanted-multicast): it sends by multicast and we by unicast", "unwanted-unicast): it sends by unicast and we by multicast"},
		},
	} {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			g := new(failovertest.Segment)
			high, low := newSpeaker(t, g, 1, tt.high), newSpeaker(t, g, 2, tt.low)
			high.start()
			low.start()
			time.Sleep(time.Minute)
			for i, s := range []*speaker{high, low} {
				s.is(failover.RoleActive)
				s.says("packets from 192.0.2." + []string{"2", "1"}[i] + " are refused (" + tt.says[i])
				if s.Count(failover.EventRefused) == 0 {
					t.Errorf("events %v", s.Events())
				}
			}
		}))
	}
}

// Whoever says this and that in turn, by one name or by many, makes a router
// neither talk nor fill its log.
func TestMismatchesDoNotFlood(t *testing.T) {
	for _, tt := range []struct {
		name     string
		priority uint8 // of the stranger
		which    int   // of the two is looked at
	}{{"a backup", 250, 1}, {"the active router", 10, 0}} {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			g, high, low := duo(t)
			s := []*speaker{high, low}[tt.which]
			stops := 0
			g.Tap(func(p failover.AdvertPacket) {
				if len(p.Payload) > 2 && p.Payload[2] == vrrp.PriorityStop {
					stops++
				}
			})
			s.Events()
			for i := range 6000 {
				from := source(10 + i/2%100)
				if i < 3000 {
					from = source(9)
				}
				a := vrrp.Advert{Version: 3, VRID: 51, Priority: tt.priority, Interval: pace * time.Duration(1+i%2), Addrs: vips}
				b, err := vrrp.Append(nil, &a, vrrp.Path{Source: from, Destination: vrrp.Group(false)}, 0)
				if err != nil {
					t.Fatal(err)
				}
				g.Inject(failover.AdvertPacket{Source: from, Destination: vrrp.Group(false), TTL: vrrp.TTL, Payload: b})
				time.Sleep(pace / 10)
			}
			g.Tap(nil)
			synctest.Wait()
			if n := s.Count(failover.EventMismatch) + s.Count(failover.EventMismatchGone); n == 0 || n > 2*2*16 {
				t.Errorf("%d events in a minute", n)
			}
			if stops > 4*2 {
				t.Errorf("%d adverts of priority 0 in a minute", stops)
			}
			if n := s.router.Status().EventsLost; n != 0 {
				t.Errorf("%d events lost", n)
			}
		}))
	}
}
