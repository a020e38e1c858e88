package failover_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/pulse"
)

// piranha is a model of the program pulse in its lvs mode: what it sends, and
// what it does at what it hears. It is one goroutine, so it decides one thing
// at a time, as the program does.
type piranha struct {
	primary bool
	order   binary.AppendByteOrder
	socks   []failover.PacketConn
	peers   []netip.AddrPort
	stop    context.CancelFunc
	ended   chan struct{}

	mu     sync.Mutex
	active bool
	log    []string
}

const (
	wordActive   = 0xbdaddbda
	wordInactive = 0xadbddabd
)

func (m *piranha) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, what)
}

// said returns what was noted so far, and forgets it.
func (m *piranha) said() []string {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.log = nil }()
	return m.log
}

func (m *piranha) isActive() bool {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active
}

func (m *piranha) beat() {
	m.mu.Lock()
	word := uint32(wordInactive)
	if m.active {
		word = wordActive
	}
	m.mu.Unlock()
	for i, s := range m.socks {
		_, _ = s.WriteToUDPAddrPort(m.order.AppendUint32(nil, word), m.peers[i])
	}
}

func (m *piranha) become(active bool, why string) {
	m.mu.Lock()
	m.active = active
	m.mu.Unlock()
	m.note(why)
}

// hear decides by the rules for what the partner says.
func (m *piranha) hear(active bool) {
	m.mu.Lock()
	mine := m.active
	m.mu.Unlock()
	switch {
	case !mine && !active:
		m.become(true, "partner inactive: activating lvs")
	case mine && active && m.primary:
		m.note("partner active: resending arps")
	case mine && active:
		m.beat()
		m.become(false, "partner active: deactivating LVS")
	}
}

func (m *piranha) run(ctx context.Context) {
	defer close(m.ended)
	words := make(chan uint32)
	var readers sync.WaitGroup
	for _, s := range m.socks {
		readers.Go(func() {
			buf := make([]byte, 100)
			for {
				n, _, err := s.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if n != 4 {
					m.note("bad heartbeat packet")
					continue
				}
				select {
				case words <- m.order.(binary.ByteOrder).Uint32(buf):
				case <-ctx.Done():
				}
			}
		})
	}
	defer readers.Wait()
	defer func() {
		for _, s := range m.socks {
			_ = s.Close() // never fails
		}
	}()
	keepalive := time.NewTicker(interval)
	defer keepalive.Stop()
	dead := time.NewTimer(deadAfter)
	defer dead.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-keepalive.C:
			m.beat()
		case <-dead.C:
			dead.Reset(deadAfter)
			if !m.isActiveNow() {
				m.become(true, "partner dead: activating lvs")
			}
		case w := <-words:
			switch w {
			case wordActive, wordInactive:
				dead.Reset(deadAfter)
				m.hear(w == wordActive)
			default:
				m.note("Incompatible heartbeat received -- other system not using identical services")
			}
		}
	}
}

func (m *piranha) isActiveNow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active
}

// mixed is a pair of which one node runs the old program.
type mixed struct {
	*pair
	ours *side
	host *failovertest.Host // theirs
	old  *piranha
}

func (x *mixed) startOld() {
	x.t.Helper()
	i := 1
	if x.ours == x.backup {
		i = 0
	}
	m := &piranha{primary: i == 0, order: binary.LittleEndian, ended: make(chan struct{})}
	if i == 0 {
		m.order = binary.BigEndian // an old router of another make
	}
	for c := range addrs[i] {
		s, err := x.host.Listen(x.t.Context(), addrs[i][c])
		if err != nil {
			x.t.Fatal(err)
		}
		m.socks, m.peers = append(m.socks, s), append(m.peers, addrs[1-i][c])
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.run(ctx)
	x.old = m
	x.t.Cleanup(func() { cancel(); <-m.ended })
}

func newMixed(t *testing.T, oursIsPrimary bool) *mixed {
	t.Helper()
	x := &mixed{pair: newPair(t, func(a, b *failover.Config) { a.Legacy, b.Legacy, a.Key, b.Key = true, true, nil, nil })}
	x.ours, x.host = x.primary, x.backup.host
	if !oursIsPrimary {
		x.ours, x.host = x.backup, x.primary.host
	}
	return x
}

// alone demands that exactly one of the two serves, and which.
func (x *mixed) alone(ours bool) {
	x.t.Helper()
	if st := x.ours.node.Status(); (st.Role == failover.RoleActive) != ours || x.old.isActive() == ours {
		x.t.Fatalf("ours is %v (%s), the old one active %v; want ours active: %v", st.Role, st.Reason, x.old.isActive(), ours)
	}
}

func TestLegacyPair(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T, *mixed, bool)
	}{
		{"the first one serves, and it is told what this is", func(t *testing.T, x *mixed, primary bool) {
			st := x.ours.node.Status()
			if !st.Legacy || !st.Partner.Alive || st.Partner.Primary == primary || st.DigestMismatch || st.Rival {
				t.Errorf("%+v", st)
			}
			if n := x.ours.Count(failover.EventLegacy); n != 1 {
				t.Errorf("warned %d times", n)
			}
			x.old.said()
			x.ours.Events()
			time.Sleep(time.Minute)
			x.alone(primary)
			if e := x.ours.Events(); len(e) != 0 {
				t.Errorf("events in a quiet time: %v", e)
			}
			if s := x.old.said(); len(s) != 0 {
				t.Errorf("the old one says %q", s)
			}
		}},
		{"who dies is replaced, and comes back as the one that waits", func(t *testing.T, x *mixed, primary bool) {
			if primary {
				x.ours.kill(t)
				time.Sleep(decided)
				if !x.old.isActive() {
					t.Fatal("the old one did not take over")
				}
				x.ours.host.Isolate(false)
				x.ours.start(t)
				time.Sleep(time.Minute)
				x.alone(false)
				return
			}
			x.old.stop()
			<-x.old.ended
			time.Sleep(decided)
			if r := x.ours.role(); r != failover.RoleActive {
				t.Fatalf("ours is %v", r)
			}
			x.startOld()
			time.Sleep(time.Minute)
			x.alone(true)
		}},
		{"a partition makes two, and the primary stays", func(t *testing.T, x *mixed, primary bool) {
			x.net.Partition(x.primary.host, x.backup.host)
			time.Sleep(decided)
			if x.ours.role() != failover.RoleActive || !x.old.isActive() {
				t.Fatal("they are not both active")
			}
			x.old.said()
			x.net.Heal()
			time.Sleep(2 * interval)
			x.alone(primary)
			got := x.old.said()
			want := "partner active: resending arps"
			if primary {
				want = "partner active: deactivating LVS"
			}
			if len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != want }) {
				t.Errorf("the old one says %q, want %q", got, want)
			}
		}},
		{"one way alone keeps the partner alive", func(t *testing.T, x *mixed, primary bool) {
			x.ours.Events()
			x.ours.host.Unplug(x.ours.cfg.Channels[0].Local.Addr(), true)
			time.Sleep(10 * time.Second)
			x.alone(primary)
			if n := x.ours.Count(failover.EventChannelLost); n != 1 {
				t.Errorf("a lost channel was told %d times", n)
			}
		}},
		{"a stop, a fault and a yield move the service at the next beat", func(t *testing.T, x *mixed, primary bool) {
			if !primary {
				x.old.stop()
				<-x.old.ended
				time.Sleep(decided)
				x.startOld()
				time.Sleep(decided)
			}
			x.alone(true)
			if err := x.ours.node.Yield(); err != nil {
				t.Fatal(err)
			}
			within(t, 3*interval, "the old one is active and ours has let go", func() bool { return x.old.isActiveNow() && !x.ours.Held() })
			x.alone(false)
			if err := x.ours.node.Take(); !errors.Is(err, failover.ErrLegacy) {
				t.Errorf("take: %v", err)
			}
			x.old.stop()
			<-x.old.ended
			time.Sleep(decided)
			x.startOld()
			time.Sleep(decided)
			x.alone(true)
			x.ours.node.SetFault("test")
			within(t, 2*interval, "the old one is active", x.old.isActiveNow)
			time.Sleep(interval) // it says so with its next beat only
			x.ours.node.SetFault("")
			time.Sleep(decided)
			x.alone(false)
			x.old.stop()
			<-x.old.ended
			time.Sleep(decided)
			x.startOld()
			time.Sleep(decided)
			x.alone(true)
			x.ours.stop(t)
			if !x.old.isActive() || x.ours.Held() {
				t.Error("the stop did not hand over")
			}
		}},
	}
	for _, tt := range tests {
		for _, primary := range []bool{true, false} {
			name := map[bool]string{true: ", ours the primary", false: ", ours the backup"}[primary]
			t.Run(tt.name+name, inBubble(func(t *testing.T) {
				x := newMixed(t, primary)
				starts := []func(){func() { x.ours.start(t) }, x.startOld}
				if !primary {
					slices.Reverse(starts)
				}
				for _, start := range starts {
					start()
					time.Sleep(decided)
				}
				x.alone(primary)
				tt.run(t, x, primary)
			}))
		}
	}
}

// Two that start at once may both serve for a moment, as two old ones do.
func TestLegacyStartTogether(t *testing.T) {
	for _, primary := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := newMixed(t, primary)
			x.ours.start(t)
			x.startOld()
			time.Sleep(decided)
			x.alone(!x.old.isActive())
			x.ours.Events()
			time.Sleep(time.Minute)
			x.alone(!x.old.isActive())
			if e := x.ours.Events(); len(e) != 0 {
				t.Errorf("ours primary %v: events after the start: %v", primary, e)
			}
		})
	}
}

// Every row of the old program's rules, for both roles of ours.
func TestLegacyRules(t *testing.T) {
	send := func(p *pair, l pulse.Legacy) {
		p.net.Inject(addrs[1][0], addrs[0][0], pulse.AppendLegacy(nil, l, true))
		synctest.Wait()
	}
	for _, primary := range []bool{true, false} {
		for _, active := range []bool{true, false} {
			for _, said := range []pulse.Legacy{pulse.LegacyActive, pulse.LegacyInactive, 0} {
				name := fmt.Sprintf("primary %v, active %v, the partner says %v", primary, active, said)
				t.Run(name, inBubble(func(t *testing.T) {
					p := newPair(t, func(a, _ *failover.Config) { a.Legacy, a.Key, a.Primary = true, nil, primary })
					p.primary.start(t)
					synctest.Wait()
					if active {
						time.Sleep(decided) // alone
					} else {
						send(p, pulse.LegacyActive)
					}
					p.primary.Effects()
					for range 8 {
						if said != 0 {
							send(p, said)
						}
						time.Sleep(interval / 2)
					}
					want := active
					switch {
					case !active && said != pulse.LegacyActive:
						want = true
					case active && !primary && said == pulse.LegacyActive:
						want = false
					}
					st := p.primary.node.Status()
					if (st.Role == failover.RoleActive) != want {
						t.Errorf("%v (%s), want active: %v", st.Role, st.Reason, want)
					}
					announced := slices.Contains(p.primary.Effects(), "announce")
					if both := active && said == pulse.LegacyActive; both && primary && !announced {
						t.Error("nothing was announced beside a rival")
					}
				}))
			}
		}
	}
}

func TestLegacyPacketsAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(a, _ *failover.Config) { a.Legacy, a.Key = true, nil })
		p.primary.start(t)
		time.Sleep(interval)
		codec, err := pulse.NewCodec(pulse.Key{Secret: key})
		if err != nil {
			t.Fatal(err)
		}
		beat := pulse.Beat{State: pulse.StateActive, Boot: 1, Challenge: 1, Seq: 1, Interval: interval, DeadAfter: deadAfter}
		anyPort := netip.AddrPortFrom(addrs[1][0].Addr(), 40000)
		stranger := netip.MustParseAddrPort("203.0.113.9:539")
		for _, packet := range []struct {
			from netip.AddrPort
			data []byte
		}{
			{stranger, pulse.AppendLegacy(nil, pulse.LegacyActive, true)},
			{addrs[1][0], pulse.AppendLegacy(nil, pulse.LegacyFosActive, true)},
			{addrs[1][0], pulse.AppendLegacy(nil, pulse.LegacyFosTake, false)},
			{addrs[1][0], []byte{1, 2, 3, 4}},
			{addrs[1][0], codec.Append(nil, &beat)},
		} {
			p.net.Inject(packet.from, addrs[0][0], packet.data)
		}
		time.Sleep(interval)
		st := p.primary.node.Status()
		want := map[string]uint64{"wrong-source": 1, "other-mode": 2, "bad-magic": 1, "wrong-size": 1}
		if diff := cmp.Diff(want, st.Channels[0].Drops); diff != "" {
			t.Errorf("drops (-want +got):\n%s", diff)
		}
		if st.Partner.Known {
			t.Errorf("a partner was made of them: %+v", st.Partner)
		}
		p.net.Inject(anyPort, addrs[0][0], pulse.AppendLegacy(nil, pulse.LegacyActive, false))
		synctest.Wait()
		if st := p.primary.node.Status(); !st.Partner.Known || st.Role != failover.RoleBackup {
			t.Errorf("%+v", st)
		}
	})
}

// A node that is not configured for it names what its partner is.
func TestLegacyIsOffAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.primary.start(t)
		for range 10 {
			p.net.Inject(addrs[1][0], addrs[0][0], pulse.AppendLegacy(nil, pulse.LegacyActive, true))
			time.Sleep(interval)
		}
		st := p.primary.node.Status()
		if st.Role != failover.RoleActive || st.Partner.Refused != "legacy" || st.Partner.Known {
			t.Errorf("%v (%s), %+v", st.Role, st.Reason, st.Partner)
		}
		const want = "the partner's heartbeats are refused (legacy): it runs Piranha's pulse; run this program there too, or say so in the configuration for the time of the migration"
		if diff := cmp.Diff(want, st.Reason); diff != "" {
			t.Errorf("reason (-want +got):\n%s", diff)
		}
	})
}
