package failover_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// advertFrom is an advert by multicast, as somebody on the link can send it.
func advertFrom(t *testing.T, from int, priority uint8) failover.AdvertPacket {
	t.Helper()
	p := failover.AdvertPacket{Source: source(from), Destination: vrrp.Group(false), TTL: vrrp.TTL}
	var err error
	p.Payload, err = vrrp.Append(nil, &vrrp.Advert{Version: 3, VRID: 51, Priority: priority, Interval: pace, Addrs: vips},
		vrrp.Path{Source: p.Source, Destination: p.Destination}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Without preemption, or while it is delayed, a better router that comes back
// leaves the service where it is, whatever kept it away; and what nobody serves
// is taken without delay all the same.
func TestNoPreemptionHoldsWhateverComesBack(t *testing.T) {
	const delay = 20 * time.Second
	kinds := []struct {
		name   string
		change func(*failover.RouterConfig)
	}{
		{"no preemption", func(c *failover.RouterConfig) { c.NoPreempt = true }},
		{"a delay", func(c *failover.RouterConfig) { c.PreemptDelay = delay }},
	}
	returns := []struct {
		name       string
		away, back func(*speaker)
	}{
		{"start", (*speaker).stop, (*speaker).start},
		{
			"link-up", func(s *speaker) { s.place.Fail(errors.New("no carrier")) },
			func(s *speaker) { s.place.Fail(nil) },
		},
		{
			"a new socket", func(s *speaker) {
				s.place.FailListen(errors.New("no such device"))
				s.place.Fail(fmt.Errorf("eth0: %w", fs.ErrNotExist))
			},
			func(s *speaker) { s.place.FailListen(nil); s.place.Fail(nil) },
		},
		{
			"the end of a fault", func(s *speaker) { s.router.SetFault("the disk is full") },
			func(s *speaker) { s.router.SetFault("") },
		},
		{
			"a raised priority", func(s *speaker) { s.router.SetPriority(1) },
			func(s *speaker) { s.router.SetPriority(200) },
		},
	}
	for _, kind := range kinds {
		for _, r := range returns {
			t.Run(kind.name+" after "+r.name, inBubble(func(t *testing.T) {
				_, high, low := duo(t, kind.change)
				r.away(high)
				if r.name == "a raised priority" {
					// It goes on serving, as nobody preempts it; low has to be active.
					if err := high.router.Yield(); err != nil {
						t.Fatal(err)
					}
					high.router.Reclaim()
				}
				time.Sleep(10 * time.Second)
				low.is(failover.RoleActive)
				r.back(high)
				time.Sleep(delay - 2*time.Second)
				high.is(failover.RoleBackup)
				low.is(failover.RoleActive)
				time.Sleep(10 * time.Second)
				if kind.name == "no preemption" {
					time.Sleep(10 * time.Minute)
					high.is(failover.RoleBackup)
					low.stop()
					time.Sleep(time.Second)
				}
				high.is(failover.RoleActive)
			}))
			t.Run(kind.name+" after "+r.name+", nobody serving", inBubble(func(t *testing.T) {
				if r.name == "a raised priority" {
					return
				}
				g := new(failovertest.Segment)
				s := newSpeaker(t, g, 1, kind.change)
				s.start()
				time.Sleep(listened)
				s.is(failover.RoleActive)
				r.away(s)
				time.Sleep(10 * time.Second)
				r.back(s)
				time.Sleep(listened + lastOpen)
				s.is(failover.RoleActive)
			}))
		}
	}
}

// lastOpen is the longest pause before a socket is opened again.
const lastOpen = 5 * time.Second

// A router that comes up listens as long as an active one may be silent, and
// hears it before it decides.
func TestRouterListensFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, high, low := duo(t)
		for _, s := range []*speaker{low, high} {
			s.place.Fail(errors.New("no carrier"))
		}
		time.Sleep(time.Second)
		low.place.Fail(nil)
		time.Sleep(3 * pace)
		low.is(failover.RoleInit)
		low.says("fault mended, listening for the active router")
		time.Sleep(2 * pace)
		low.is(failover.RoleActive)
	})
}

func TestTwoOwnersComeToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		owner := func(c *failover.RouterConfig) { c.Priority = vrrp.PriorityOwner }
		one, two := newSpeaker(t, g, 1, owner), newSpeaker(t, g, 2, owner)
		one.start()
		two.start()
		time.Sleep(time.Second)
		one.is(failover.RoleBackup)
		two.is(failover.RoleActive)
		for _, s := range []*speaker{one, two} {
			if n := s.Count(failover.EventMismatch); n != 1 {
				t.Errorf("told %d times: %v", n, s.Events())
			}
			s.Events()
		}
		time.Sleep(10 * time.Minute)
		one.says("another router is active: 192.0.2.2 with priority 255")
		if n := one.Count(failover.EventRole) + two.Count(failover.EventRole); n != 0 {
			t.Errorf("%v, %v", one.Events(), two.Events())
		}
		two.stop()
		time.Sleep(time.Second)
		one.is(failover.RoleActive)
	})
}

// The stop of one that is not active is no news while the active one is heard,
// and one to an active router is answered at once.
func TestStopOfAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, high, low := duo(t)
		low.Events()
		p := advertFrom(t, 9, vrrp.PriorityStop)
		var answers []time.Time
		g.Tap(func(p failover.AdvertPacket) { answers = append(answers, p.At) })
		for range 1000 {
			time.Sleep(pace / 3)
			g.Inject(p)
			synctest.Wait()
			if at := time.Now(); answers[len(answers)-1] != at {
				t.Fatalf("the active router did not answer at %v", at)
			}
		}
		g.Tap(nil)
		high.is(failover.RoleActive)
		low.is(failover.RoleBackup)
		if n := low.Count(failover.EventRole); n != 0 {
			t.Errorf("events %v", low.Events())
		}
	})
}

// Packets that come again, ours and those of others, change nothing.
func TestLoopedPacketsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, high, low := duo(t)
		high.Events()
		low.Events()
		var packets []failover.AdvertPacket
		g.Tap(func(p failover.AdvertPacket) { packets = append(packets, p) })
		for range 100 {
			time.Sleep(pace)
			synctest.Wait()
			again := slices.Clone(packets)
			packets = nil
			for _, p := range again {
				g.Inject(p)
			}
		}
		g.Tap(nil)
		high.is(failover.RoleActive)
		low.is(failover.RoleBackup)
		for _, s := range []*speaker{high, low} {
			if n := s.Count(failover.EventRole) + s.Count(failover.EventRivalSeen); n != 0 {
				t.Errorf("events %v", s.Events())
			}
		}
		if st := high.router.Status(); st.Drops[vrrp.DropOwn.String()] < 90 || high.Count(failover.EventRefused) != 1 {
			t.Errorf("drops %v, events %v", st.Drops, high.Events())
		}
	})
}

// Whatever comes in between, a refusal is told once a minute.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, low := duo(t)
		low.Events()
		bad := advertFrom(t, 9, 250)
		bad.TTL = 0 // as where it could not be had
		worse := advertFrom(t, 9, 250)
		worse.Payload[6] ^= 1
		for range 6000 {
			time.Sleep(pace) // the active router's adverts are accepted
			g.Inject(bad)
			g.Inject(worse)
		}
		st := low.is(failover.RoleBackup)
		if st.Drops["bad-ttl"] != 6000 || st.Drops["bad-checksum"] != 6000 {
			t.Errorf("drops %v", st.Drops)
		}
		told := low.Events()
		if n := len(told); n < 18 || n > 22 {
			t.Errorf("%d events in ten minutes", n)
		}
		for _, e := range told {
			if e.Kind != failover.EventRefused || !strings.HasPrefix(e.Reason, "bad-") {
				t.Errorf("event %v", e)
			}
		}
	})
}
