package failover_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// setter is an owner whose addresses change.
type setter struct {
	*failovertest.Recorder
	mu   sync.Mutex
	sets [][]failover.VirtualAddress
	err  error
}

func (s *setter) Set(_ context.Context, addrs []failover.VirtualAddress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, addrs)
	return s.err
}

// gaps are the longest times between two adverts of a router, and the last
// advert.
type gaps struct {
	mu            sync.Mutex
	last, longest map[netip.Addr]time.Duration
	advert        map[netip.Addr]vrrp.Advert
}

func tapGaps(g *failovertest.Segment) *gaps {
	start := time.Now()
	w := &gaps{last: make(map[netip.Addr]time.Duration), longest: make(map[netip.Addr]time.Duration), advert: make(map[netip.Addr]vrrp.Advert)}
	g.Tap(func(p failover.AdvertPacket) {
		a, _, _, err := vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
		if err != nil || a.Priority == vrrp.PriorityStop {
			return // a complaint
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		now := time.Since(start)
		w.longest[p.Source] = max(w.longest[p.Source], now-w.last[p.Source])
		w.last[p.Source] = now
		w.advert[p.Source] = a
	})
	return w
}

// A hundred changes of all that can change, of both routers in turn: the role
// stays, no advert is missed, and nobody is active besides.
func TestReconfigureKeepsTheRole(t *testing.T) {
	key := func(id uint8) vrrp.Key {
		return vrrp.Key{ID: id, Secret: []byte(strings.Repeat(string(rune('a'+id)), 32))}
	}
	for name, change := range map[string]func(i int, c *failover.RouterConfig){
		"addresses": func(i int, c *failover.RouterConfig) {
			c.Addresses = nil
			for k := range 1 + i%20 {
				c.Addresses = append(c.Addresses, netip.AddrFrom4([4]byte{198, 51, 100, byte(k)}))
			}
		},
		"interval": func(i int, c *failover.RouterConfig) { c.Interval = pace * time.Duration(1+(i*7)%10) },
		"priority": func(i int, c *failover.RouterConfig) { c.Priority += uint8(i % 40) },
		"count":    func(i int, c *failover.RouterConfig) { c.DownAdverts = 3 + i%5 },
		"preemption": func(i int, c *failover.RouterConfig) {
			c.NoPreempt, c.PreemptDelay = i%2 == 0, time.Duration(i)*time.Second
		},
		"checksum": func(i int, c *failover.RouterConfig) { c.Checksum = vrrp.Checksum(i % 2) },
		"keys": func(i int, c *failover.RouterConfig) {
			// Signed with the newest key but one, so that both know it.
			k := uint8(i/2 + 1)
			c.Keys = []vrrp.Key{key(k + 1), key(k), key(k + 2)}
		},
		"peers": func(i int, c *failover.RouterConfig) {
			unicast(c)
			c.Peers = append(c.Peers, source(10+i%5))
		},
		"nothing": func(int, *failover.RouterConfig) {},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			g, high, low := duo(t, func(c *failover.RouterConfig) { change(0, c) })
			defer g.Tap(nil)
			base := [2]failover.RouterConfig{}
			for k, s := range []*speaker{high, low} {
				base[k] = s.cfg
				base[k].Interval, base[k].Addresses, base[k].Peers, base[k].Priority = pace, vips, nil, uint8(200-50*k)
				s.Events()
				s.Effects()
			}
			w := tapGaps(g)
			for i := range 100 {
				for k, s := range []*speaker{high, low} {
					c := base[k]
					change(i, &c)
					if err := s.router.Reconfigure(t.Context(), &c); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Duration(1+i%9) * pace / 3)
			}
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
			for _, s := range []*speaker{high, low} {
				for _, e := range s.Events() {
					if e.Kind != failover.EventMismatch && e.Kind != failover.EventMismatchGone {
						t.Errorf("event %v", e)
					}
				}
				if got := s.Effects(); slices.Contains(got, "acquire") || slices.Contains(got, "release") {
					t.Errorf("effects %v", got)
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if n := len(w.longest); n != 1 || w.longest[source(1)] > 10*pace {
				t.Errorf("adverts of %d routers, longest gaps %v", n, w.longest)
			}
			if name != "interval" && w.longest[source(1)] > pace {
				t.Errorf("a gap of %v", w.longest[source(1)])
			}
		}))
	}
}

// A change is on the wire at once, and the rest of it holds.
func TestReconfigureTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, high, low := duo(t)
		w := tapGaps(g)
		defer g.Tap(nil)
		c := high.cfg
		c.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.101"), vips[0]}
		c.Interval, c.Priority = 10*pace, 210
		if err := high.router.Reconfigure(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.mu.Lock()
		got := w.advert[source(1)]
		w.mu.Unlock()
		want := vrrp.Advert{Version: 3, VRID: 51, Priority: 210, Interval: 10 * pace, Addrs: c.Addresses}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("advert (-want +got):\n%s", diff)
		}
		if st := low.is(failover.RoleBackup); st.Down != 30*pace+106*10*pace/256 {
			t.Errorf("down after %v", st.Down)
		}
		// What a tracker gave stays, unless the configured priority changes.
		high.router.SetPriority(160)
		if err := high.router.Reconfigure(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		if st := high.is(failover.RoleActive); st.Priority != 160 {
			t.Errorf("priority %d", st.Priority)
		}
		// A backup that takes less long takes over sooner.
		d := low.cfg
		d.DownAdverts = 1
		if err := low.router.Reconfigure(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		if st := low.is(failover.RoleBackup); st.Down != 10*pace+106*10*pace/256 {
			t.Errorf("down after %v", st.Down)
		}
	})
}

func TestReconfigureRefusesAnotherRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, high, _ := duo(t)
		before := high.router.Status()
		c := failover.RouterConfig{
			VRID: 52, Device: "eth1", Version: 2, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Priority: vrrp.PriorityOwner,
			Interval: time.Second, Source: source(9), VirtualMAC: true, NoAccept: true, Peers: []netip.Addr{source(2)},
		}
		err := high.router.Reconfigure(t.Context(), &c)
		for _, want := range []string{
			"VRID 52 instead of 51", "device eth1 instead of eth0", "version 2 instead of 3", "source 192.0.2.9", "virtual MAC true instead of false", "refusal to accept true instead of false", "that of an owner", "path unicast instead of multicast",
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		six := failover.RouterConfig{VRID: 51, Device: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("fe80::100")}}
		if err := high.router.Reconfigure(t.Context(), &six); err == nil || !strings.Contains(err.Error(), "family IPv6 instead of IPv4") {
			t.Errorf("another family: %v", err)
		}
		if err := high.router.Reconfigure(t.Context(), nil); err == nil {
			t.Error("nil is taken")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := high.router.Reconfigure(ended, &high.cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
		after := high.router.Status()
		if after.Interval != before.Interval || after.VRID != 51 || after.Priority != before.Priority {
			t.Errorf("status %+v", after)
		}
	})
}

func TestSetAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		s := newSpeaker(t, g, 1)
		own := &setter{Recorder: s.Recorder}
		s.cfg.Owner = own
		s.start()
		time.Sleep(2 * listened)
		s.is(failover.RoleActive)
		w := tapGaps(g)
		defer g.Tap(nil)
		virtual := func(addrs ...netip.Addr) (list []failover.VirtualAddress) {
			for _, a := range addrs {
				list = append(list, failover.VirtualAddress{Prefix: netip.PrefixFrom(a, 32), Device: "eth0"})
			}
			return list
		}
		more := []netip.Addr{netip.MustParseAddr("192.0.2.101"), vips[0]}
		time.Sleep(time.Minute)
		s.Effects()
		if err := s.router.SetAddresses(t.Context(), more, virtual(more...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"announce"}, s.Effects()); diff != "" {
			t.Errorf("effects of a new address (-want +got):\n%s", diff)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.router.SetAddresses(over, vips, virtual(vips...)); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that is over: %v", err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait() // the advert of this moment is out
		if got := w.advert[source(1)].Addrs; !slices.Equal(got, more) {
			t.Errorf("what came too late was advertised: %v, want %v", got, more)
		}
		s.Effects()
		slices.Reverse(more)
		if err := s.router.SetAddresses(t.Context(), more, virtual(more...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string(nil), s.Effects()); diff != "" {
			t.Errorf("effects of another order (-want +got):\n%s", diff)
		}
		if got := w.advert[source(1)].Addrs; !slices.Equal(got, more) {
			t.Errorf("adverts tell %v, want %v", got, more)
		}
		if len(own.sets) != 2 || len(own.sets[1]) != 2 {
			t.Errorf("the owner was told %v", own.sets)
		}
		own.err = errors.New("no such device")
		if err := s.router.SetAddresses(t.Context(), vips, virtual(vips...)); !errors.Is(err, own.err) {
			t.Errorf("the owner fails: %v", err)
		}
		if err := s.router.SetAddresses(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "no virtual address") {
			t.Errorf("no address: %v", err)
		}
	})
	r, err := failover.NewRouter(&failover.RouterConfig{VRID: 1, Device: "eth0", Addresses: vips})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetAddresses(t.Context(), vips, []failover.VirtualAddress{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an owner of nothing: %v", err)
	}
	if err := r.SetAddresses(t.Context(), vips, nil); err != nil {
		t.Errorf("adverts alone: %v", err)
	}
}

// Members of a group are changed one by one, and the group stays.
func TestReconfigureOfAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, high, low := pairOfTeams(t, nil)
		for _, s := range high.members {
			c := s.cfg
			c.Interval, c.Priority = 2*pace, 210
			if err := s.router.Reconfigure(t.Context(), &c); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		high.is(failover.RoleActive)
		low.is(failover.RoleBackup)
		high.members[0].place.Fail(errors.New("no carrier"))
		time.Sleep(time.Second)
		low.is(failover.RoleActive)
		high.is(failover.RoleFault)
	})
}
