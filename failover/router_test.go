package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// speaker is a router of a test with what is around it.
type speaker struct {
	*failovertest.Recorder
	t      *testing.T
	place  *failovertest.Station
	cfg    failover.RouterConfig
	router *failover.Router
	cancel context.CancelFunc
	ended  chan error
}

var vips = []netip.Addr{netip.MustParseAddr("192.0.2.100")}

const (
	pace = 100 * time.Millisecond
	// listened is longer than a start of a router with any priority.
	listened = 4 * pace
	// handing is how long a router that gives way still serves.
	handing = 251 * time.Millisecond
)

func source(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)) }

// newSpeaker returns a router that was not started: the i-th of the link, its
// priority the higher the smaller i is.
func newSpeaker(t *testing.T, g *failovertest.Segment, i int, change ...func(*failover.RouterConfig)) *speaker {
	t.Helper()
	s := &speaker{Recorder: new(failovertest.Recorder), t: t, place: g.Station(source(i))}
	s.cfg = failover.RouterConfig{
		VRID: 51, Device: "eth0", Addresses: vips, Interval: pace, Priority: uint8(200 - 50*(i-1)),
		Owner: s.Recorder, OnRole: s.OnRole, OnEvent: s.OnEvent, Transport: s.place,
	}
	for _, c := range change {
		c(&s.cfg)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *speaker) start() {
	s.t.Helper()
	s.make()
	s.run()
}

// make makes the router, and run runs it.
func (s *speaker) make() {
	s.t.Helper()
	r, err := failover.NewRouter(&s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.router = r
}

func (s *speaker) run() {
	r := s.router
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func(ended chan<- error) { ended <- r.Run(ctx) }(s.ended)
}

func (s *speaker) stop() {
	s.t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	if err := <-s.ended; err != nil {
		s.t.Errorf("Run: %v", err)
	}
}

// is fails the test unless the router has the role, and the addresses with it.
func (s *speaker) is(want failover.Role) failover.RouterStatus {
	s.t.Helper()
	synctest.Wait()
	st := s.router.Status()
	if st.Role != want {
		s.t.Fatalf("%v is %v (%s), want %v", s.cfg.Priority, st.Role, st.Reason, want)
	}
	if st.Serving != (want == failover.RoleActive) || s.Held() != st.Serving {
		s.t.Fatalf("%v is %v, serving %v, holds addresses %v", s.cfg.Priority, st.Role, st.Serving, s.Held())
	}
	return st
}

func (s *speaker) says(want string) {
	s.t.Helper()
	if got := s.router.Status().Reason; !strings.Contains(got, want) {
		s.t.Errorf("reason %q does not say %q", got, want)
	}
}

// duo starts two routers and waits until they have decided.
func duo(t *testing.T, change ...func(*failover.RouterConfig)) (*failovertest.Segment, *speaker, *speaker) {
	t.Helper()
	g := new(failovertest.Segment)
	high, low := newSpeaker(t, g, 1, change...), newSpeaker(t, g, 2, change...)
	high.start()
	low.start()
	time.Sleep(2 * listened)
	high.is(failover.RoleActive)
	low.is(failover.RoleBackup)
	return g, high, low
}

func unicast(c *failover.RouterConfig) {
	for i := 1; i <= 2; i++ {
		if uint8(200-50*(i-1)) != c.Priority {
			c.Peers = append(c.Peers, source(i))
		}
	}
}

func TestRouter(t *testing.T) {
	signed := func(c *failover.RouterConfig) {
		c.Keys = []vrrp.Key{{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}}
	}
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"the higher priority serves, the other one names it", func(t *testing.T) {
			_, high, low := duo(t)
			low.says("another router is active: 192.0.2.1 with priority 200")
			high.says("no active router was heard")
			if diff := cmp.Diff([]string{"hook active", "acquire", "announce"}, high.Effects()[:3]); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			st := low.router.Status()
			if st.Active != source(1) || st.ActivePriority != 200 || len(st.Peers) != 1 || len(st.Peers[0].Mismatch) != 0 || st.Drops != nil {
				t.Errorf("status %+v", st)
			}
		}},
		{"a stop is told and taken over at once, and the addresses go after it", func(t *testing.T) {
			g, high, low := duo(t)
			var last vrrp.Advert
			held := false
			g.Tap(func(p failover.AdvertPacket) {
				if p.Source == source(1) {
					last, _, _, _ = vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
					held = high.Held()
				}
			})
			high.Effects()
			high.stop()
			if last.Priority != vrrp.PriorityStop || !held {
				t.Errorf("the last word is %+v, with the addresses there %v", last, held)
			}
			if diff := cmp.Diff([]string{"release", "hook leaving"}, high.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			time.Sleep(pace) // the skew is less than an interval
			low.is(failover.RoleActive)
			low.says("the active router stops")
		}},
		{"a silence is found after three intervals and the skew, and the end of it too", func(t *testing.T) {
			g, high, low := duo(t)
			g.Partition(high.place, low.place, true)
			// The last advert came up to an interval ago.
			time.Sleep(3*pace + 106*pace/256 - pace - time.Millisecond)
			low.is(failover.RoleBackup)
			time.Sleep(pace + 2*time.Millisecond)
			low.is(failover.RoleActive)
			high.is(failover.RoleActive)
			g.Partition(high.place, low.place, false)
			time.Sleep(pace + handing)
			low.is(failover.RoleBackup)
			high.is(failover.RoleActive)
			told := low.Events()
			if last := told[len(told)-1].String(); last != "role active -> backup peer 192.0.2.1: another active router has precedence: 192.0.2.1 with priority 200" {
				t.Errorf("the last event is %q", last)
			}
			if high.Count(failover.EventRivalSeen) != 1 {
				t.Errorf("rival told %d times", high.Count(failover.EventRivalSeen))
			}
		}},
		{"one that hears nobody is not taken for the only one", func(t *testing.T) {
			g, high, low := duo(t)
			g.Cut(high.place, low.place, true) // low hears nothing, and is heard
			time.Sleep(10 * pace)
			low.is(failover.RoleActive)
			high.is(failover.RoleActive)
			high.says("192.0.2.2 is active too, with priority 150")
			if !high.router.Status().Rival {
				t.Error("no rival")
			}
		}},
		{"preemption, and none", func(t *testing.T) {
			for _, no := range []bool{false, true} {
				_, high, low := duo(t, func(c *failover.RouterConfig) { c.NoPreempt = no })
				high.stop()
				time.Sleep(pace)
				low.is(failover.RoleActive)
				high.start()
				time.Sleep(3 * listened)
				want := map[bool][2]failover.Role{false: {failover.RoleActive, failover.RoleBackup}, true: {failover.RoleBackup, failover.RoleActive}}[no]
				high.is(want[0])
				low.is(want[1])
				// Who gives way speaks once more, and is no rival for it.
				if n := high.Count(failover.EventRivalSeen); n != 0 {
					t.Errorf("rival told %d times", n)
				}
				high.stop()
				low.stop()
			}
		}},
		{"a router that starts anew touches nothing before it has heard", func(t *testing.T) {
			_, _, low := duo(t)
			low.stop()
			low.Effects()
			low.start()
			low.is(failover.RoleInit)
			low.says("just started, listening")
			if got := low.Effects(); len(got) != 0 {
				t.Errorf("effects %v", got)
			}
			time.Sleep(pace + time.Millisecond)
			low.is(failover.RoleBackup)
			if diff := cmp.Diff([]string{"release", "hook backup"}, low.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		}},
		{"a fault hands over with its reason and listens when it ends", func(t *testing.T) {
			_, high, low := duo(t)
			high.router.SetFault("the disk is full")
			time.Sleep(pace)
			high.is(failover.RoleFault)
			high.says("fault: the disk is full")
			low.is(failover.RoleActive)
			high.router.SetFault("")
			high.is(failover.RoleInit)
			time.Sleep(listened + handing)
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
		}},
		{"who hands over serves until the other one does", func(t *testing.T) {
			for _, tt := range []struct {
				name string
				do   func(high *speaker)
			}{
				{"yield", func(high *speaker) { _ = high.router.Yield() }},
				{"stop", func(high *speaker) { high.cancel() }},
			} {
				g, high, low := duo(t)
				var first time.Time // of low as the active router
				g.Tap(func(p failover.AdvertPacket) {
					if p.Source == source(2) && first.IsZero() {
						first = time.Now()
					}
				})
				tt.do(high)
				for high.Held() {
					time.Sleep(time.Millisecond)
				}
				if first.IsZero() || !low.Held() {
					t.Fatalf("%s: let go while nobody served", tt.name)
				}
				if took := time.Since(first); took < handing-2*time.Millisecond || took > handing {
					t.Errorf("%s: let go %v after the other one spoke", tt.name, took)
				}
				high.stop()
				low.stop()
			}
		}},
		{"a yield that nobody follows loses nothing", func(t *testing.T) {
			_, high, low := duo(t)
			low.stop()
			high.Effects()
			if err := high.router.Yield(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pace)
			if st := high.router.Status(); st.Role != failover.RoleBackup || !st.Serving || !high.Held() {
				t.Errorf("status %+v", st)
			}
			time.Sleep(listened)
			high.is(failover.RoleActive)
			if got := count(high.Effects(), "release"); got != 0 {
				t.Errorf("released %d times", got)
			}
		}},
		{"a stop that nobody follows ends soon", func(t *testing.T) {
			_, high, low := duo(t)
			low.stop()
			begin := time.Now()
			high.stop()
			if took := time.Since(begin); took < pace || took > pace+handing {
				t.Errorf("stopped after %v", took)
			}
		}},
		{"a yield holds until it is taken back", func(t *testing.T) {
			_, high, low := duo(t)
			if err := low.router.Yield(); !errors.Is(err, failover.ErrNotActive) {
				t.Errorf("yield of a backup: %v", err)
			}
			if err := high.router.Yield(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			high.is(failover.RoleBackup)
			low.is(failover.RoleActive)
			high.says("handed over by order, and does not take over")
			if !high.router.Yielded() || low.router.Yielded() {
				t.Errorf("who yielded: %v, %v", high.router.Yielded(), low.router.Yielded())
			}
			high.router.Reclaim()
			time.Sleep(listened)
			high.is(failover.RoleActive)
		}},
		{"a lowered priority moves the service", func(t *testing.T) {
			_, high, low := duo(t)
			high.router.SetPriority(100)
			time.Sleep(2 * listened)
			high.is(failover.RoleBackup)
			low.is(failover.RoleActive)
			low.says("the active router has a lower priority")
			high.router.SetPriority(200)
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
		}},
		{"an owner serves at once", func(t *testing.T) {
			g := new(failovertest.Segment)
			s := newSpeaker(t, g, 1, func(c *failover.RouterConfig) { c.Priority = vrrp.PriorityOwner })
			s.start()
			s.is(failover.RoleActive)
			s.says("this router owns the addresses")
		}},
		{"a device without carrier is a fault, and nothing is taken over by it", func(t *testing.T) {
			_, high, low := duo(t)
			high.place.Fail(errors.New("no carrier"))
			low.place.Fail(errors.New("no carrier"))
			time.Sleep(time.Minute)
			high.is(failover.RoleFault)
			low.is(failover.RoleFault)
			low.says("fault: no carrier")
			low.place.Fail(nil)
			high.place.Fail(nil)
			time.Sleep(2 * listened)
			high.is(failover.RoleActive)
			low.is(failover.RoleBackup)
		}},
		{"a socket that breaks is opened again, with another address", func(t *testing.T) {
			_, high, low := duo(t)
			high.place.FailListen(errors.New("no such device"))
			high.place.Fail(fmt.Errorf("eth0: %w", fs.ErrNotExist))
			time.Sleep(10 * pace)
			if st := high.is(failover.RoleFault); st.Open || st.Error != "no such device" {
				t.Errorf("status %+v", st)
			}
			low.is(failover.RoleActive)
			high.place.Move(source(9))
			high.place.FailListen(nil)
			high.place.Fail(nil)
			time.Sleep(time.Minute)
			if st := high.is(failover.RoleActive); st.Source != source(9) {
				t.Errorf("source %v", st.Source)
			}
			if st := low.is(failover.RoleBackup); st.Active != source(9) {
				t.Errorf("active %v", st.Active)
			}
		}},
		{"no permission ends the run", func(t *testing.T) {
			s := newSpeaker(t, new(failovertest.Segment), 1)
			s.place.FailListen(fs.ErrPermission)
			r, err := failover.NewRouter(&s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Run(t.Context()); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("Run: %v", err)
			}
		}},
		{"packets that lie unread are read before silence is found", func(t *testing.T) {
			_, high, low := duo(t)
			low.place.Deafen(true)
			time.Sleep(time.Minute)
			low.is(failover.RoleBackup)
			high.is(failover.RoleActive)
			if n := low.Count(failover.EventRole); n > 2 {
				t.Errorf("%d changes of the role", n)
			}
		}},
		{"of three the second takes over, and the third leaves it to it", func(t *testing.T) {
			g, high, low := duo(t)
			third := newSpeaker(t, g, 3)
			third.start()
			time.Sleep(listened)
			third.is(failover.RoleBackup)
			third.Events()
			high.stop()
			time.Sleep(10 * pace)
			low.is(failover.RoleActive)
			third.is(failover.RoleBackup)
			if n := third.Count(failover.EventRole); n != 0 {
				t.Errorf("the third changed its role: %v", third.Events())
			}
		}},
		{"of two with one priority the greater address stays, and both are told", func(t *testing.T) {
			g := new(failovertest.Segment)
			same := func(c *failover.RouterConfig) { c.Priority = 100 }
			one, two := newSpeaker(t, g, 1, same), newSpeaker(t, g, 2, same)
			g.Partition(one.place, two.place, true)
			one.start()
			two.start()
			time.Sleep(10 * pace)
			one.is(failover.RoleActive)
			two.is(failover.RoleActive)
			g.Partition(one.place, two.place, false)
			time.Sleep(2*pace + handing)
			one.is(failover.RoleBackup)
			two.is(failover.RoleActive)
			if a, b := one.Count(failover.EventMismatch), two.Count(failover.EventMismatch); a != 1 || b != 1 {
				t.Errorf("told %d and %d times", a, b)
			}
		}},
		{"its own stall is no silence of others, and is told", func(t *testing.T) {
			for _, lost := range []bool{false, true} {
				g, high, low := duo(t)
				low.place.Deafen(true)
				low.Events()
				low.place.Stall(10 * pace)
				low.router.SetPriority(151) // its timer is due earlier, so the loop turns at once
				g.Cut(high.place, low.place, lost)
				time.Sleep(10*pace + pace/10) // it wakes before the next advert
				g.Cut(high.place, low.place, false)
				time.Sleep(20 * pace)
				if st := low.is(failover.RoleBackup); st.Stalls != 1 {
					t.Errorf("lost %v: %d stalls", lost, st.Stalls)
				}
				if got := low.Events(); len(got) != 1 || got[0].Kind != failover.EventStalled || !strings.Contains(got[0].Reason, "stood still for") {
					t.Errorf("lost %v: events %v", lost, got)
				}
				low.place.Deafen(false)
				high.stop()
				low.stop()
			}
		}},
		{"unicast, version 2 with a password, signed", func(t *testing.T) {
			for name, change := range map[string]func(*failover.RouterConfig){
				"unicast":  unicast,
				"version2": func(c *failover.RouterConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "s3cret" },
				"signed":   signed,
				"all":      func(c *failover.RouterConfig) { unicast(c); signed(c); c.Version, c.Interval = 2, time.Second },
			} {
				g := new(failovertest.Segment)
				high, low := newSpeaker(t, g, 1, change), newSpeaker(t, g, 2, change)
				high.start()
				low.start()
				time.Sleep(10 * time.Second)
				high.is(failover.RoleActive)
				if st := low.is(failover.RoleBackup); st.Drops != nil {
					t.Errorf("%s: %v", name, st.Drops)
				}
				high.stop()
				time.Sleep(time.Second)
				low.is(failover.RoleActive)
				low.stop()
			}
		}},
		{"another configuration is an alarm and no reason for two", func(t *testing.T) {
			g := new(failovertest.Segment)
			high := newSpeaker(t, g, 1, func(c *failover.RouterConfig) {
				c.Addresses = append(c.Addresses, netip.MustParseAddr("192.0.2.101"))
				c.Interval = 2 * pace
			})
			low := newSpeaker(t, g, 2)
			high.start()
			low.start()
			time.Sleep(10 * listened)
			high.is(failover.RoleActive)
			st := low.is(failover.RoleBackup)
			want := []string{
				"it sends every 200ms and we every 100ms: set the same interval on both",
				"it serves other addresses (only it [192.0.2.101], only we []): give both the same",
			}
			if diff := cmp.Diff(want, st.Peers[0].Mismatch); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
			if n := low.Count(failover.EventMismatch); n != 1 {
				t.Errorf("told %d times", n)
			}
			if st.Down != 3*2*pace+106*2*pace/256 {
				t.Errorf("down after %v: the interval of the active router is to be learnt", st.Down)
			}
			high.stop()
			high.cfg.Addresses, high.cfg.Interval = vips, pace
			high.start()
			time.Sleep(10 * listened)
			low.is(failover.RoleBackup)
			if n := low.Count(failover.EventMismatchGone); n != 1 {
				t.Errorf("its end was told %d times", n)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

// What is refused is counted under its reason, changes nothing, and keeps the
// router from calling the sender silent.
func TestRouterRefusesByReason(t *testing.T) {
	usual := vrrp.Advert{Version: 3, VRID: 51, Priority: 250, Interval: pace, Addrs: vips}
	group := vrrp.Group(false)
	secret := []byte("0123456789abcdef0123456789abcdef")
	tests := []struct {
		name   string
		config func(*failover.RouterConfig)
		advert func(*vrrp.Advert)
		packet func(*failover.AdvertPacket)
		want   vrrp.Drop
		quiet  bool // of another virtual router: not told
	}{
		{"across a router", nil, nil, func(p *failover.AdvertPacket) { p.TTL = 254 }, vrrp.DropTTL, false},
		{"damaged", nil, nil, func(p *failover.AdvertPacket) { p.Payload[9] ^= 1 }, vrrp.DropChecksum, false},
		{"cut", nil, nil, func(p *failover.AdvertPacket) { p.Payload = p.Payload[:10] }, vrrp.DropSize, false},
		{"another virtual router", nil, func(a *vrrp.Advert) { a.VRID = 52 }, nil, vrrp.DropVRID, true},
		{"our own", nil, nil, func(p *failover.AdvertPacket) { p.Source = source(2) }, vrrp.DropOwn, false},
		{"multicast among unicast", unicast, nil, nil, vrrp.DropMulticast, false},
		{"unicast among multicast", nil, nil, func(p *failover.AdvertPacket) { p.Destination = source(2) }, vrrp.DropUnicast, false},
		{"unicast of a stranger", unicast, nil, func(p *failover.AdvertPacket) { p.Source, p.Destination = source(7), source(2) }, vrrp.DropPeer, false},
		{"no password", func(c *failover.RouterConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "right" }, nil, nil, vrrp.DropPassword, false},
		{"another password", func(c *failover.RouterConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "right" }, func(a *vrrp.Advert) { a.Version, a.Interval, a.Password = 2, time.Second, "wrong" }, nil, vrrp.DropPassword, false},
		{"a password nobody wants", nil, func(a *vrrp.Advert) { a.Version, a.Interval, a.Password = 2, time.Second, "wrong" }, nil, vrrp.DropPassword, false},
		{"unsigned", func(c *failover.RouterConfig) { c.Keys = []vrrp.Key{{ID: 1, Secret: secret}} }, nil, nil, vrrp.DropUnsigned, false},
		{"signed for nobody", nil, nil, func(p *failover.AdvertPacket) { p.Payload = append(p.Payload, make([]byte, vrrp.TrailerSize)...) }, vrrp.DropSigned, false},
		{"of an unknown key", func(c *failover.RouterConfig) { c.Keys = []vrrp.Key{{ID: 1, Secret: secret}} }, nil, func(p *failover.AdvertPacket) {
			k, _ := vrrp.NewKeys(0, vrrp.Key{ID: 2, Secret: secret})
			p.Payload = k.Sign(p.Payload, p.Source, time.Now())
		}, vrrp.DropKey, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			g := new(failovertest.Segment)
			s := newSpeaker(t, g, 2)
			if tt.config != nil {
				tt.config(&s.cfg)
			}
			s.start()
			time.Sleep(10 * time.Second)
			s.is(failover.RoleActive)
			a, p := usual, failover.AdvertPacket{Source: source(1), Destination: group, TTL: vrrp.TTL}
			if tt.advert != nil {
				tt.advert(&a)
			}
			path := p
			path.Payload = make([]byte, 64)
			if tt.packet != nil {
				tt.packet(&path) // addresses, which the checksum covers
			}
			var err error
			if p.Payload, err = vrrp.Append(nil, &a, vrrp.Path{Source: path.Source, Destination: path.Destination}, 0); err != nil {
				t.Fatal(err)
			}
			if tt.packet != nil {
				tt.packet(&p)
			}
			s.Events()
			for range 100 {
				g.Inject(p)
				time.Sleep(pace / 10)
			}
			st := s.is(failover.RoleActive)
			if st.Drops[tt.want.String()] != 100 || len(st.Drops) != 1 || len(st.Peers) != 0 {
				t.Errorf("drops %v, peers %v, want 100 of %v", st.Drops, st.Peers, tt.want)
			}
			if age := time.Since(st.LastDrops[tt.want.String()]); age > pace || len(st.LastDrops) != 1 {
				t.Errorf("the last of them came %v ago: %v", age, st.LastDrops)
			}
			told := s.Events()
			if tt.quiet {
				if len(told) != 0 {
					t.Errorf("events %v", told)
				}
				return
			}
			if len(told) != 1 || told[0].Kind != failover.EventRefused || !strings.HasPrefix(told[0].Reason, tt.want.String()+": ") {
				t.Errorf("events %v", told)
			}
			if tt.want != vrrp.DropOwn && !strings.Contains(st.Reason, "are refused ("+tt.want.String()+")") {
				t.Errorf("reason %q", st.Reason)
			}
		}))
	}
}

// Refused packets keep no backup asleep: the timer goes on, and the reason of
// the take-over names them.
func TestRouterIsNotKeptAsleepByRefusedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, high, low := duo(t)
		g.Partition(high.place, low.place, true)
		stop := time.Now().Add(5 * pace)
		b, err := vrrp.Append(nil, &vrrp.Advert{Version: 3, VRID: 51, Priority: 200, Interval: pace, Addrs: vips},
			vrrp.Path{Source: source(1), Destination: vrrp.Group(false)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, make([]byte, vrrp.TrailerSize)...)
		for time.Now().Before(stop) {
			g.Inject(failover.AdvertPacket{Source: source(1), Destination: vrrp.Group(false), TTL: vrrp.TTL, Payload: b})
			time.Sleep(pace / 5)
		}
		low.is(failover.RoleActive)
		low.says("packets from 192.0.2.1 are refused (unwanted-signature)")
	})
}

// Each peer is answered in its own form of checksum; multicast goes out in all
// forms that were heard.
func TestRouterAnswersInTheFormOfItsPeer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		peers []netip.Addr
		heard map[netip.Addr]vrrp.Checksum
		want  map[netip.Addr][]vrrp.Checksum
	}{
		{"nobody heard: as configured", nil, nil, map[netip.Addr][]vrrp.Checksum{vrrp.Group(false): {vrrp.WithPseudoHeader}}},
		{"one form", nil, map[netip.Addr]vrrp.Checksum{source(2): vrrp.MessageOnly}, map[netip.Addr][]vrrp.Checksum{vrrp.Group(false): {vrrp.MessageOnly}}},
		{
			"two forms", nil,
			map[netip.Addr]vrrp.Checksum{source(2): vrrp.MessageOnly, source(3): vrrp.WithPseudoHeader},
			map[netip.Addr][]vrrp.Checksum{vrrp.Group(false): {vrrp.WithPseudoHeader, vrrp.MessageOnly}},
		},
		{
			"unicast",
			[]netip.Addr{source(2), source(3)},
			map[netip.Addr]vrrp.Checksum{source(2): vrrp.MessageOnly},
			map[netip.Addr][]vrrp.Checksum{source(2): {vrrp.MessageOnly}, source(3): {vrrp.WithPseudoHeader}},
		},
	} {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			g := new(failovertest.Segment)
			s := newSpeaker(t, g, 1, func(c *failover.RouterConfig) { c.Peers = tt.peers })
			s.start()
			time.Sleep(2 * listened)
			for from, form := range tt.heard {
				to := vrrp.Group(false)
				if tt.peers != nil {
					to = source(1)
				}
				b, err := vrrp.Append(nil, &vrrp.Advert{Version: 3, VRID: 51, Priority: 10, Interval: pace, Addrs: vips}, vrrp.Path{Source: from, Destination: to}, form)
				if err != nil {
					t.Fatal(err)
				}
				g.Inject(failover.AdvertPacket{Source: from, Destination: to, TTL: vrrp.TTL, Payload: b})
			}
			time.Sleep(10*pace + pace/2) // between two adverts
			got := make(map[netip.Addr][]vrrp.Checksum)
			g.Tap(func(p failover.AdvertPacket) {
				_, form, _, err := vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
				if err != nil {
					t.Error(err)
				}
				got[p.Destination] = append(got[p.Destination], form)
			})
			time.Sleep(pace)
			g.Tap(nil)
			synctest.Wait()
			less := func(a, b vrrp.Checksum) bool { return a < b }
			if diff := cmp.Diff(tt.want, got, cmpopts.SortSlices(less)); diff != "" {
				t.Errorf("forms (-want +got):\n%s", diff)
			}
		}))
	}
}

// What was heard of others is bounded, whoever makes it up.
func TestRouterPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		s := newSpeaker(t, g, 1)
		s.start()
		time.Sleep(2 * listened)
		for i := range 200 {
			from := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			b, err := vrrp.Append(nil, &vrrp.Advert{Version: 3, VRID: 51, Priority: 10, Interval: pace, Addrs: vips}, vrrp.Path{Source: from, Destination: vrrp.Group(false)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			g.Inject(failover.AdvertPacket{Source: from, Destination: vrrp.Group(false), TTL: vrrp.TTL, Payload: b})
			time.Sleep(time.Millisecond)
		}
		st := s.is(failover.RoleActive)
		if n := len(st.Peers); n != 16 || st.Peers[n-1].Addr != netip.MustParseAddr("198.51.100.199") {
			t.Errorf("%d peers, the last %+v", n, st.Peers[n-1])
		}
	})
}

func TestRouterConfigIsChecked(t *testing.T) {
	_, err := failover.NewRouter(nil)
	if err == nil || !strings.Contains(err.Error(), "no virtual address") {
		t.Errorf("nil: %v", err)
	}
	_, err = failover.NewRouter(&failover.RouterConfig{VRID: 1, Device: "eth0", Source: netip.MustParseAddr("fe80::1"), Addresses: []netip.Addr{
		netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2%eth0"), netip.MustParseAddr("ff02::5"), netip.IPv6Unspecified(),
	}})
	for _, want := range []string{"source fe80::1 is a virtual address", "address fe80::2%eth0", "address ff02::5", "address ::: give"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := failover.NewRouter(&failover.RouterConfig{
		VRID: 1, Device: "eth0", Priority: vrrp.PriorityOwner, Source: vips[0], Addresses: vips, Transport: new(failovertest.Segment).Station(vips[0]),
	}); err != nil {
		t.Errorf("an owner sends from its address: %v", err)
	}
	for name, owner := range map[string]failover.AddressOwner{"nil": (*failover.Addresses)(nil), "zero": new(failover.Addresses)} {
		if _, err := failover.NewRouter(&failover.RouterConfig{VRID: 1, Device: "eth0", Addresses: vips, Owner: owner, VirtualMAC: true}); err == nil ||
			!strings.Contains(err.Error(), "the owner is a nil or zero *Addresses: make it with NewAddresses") {
			t.Errorf("%s owner: %v", name, err)
		}
	}
	if _, err := failover.NewRouter(&failover.RouterConfig{VRID: 1, Device: "eth0", Addresses: vips, Transport: &failover.RawIP{}, NoAccept: true}); err != nil {
		t.Errorf("a pointer to RawIP: %v", err)
	}
	mapped := netip.MustParseAddr("::ffff:192.0.2.7")
	_, err = failover.NewRouter(&failover.RouterConfig{VRID: 1, Device: "eth0", Addresses: []netip.Addr{vips[0], mapped}})
	if err == nil || !strings.Contains(err.Error(), "virtual address ::ffff:192.0.2.7: give one of a machine, in its plain form") {
		t.Errorf("an address of IPv4 in the form of IPv6: %v", err)
	}
	_, err = failover.NewRouter(&failover.RouterConfig{
		VRID: 1, Device: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("fe80::1")}, Source: mapped, Peers: []netip.Addr{mapped},
	})
	if err == nil || !strings.Contains(err.Error(), "source ::ffff:192.0.2.7") || !strings.Contains(err.Error(), "peer ::ffff:192.0.2.7") {
		t.Errorf("source and peer of IPv4 in the form of IPv6: %v", err)
	}
	_, err = failover.NewRouter(&failover.RouterConfig{
		Device: "eth0:1", Version: 4, Addresses: vips, DownAdverts: 101, PreemptDelay: -1, Interval: time.Millisecond,
		Source: netip.MustParseAddr("2001:db8::1"), Peers: []netip.Addr{source(1), source(1), netip.MustParseAddr("::1")},
		Keys: []vrrp.Key{{}}, Checksum: 7,
	})
	for _, want := range []string{
		`device "eth0:1"`, "101 missed adverts", "preempt delay -1ns", "checksum(7)", "source 2001:db8::1", "192.0.2.1 is given twice",
		"peer ::1", "version 4", "VRID 0", "number 0",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
