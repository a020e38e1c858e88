package failover_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

const (
	wrongKey = "the partner's heartbeats are refused (bad-key): give both routers the same key"
	silent   = "the partner is silent on all channels"
)

func otherKey(_, b *failover.Config) { b.Key = []byte("another key of enough bytes") }

// lastRole returns the last change of role among the events so far.
func lastRole(s *side) (last failover.Event) {
	for _, e := range s.Events() {
		if e.Kind == failover.EventRole {
			last = e
		}
	}
	return last
}

// logged is a log that may be written from anywhere.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestRefusedPartner(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"a wrong key is named on both nodes", func(t *testing.T) {
			var log logged
			p := newPair(t, otherKey, func(a, _ *failover.Config) {
				a.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			})
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(decided)
			p.want(failover.RoleActive, failover.RoleActive) // nobody can be made to wait for a stranger
			for _, s := range []*side{p.primary, p.backup} {
				st := s.node.Status()
				if st.Reason != wrongKey || st.Partner.Refused != "bad-key" || st.Partner.Known {
					t.Errorf("reason %q, partner %+v", st.Reason, st.Partner)
				}
				if st.Channels[0].Drops["bad-key"] == 0 {
					t.Error("no packet was counted under bad-key")
				}
				if n := s.Count(failover.EventRefused); n != 2 {
					t.Errorf("%d events of refused packets, want one a channel", n)
				}
				if e := lastRole(s); e.Reason != wrongKey {
					t.Errorf("the event of the role says %q", e.Reason)
				}
			}
			time.Sleep(3 * time.Minute)
			for _, e := range p.backup.Events() {
				if e.Kind != failover.EventRefused || e.Reason != wrongKey {
					t.Errorf("event %v", e)
				}
			}
			if got := log.count("level=WARN msg=\"failover: refused\""); got != 2*4 {
				t.Errorf("%d warnings in three minutes, want one a minute and channel", got)
			}
			p.primary.kill(t)
			time.Sleep(time.Minute)
			if age := time.Since(p.backup.node.Status().Channels[0].LastDrops["bad-key"]); age < 50*time.Second || age > 70*time.Second {
				t.Errorf("the last one that was refused came %v ago, want a minute", age)
			}
			if st := p.backup.node.Status(); st.Reason != silent || st.Partner.Refused != "" {
				t.Errorf("after its end the partner is still refused: %q, %+v", st.Reason, st.Partner)
			}
		}},
		{"one key: nothing is said of a refusal, at the start or later", func(t *testing.T) {
			p := newPair(t)
			p.primary.start(t)
			p.backup.start(t)
			for begin := time.Now(); time.Since(begin) < 2*time.Minute; time.Sleep(interval / 7) {
				for _, s := range []*side{p.primary, p.backup} {
					if st := s.node.Status(); st.Partner.Refused != "" || strings.Contains(st.Reason, "refused") {
						t.Fatalf("after %v: %q, %+v", time.Since(begin), st.Reason, st.Partner)
					}
				}
			}
			p.want(failover.RoleActive, failover.RoleBackup)
			for _, s := range []*side{p.primary, p.backup} {
				if n := s.Count(failover.EventRefused); n != 0 {
					t.Errorf("%d events of refused packets", n)
				}
			}
			// The first packet that anybody reads echoes nothing; on which side
			// and channel that is, the start decides.
			unproven := uint64(0)
			for _, s := range []*side{p.primary, p.backup} {
				for _, c := range s.node.Status().Channels {
					unproven += c.Drops["unproven"]
				}
			}
			if unproven == 0 {
				t.Error("the contact began without an unproven packet: the test tests nothing")
			}
		}},
		{"a key that changes later is named beside the reason of the role", func(t *testing.T) {
			p := both(t)
			why := p.primary.node.Status().Reason
			p.primary.Events()
			p.backup.kill(t)
			p.backup.host.Isolate(false)
			otherKey(nil, &p.backup.cfg)
			p.backup.start(t)
			time.Sleep(decided)
			if st := p.primary.node.Status(); st.Reason != why+"; "+wrongKey || st.Partner.Refused != "bad-key" {
				t.Errorf("reason %q, partner %+v", st.Reason, st.Partner)
			}
			var lost []string
			for _, e := range p.primary.Events() {
				switch e.Kind {
				case failover.EventPartnerLost:
					lost = append(lost, e.Reason)
				case failover.EventChannelLost: // the cure is told once
					if e.Reason != "what comes there is refused" {
						t.Errorf("loss of %s: %q", e.Channel, e.Reason)
					}
				}
			}
			if diff := cmp.Diff([]string{wrongKey}, lost); diff != "" {
				t.Errorf("reasons of the loss (-want +got):\n%s", diff)
			}
			p.backup.stop(t)
			p.backup.cfg.Key = key
			p.backup.start(t)
			time.Sleep(decided)
			if st := p.primary.node.Status(); st.Reason != why || st.Partner.Refused != "" {
				t.Errorf("mended: reason %q, partner %+v", st.Reason, st.Partner)
			}
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"a partner that never hears us is unproven, and that is said", func(t *testing.T) {
			p := newPair(t)
			p.net.Cut(p.backup.host, p.primary.host, true)
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(decided + deadAfter)
			st := p.backup.node.Status()
			if st.Partner.Refused != "unproven" || !strings.Contains(st.Reason, "(unproven)") {
				t.Errorf("reason %q, partner %+v", st.Reason, st.Partner)
			}
			if n := p.backup.Count(failover.EventRefused); n != 2 {
				t.Errorf("%d events of refused packets, want one a channel", n)
			}
			p.net.Heal()
			time.Sleep(decided)
			p.want(failover.RoleActive, failover.RoleBackup)
			if st := p.backup.node.Status(); st.Partner.Refused != "" || strings.Contains(st.Reason, "refused") {
				t.Errorf("healed: reason %q, partner %+v", st.Reason, st.Partner)
			}
		}},
		{"another version is named", func(t *testing.T) {
			p := newPair(t)
			p.backup.start(t)
			seal, err := pulse.NewCodec(pulse.Key{Secret: key})
			if err != nil {
				t.Fatal(err)
			}
			packet := seal.Append(nil, &pulse.Beat{State: pulse.StateActive, Boot: 1, Challenge: 1, Seq: 1, Interval: interval, DeadAfter: deadAfter})
			packet[4]++
			for begin := time.Now(); time.Since(begin) < decided; time.Sleep(interval) {
				p.net.Inject(addrs[0][0], addrs[1][0], packet)
			}
			if st := p.backup.node.Status(); st.Partner.Refused != "bad-version" || !strings.Contains(st.Reason, "run the same version") {
				t.Errorf("reason %q, partner %+v", st.Reason, st.Partner)
			}
		}},
		{"junk from elsewhere, or beside a partner that is heard, is not the partner's", func(t *testing.T) {
			p := both(t)
			why := p.backup.node.Status().Reason
			stranger := netip.MustParseAddrPort("203.0.113.9:539")
			for range 20 {
				p.net.Inject(addrs[0][0], addrs[1][0], make([]byte, pulse.Size))
				p.net.Inject(stranger, addrs[1][0], make([]byte, pulse.Size))
				time.Sleep(interval / 2)
				if st := p.backup.node.Status(); st.Reason != why || st.Partner.Refused != "" {
					t.Fatalf("reason %q, partner %+v", st.Reason, st.Partner)
				}
			}
			p.primary.kill(t)
			for begin := time.Now(); time.Since(begin) < decided; time.Sleep(interval) {
				p.net.Inject(stranger, addrs[1][0], make([]byte, pulse.Size))
			}
			if st := p.backup.node.Status(); st.Reason != silent || st.Partner.Refused != "" {
				t.Errorf("reason %q, partner %+v", st.Reason, st.Partner)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}
