package failover_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/pulse"
)

const (
	interval  = 100 * time.Millisecond
	deadAfter = 300 * time.Millisecond
	// decided is when a start in peace is over, and a death found: the dead
	// time, the settling before a verdict and two intervals for the partner.
	decided = deadAfter + 3*interval
)

var (
	key   = []byte("a shared key of enough bytes")
	addrs = [2][2]netip.AddrPort{
		{netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("198.51.100.1:539")},
		{netip.MustParseAddrPort("192.0.2.2:539"), netip.MustParseAddrPort("198.51.100.2:539")},
	}
)

// side is one node of a test with all that is around it.
type side struct {
	*failovertest.Recorder
	node   *failover.Node
	host   *failovertest.Host
	cancel context.CancelFunc
	ended  chan error
	cfg    failover.Config
}

// pair is two nodes over two channels in an in-memory network.
type pair struct {
	t       *testing.T
	net     *failovertest.Network
	primary *side
	backup  *side
}

func newPair(t *testing.T, change ...func(primary, backup *failover.Config)) *pair {
	t.Helper()
	p := &pair{t: t, net: failovertest.NewNetwork(1)}
	make1 := func(i int, name string) *side {
		s := &side{Recorder: new(failovertest.Recorder), host: p.net.Host(name)}
		s.cfg = failover.Config{
			Primary: i == 0, Key: key, Interval: interval, DeadAfter: deadAfter,
			Channels: []failover.Channel{
				{Name: "public", Local: addrs[i][0], Peer: addrs[1-i][0]},
				{Name: "private", Local: addrs[i][1], Peer: addrs[1-i][1]},
			},
			Owner: s.Recorder, OnRole: s.OnRole, OnEvent: s.OnEvent, Transport: s.host,
		}
		return s
	}
	p.primary, p.backup = make1(0, "primary"), make1(1, "backup")
	for _, c := range change {
		c(&p.primary.cfg, &p.backup.cfg)
	}
	t.Cleanup(func() { p.primary.stop(t); p.backup.stop(t) })
	return p
}

func (s *side) start(t *testing.T) {
	t.Helper()
	n, err := failover.New(&s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.node, s.cancel, s.ended = n, cancel, make(chan error, 1)
	go func(ended chan<- error) { ended <- n.Run(ctx) }(s.ended)
}

func (s *side) stop(t *testing.T) {
	t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// kill ends a node as a power cut would: nothing leaves it any more. It takes
// as long as an active one waits for its successor.
func (s *side) kill(t *testing.T) {
	t.Helper()
	s.host.Isolate(true)
	s.stop(t)
}

// both starts both nodes and waits until they have decided.
func both(t *testing.T, change ...func(primary, backup *failover.Config)) *pair {
	t.Helper()
	p := newPair(t, change...)
	p.primary.start(t)
	p.backup.start(t)
	time.Sleep(decided)
	p.want(failover.RoleActive, failover.RoleBackup)
	return p
}

func (s *side) role() failover.Role { return s.node.Status().Role }

func (p *pair) want(primary, backup failover.Role) {
	p.t.Helper()
	synctest.Wait()
	for _, x := range []struct {
		name string
		s    *side
		want failover.Role
	}{{"primary", p.primary, primary}, {"backup", p.backup, backup}} {
		st := x.s.node.Status()
		if st.Role != x.want {
			p.t.Fatalf("%s is %v (%s), want %v", x.name, st.Role, st.Reason, x.want)
		}
		if st.Serving != (x.want == failover.RoleActive) || x.s.Held() != st.Serving {
			p.t.Fatalf("%s is %v, serving %v, holds addresses %v", x.name, st.Role, st.Serving, x.s.Held())
		}
	}
}

// within waits for a condition and returns how long it took.
func within(t *testing.T, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

func inBubble(f func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

func TestPair(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"both booted at once: the primary serves, and soon", func(t *testing.T) {
			p := newPair(t)
			p.primary.start(t)
			p.backup.start(t)
			within(t, interval, "primary active", func() bool { return p.primary.role() == failover.RoleActive })
			time.Sleep(time.Minute)
			p.want(failover.RoleActive, failover.RoleBackup)
			if n := p.backup.Count(failover.EventRivalSeen) + p.primary.Count(failover.EventRivalSeen); n != 0 {
				t.Errorf("both were active %d times", n)
			}
			st := p.backup.node.Status()
			if !st.Partner.Alive || st.Partner.Role != failover.RoleActive || !st.Partner.Primary || !st.Partner.Hears || st.Partner.Uptime < 50*time.Second {
				t.Errorf("partner as the backup sees it: %+v", st.Partner)
			}
			for _, c := range st.Channels {
				if !c.Up || !c.Open || c.Error != "" || c.Received < 590 || c.Sent < 590 || time.Since(c.LastHeard) > interval {
					t.Errorf("channel %+v", c)
				}
			}
		}},
		{"a backup without a partner serves after the dead time", func(t *testing.T) {
			p := newPair(t)
			p.backup.start(t)
			took := within(t, decided, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			if took < deadAfter {
				t.Errorf("after %v already", took)
			}
		}},
		{"killed primary: taken over after the dead time", func(t *testing.T) {
			p := both(t)
			begin := time.Now()
			p.primary.kill(t)
			within(t, decided, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			took := time.Since(begin)
			t.Logf("took over after %v", took)
			if took < deadAfter-interval {
				t.Errorf("after %v already", took)
			}
		}},
		{"a returning primary does not fail back", func(t *testing.T) {
			p := both(t)
			p.primary.kill(t)
			time.Sleep(decided)
			p.primary.host.Isolate(false)
			p.primary.Effects()
			p.primary.start(t)
			time.Sleep(time.Minute)
			p.want(failover.RoleBackup, failover.RoleActive)
			if diff := cmp.Diff([]string{"release", "hook backup"}, p.primary.Effects()); diff != "" {
				t.Errorf("effects of the returned primary (-want +got):\n%s", diff)
			}
		}},
		{"leaving hands over at once", func(t *testing.T) {
			p := both(t)
			begin := time.Now()
			p.primary.stop(t)
			within(t, interval, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			if took := time.Since(begin); took > interval/2 {
				t.Errorf("took %v", took)
			}
			if r := p.backup.node.Status().Reason; r != "the partner is stopping" {
				t.Errorf("reason %q", r)
			}
			if p.primary.Held() {
				t.Error("the addresses stayed")
			}
		}},
		{"partition: both serve, healing leaves the primary and it announces", func(t *testing.T) {
			p := both(t)
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(decided)
			p.want(failover.RoleActive, failover.RoleActive)
			time.Sleep(10 * time.Second)
			p.primary.Effects()
			p.net.Heal()
			took := within(t, 2*interval, "backup gives way", func() bool { return p.backup.role() != failover.RoleActive })
			t.Logf("one active %v after healing", took)
			time.Sleep(6 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			// Seen, and again when gone: two schedules of six at most.
			if n := len(p.primary.Effects()); n < 6 || n > 12 {
				t.Errorf("%d effects on the winner, want its announcements", n)
			}
			for _, s := range []*side{p.primary, p.backup} {
				if s.Count(failover.EventRivalSeen) != 1 || s.Count(failover.EventRivalGone) != 1 {
					t.Errorf("rival seen %d, gone %d", s.Count(failover.EventRivalSeen), s.Count(failover.EventRivalGone))
				}
			}
		}},
		{"one channel lost is an alarm and no more", func(t *testing.T) {
			p := both(t)
			p.backup.Events()
			p.primary.host.Unplug(addrs[0][0].Addr(), true)
			time.Sleep(10 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			st := p.backup.node.Status()
			if st.Channels[0].Up {
				t.Error("the channel counts as up")
			}
			const cure = "the partner is active; the partner is not heard on public: look at the cables and firewalls there"
			if st.Reason != cure {
				t.Errorf("reason %q, want %q", st.Reason, cure)
			}
			p.net.Heal()
			time.Sleep(2 * interval)
			if r := p.backup.node.Status().Reason; r != "the partner is active" {
				t.Errorf("reason %q when it is heard again", r)
			}
			want := []failover.EventKind{failover.EventChannelLost, failover.EventChannelFound}
			var got []failover.EventKind
			for _, e := range p.backup.Events() {
				if got = append(got, e.Kind); e.Channel != "public" {
					t.Errorf("channel %q", e.Channel)
				}
				if told := strings.HasPrefix(e.Reason, "no heartbeat came on it for "); told != (e.Kind == failover.EventChannelLost) {
					t.Errorf("%v: reason %q", e.Kind, e.Reason)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"different digests are an alarm, equal ones end it", func(t *testing.T) {
			p := both(t, func(a, b *failover.Config) { a.Digest[0], b.Digest[0] = 1, 2 })
			for _, s := range []*side{p.primary, p.backup} {
				if !s.node.Status().DigestMismatch || s.Count(failover.EventDigestMismatch) != 1 {
					t.Error("the mismatch was not told once")
				}
			}
			p.backup.node.SetDigest([32]byte{1})
			time.Sleep(2 * interval)
			for _, s := range []*side{p.primary, p.backup} {
				if s.node.Status().DigestMismatch || s.Count(failover.EventDigestMatch) != 1 {
					t.Error("the match was not told once")
				}
			}
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"a stalled backup does not take over", func(t *testing.T) {
			p := both(t)
			p.backup.Events()
			p.backup.host.Stall(5 * time.Second)
			time.Sleep(10 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if ev := p.backup.Events(); len(ev) != 0 {
				t.Errorf("events: %v", ev)
			}
		}},
		{"a stall in which packets got lost is not the partner's silence either", func(t *testing.T) {
			p := both(t)
			p.backup.Events()
			p.backup.host.Isolate(true) // as the host of a paused guest drops what comes
			// It ends between two beats of the partner, later than settling lasts.
			const stall = 20*interval + interval/3
			p.backup.host.Stall(stall)
			time.Sleep(stall - time.Nanosecond)
			p.backup.host.Isolate(false)
			time.Sleep(2 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if ev := p.backup.Events(); len(ev) != 0 {
				t.Errorf("events: %v", ev)
			}
		}},
		{"a beat that comes while the verdict settles is heard", func(t *testing.T) {
			p := both(t)
			p.backup.Events()
			beat := make(chan struct{}, 100)
			p.net.Tap(func(from, _ netip.AddrPort, _ []byte) {
				if from == addrs[0][1] { // the second copy of a round
					beat <- struct{}{}
				}
			})
			<-beat
			p.net.Tap(nil)
			synctest.Wait()
			p.net.Cut(p.primary.host, p.backup.host, true)
			time.Sleep(deadAfter - interval/2)
			p.net.SetDelay(10*time.Millisecond, 10*time.Millisecond)
			p.net.Cut(p.primary.host, p.backup.host, false)
			time.Sleep(time.Second)
			if ev := p.backup.Events(); len(ev) != 0 {
				t.Errorf("events: %v", ev)
			}
		}},
		{"contact takes round trips, not intervals", func(t *testing.T) {
			p := newPair(t)
			p.primary.start(t)
			time.Sleep(interval / 3)
			p.backup.start(t)
			within(t, interval/10, "primary active", func() bool { return p.primary.role() == failover.RoleActive })
		}},
		{"a backup stalled while the primary dies takes over afterwards", func(t *testing.T) {
			p := both(t)
			p.backup.host.Stall(2 * time.Second)
			p.primary.kill(t)
			within(t, 2*time.Second+decided, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
		}},
		{"a fault hands over and keeps from serving", func(t *testing.T) {
			p := both(t)
			p.primary.node.SetFault("the kernel has no IPVS")
			time.Sleep(interval)
			p.want(failover.RoleFault, failover.RoleActive)
			if r := p.primary.node.Status().Reason; r != "fault: the kernel has no IPVS" {
				t.Errorf("reason %q", r)
			}
			p.primary.node.SetFault("")
			time.Sleep(time.Second)
			p.want(failover.RoleBackup, failover.RoleActive)
		}},
		{"yield hands over and stays handed over", func(t *testing.T) {
			p := both(t)
			if err := p.backup.node.Yield(); !errors.Is(err, failover.ErrNotActive) {
				t.Errorf("yield of the backup: %v", err)
			}
			if err := p.primary.node.Yield(); err != nil {
				t.Fatal(err)
			}
			within(t, interval, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			time.Sleep(time.Minute)
			p.want(failover.RoleBackup, failover.RoleActive)
			p.primary.kill(t)
			if err := p.backup.node.Yield(); err != nil {
				t.Errorf("yield to a partner that is not known to be dead: %v", err)
			}
			time.Sleep(decided)
			if err := p.backup.node.Yield(); !errors.Is(err, failover.ErrNoPartner) {
				t.Errorf("yield without a partner: %v", err)
			}
		}},
		{"a line in one direction only leaves one active and is named", func(t *testing.T) {
			p := both(t)
			p.net.Cut(p.primary.host, p.backup.host, true) // the backup is deaf
			time.Sleep(5 * time.Second)
			p.want(failover.RoleBackup, failover.RoleActive)
			if p.primary.Count(failover.EventPartnerDeaf) != 1 {
				t.Error("the primary did not say that its partner is deaf")
			}
		}},
		{"two primaries: one serves and both complain", func(t *testing.T) {
			p := newPair(t, func(_, b *failover.Config) { b.Primary = true })
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(time.Second)
			if a, b := p.primary.role(), p.backup.role(); (a == failover.RoleActive) == (b == failover.RoleActive) {
				t.Errorf("roles %v and %v", a, b)
			}
			if p.primary.Count(failover.EventRoleConflict) != 1 || p.backup.Count(failover.EventRoleConflict) != 1 {
				t.Error("the conflict was not told")
			}
		}},
		{"swapped channels are named and split nothing", func(t *testing.T) {
			p := newPair(t, func(_, b *failover.Config) { slices.Reverse(b.Channels) })
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(5 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if p.backup.node.Status().Channels[0].Drops["wrong-channel"] == 0 {
				t.Error("no packet was counted under wrong-channel")
			}
		}},
		{"loss of a third and delays keep one active", func(t *testing.T) {
			p := both(t, func(a, b *failover.Config) { a.DeadAfter, b.DeadAfter = 10*interval, 10*interval })
			p.net.SetLoss(0.3)
			p.net.SetDelay(0, 2*interval)
			for range 600 {
				time.Sleep(interval)
				if p.primary.role() != failover.RoleActive || p.backup.role() != failover.RoleBackup {
					t.Fatalf("roles %v and %v", p.primary.role(), p.backup.role())
				}
			}
		}},
		{"recorded packets do not keep a dead partner alive", func(t *testing.T) {
			p := newPair(t)
			type rec struct {
				from, to netip.AddrPort
				data     []byte
			}
			recorded := make(chan rec, 10000)
			p.net.Tap(func(from, to netip.AddrPort, b []byte) { recorded <- rec{from, to, b} })
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(2 * time.Second)
			p.net.Tap(nil)
			p.primary.kill(t)
			p.backup.stop(t) // the attacker's best moment: it comes back with no memory
			p.backup.start(t)
			close(recorded)
			begin := time.Now()
			n := 0
			for r := range recorded {
				p.net.Inject(r.from, r.to, r.data)
				if n++; n%4 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			if time.Since(begin) > decided {
				time.Sleep(0)
			} else {
				time.Sleep(decided - time.Since(begin))
			}
			if r := p.backup.role(); r != failover.RoleActive {
				t.Errorf("backup is %v while old packets are replayed", r)
			}
			d := p.backup.node.Status().Channels[0].Drops
			if d["unproven"] == 0 || p.backup.node.Status().Partner.Known {
				t.Errorf("drops %v, partner %+v", d, p.backup.node.Status().Partner)
			}
		}},
		{"a flood of old packets is answered a few times in an interval", func(t *testing.T) {
			p := newPair(t)
			recorded := make(chan []byte, 100)
			p.net.Tap(func(from, to netip.AddrPort, b []byte) {
				if from == addrs[0][0] {
					recorded <- slices.Clone(b)
				}
			})
			p.primary.start(t)
			time.Sleep(interval / 2)
			p.net.Tap(nil)
			p.primary.kill(t)
			p.backup.start(t)
			synctest.Wait() // it listens
			old := <-recorded
			for range 1000 {
				p.net.Inject(addrs[0][0], addrs[1][0], old)
				time.Sleep(time.Millisecond)
			}
			st := p.backup.node.Status()
			if st.Role != failover.RoleActive || st.Channels[0].Drops["unproven"] != 1000 {
				t.Errorf("%v, drops %v", st.Role, st.Channels[0].Drops)
			}
			if n := st.Channels[0].Sent; n < 40 || n > 60 {
				t.Errorf("%d beats in ten intervals, want four answers in each", n)
			}
		}},
		{"a stranger's packets are counted and ignored", func(t *testing.T) {
			p := both(t)
			stranger := netip.MustParseAddrPort("203.0.113.9:539")
			p.net.Inject(stranger, addrs[1][0], make([]byte, pulse.Size))
			p.net.Inject(addrs[0][0], addrs[1][0], []byte{0xbd, 0xad, 0xdb, 0xda})
			p.net.Inject(addrs[0][0], addrs[1][0], make([]byte, 1400))
			p.net.Inject(addrs[0][0], addrs[1][0], make([]byte, pulse.Size))
			synctest.Wait()
			got := p.backup.node.Status().Channels[0].Drops
			delete(got, "unproven") // of the first contact
			if diff := cmp.Diff(map[string]uint64{"wrong-source": 1, "legacy": 1, "bad-magic": 2}, got); diff != "" {
				t.Errorf("drops (-want +got):\n%s", diff)
			}
		}},
		{"a channel that breaks is opened again", func(t *testing.T) {
			p := both(t)
			p.backup.Events()
			p.backup.host.FailListen(syscall.EADDRNOTAVAIL)
			time.Sleep(10 * time.Second)
			// Blind: silence proves nothing, so the backup stays.
			p.want(failover.RoleActive, failover.RoleBackup)
			st := p.backup.node.Status()
			if st.Channels[0].Open || st.Channels[0].Error == "" || st.Channels[0].Up {
				t.Errorf("channel %+v", st.Channels[0])
			}
			p.backup.host.FailListen(nil)
			time.Sleep(6 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if n := p.backup.Count(failover.EventChannelMended); n != 2 {
				t.Errorf("%d channels mended", n)
			}
			if !p.backup.node.Status().Channels[0].Up {
				t.Error("the channel is not up again")
			}
			p.primary.kill(t)
			time.Sleep(decided)
			if p.backup.role() != failover.RoleActive {
				t.Error("no take-over after the channels came back")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

func TestAloneIsActiveAtOnceAndRunReturnsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r failovertest.Recorder
		n, err := failover.New(&failover.Config{Owner: &r, OnRole: r.OnRole, OnEvent: r.OnEvent})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- n.Run(ctx) }()
		synctest.Wait()
		if st := n.Status(); st.Role != failover.RoleActive || !st.Serving {
			t.Errorf("status %+v", st)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{"hook active", "acquire", "announce", "release", "hook leaving"}
		if diff := cmp.Diff(want, r.Effects()); diff != "" {
			t.Errorf("effects (-want +got):\n%s", diff)
		}
		var roles []string
		for _, e := range r.Events() {
			roles = append(roles, e.String())
		}
		wantEvents := []string{"role init -> active: no partner is configured", "role active -> leaving: stopping"}
		if diff := cmp.Diff(wantEvents, roles); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if err := n.Run(t.Context()); err == nil {
			t.Error("a second Run was allowed")
		}
	})
}

func TestNoPermissionEndsRunWithThePlaceAndTheCure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.primary.host.FailListen(syscall.EACCES)
		n, err := failover.New(&p.primary.cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = n.Run(t.Context())
		if !errors.Is(err, syscall.EACCES) {
			t.Fatalf("got %v", err)
		}
		t.Log(err)
	})
}
