package failover_test

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

// verdicts is a list of n, unlike those of other seeds.
func verdicts(seed uint8, n int) (list []pulse.Verdict) {
	for i := range n {
		list = append(list, pulse.Verdict{ID: uint64(i), State: seed, Age: time.Second, Lasts: -1})
	}
	return list
}

func give(t *testing.T, s *side, list []pulse.Verdict) {
	t.Helper()
	if err := s.node.SetVerdicts(list); err != nil {
		t.Fatal(err)
	}
}

// states returns the states that the node has of its partner's list, nil if
// there is none.
func states(s *side) (out []uint8) {
	list, _, ok := s.node.PartnerVerdicts()
	if !ok {
		return nil
	}
	out = []uint8{}
	for _, v := range list {
		out = append(out, v.State)
	}
	return out
}

func knows(s *side, seed uint8, n int) func() bool {
	return func() bool {
		got := states(s)
		return got != nil && len(got) == n && (n == 0 || got[0] == seed && got[n-1] == seed)
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"both tell theirs, once, and ages go on", func(t *testing.T) {
			p := both(t)
			sent := p.pieces()
			time.Sleep(10 * interval)
			if n := sent(); n != 0 || states(p.backup) != nil {
				t.Errorf("%d pieces of nothing", n)
			}
			give(t, p.primary, verdicts(1, 100))
			give(t, p.backup, verdicts(2, 3))
			within(t, 5*interval, "the backup knows", knows(p.backup, 1, 100))
			within(t, 5*interval, "the primary knows", knows(p.primary, 2, 3))
			time.Sleep(10 * interval)
			sent()
			time.Sleep(time.Minute - 15*interval)
			if n := sent(); n != 0 {
				t.Errorf("%d pieces after all is told", n)
			}
			list, age, _ := p.backup.node.PartnerVerdicts()
			if age < 58*time.Second || age > time.Minute || list[0].Age != time.Second+age || list[0].Lasts != -1 {
				t.Errorf("after a minute the list is %v old, its first verdict %+v", age, list[0])
			}
			if st := p.backup.node.Status().Partner; st.Verdicts != 100 || st.VerdictsAge != age {
				t.Errorf("%+v", st)
			}
			if a, b := p.primary.Count(failover.EventVerdicts), p.backup.Count(failover.EventVerdicts); a != 1 || b != 1 {
				t.Errorf("told %d and %d times", a, b)
			}
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"states go out at once, ages from time to time", func(t *testing.T) {
			p := both(t)
			give(t, p.primary, verdicts(1, 5))
			within(t, 5*interval, "the backup knows", knows(p.backup, 1, 5))
			time.Sleep(5 * interval)
			sent := p.pieces()
			for range 90 { // ages only
				give(t, p.primary, verdicts(1, 5))
				time.Sleep(interval)
			}
			if n := sent(); n != 0 {
				t.Errorf("%d pieces for new ages within nine seconds", n)
			}
			time.Sleep(time.Second)
			give(t, p.primary, verdicts(1, 5))
			time.Sleep(5 * interval)
			if n := sent(); n == 0 {
				t.Error("new ages were never told")
			}
			if _, age, _ := p.backup.node.PartnerVerdicts(); age > 5*interval {
				t.Errorf("the list is %v old", age)
			}
			give(t, p.primary, verdicts(2, 5))
			within(t, 3*interval, "the backup knows", knows(p.backup, 2, 5))
			give(t, p.primary, nil)
			within(t, 3*interval, "the backup knows that there are none", knows(p.backup, 0, 0))
		}},
		{"the longest list through loss, delay and reordering, changed all the time", func(t *testing.T) {
			p := both(t, func(a, b *failover.Config) { a.DeadAfter, b.DeadAfter = 20*interval, 20*interval })
			if err := p.primary.node.SetVerdicts(verdicts(1, pulse.MaxVerdicts+1)); err == nil {
				t.Error("one more was taken")
			}
			p.net.SetLoss(0.3)
			p.net.SetDelay(0, 3*interval)
			for i := range 100 {
				give(t, p.primary, verdicts(uint8(i), pulse.MaxVerdicts))
				time.Sleep(6 * interval)
			}
			if n := p.backup.Count(failover.EventVerdicts); n < 1 {
				t.Errorf("%d lists came through in a minute", n)
			}
			give(t, p.primary, verdicts(200, pulse.MaxVerdicts))
			time.Sleep(3 * time.Minute)
			if !knows(p.backup, 200, pulse.MaxVerdicts)() {
				t.Error("the last list did not come through")
			}
		}},
		{"a network that changes the order costs the longest list nothing", func(t *testing.T) {
			p := both(t, func(a, b *failover.Config) { a.DeadAfter, b.DeadAfter = 20*interval, 20*interval })
			p.net.SetDelay(0, 3*interval)
			give(t, p.primary, verdicts(1, pulse.MaxVerdicts))
			// 78 pieces of which 20 go out a second, each once.
			within(t, 5*time.Second, "the backup knows", knows(p.backup, 1, pulse.MaxVerdicts))
		}},
		{"who starts again is told again, and what it told is forgotten", func(t *testing.T) {
			p := both(t)
			give(t, p.primary, verdicts(1, 5))
			give(t, p.backup, verdicts(2, 5))
			within(t, 5*interval, "both know", func() bool { return knows(p.primary, 2, 5)() && knows(p.backup, 1, 5)() })
			p.backup.kill(t)
			time.Sleep(10 * time.Second)
			if _, age, ok := p.primary.node.PartnerVerdicts(); !ok || age < 10*time.Second {
				t.Errorf("the list of a dead partner: %v, %v old", ok, age)
			}
			p.backup.host.Isolate(false)
			p.backup.start(t)
			within(t, decided, "the backup knows", knows(p.backup, 1, 5))
			if states(p.primary) != nil {
				t.Error("the primary kept the list of the run before")
			}
			give(t, p.backup, verdicts(3, 4))
			within(t, decided, "the primary knows", knows(p.primary, 3, 4))
		}},
		{"a partner of another digest is told nothing", func(t *testing.T) {
			p := both(t)
			give(t, p.primary, verdicts(1, 5))
			within(t, 5*interval, "the backup knows", knows(p.backup, 1, 5))
			p.primary.node.SetDigest([32]byte{1})
			p.backup.node.SetDigest([32]byte{2})
			time.Sleep(5 * interval)
			sent := p.pieces()
			give(t, p.primary, verdicts(2, 5))
			time.Sleep(10 * interval)
			if n := sent(); n != 0 || states(p.backup) != nil {
				t.Errorf("%d pieces; the backup has %v", n, states(p.backup))
			}
			p.backup.node.SetDigest([32]byte{1})
			within(t, 10*interval, "the backup knows", knows(p.backup, 2, 5))
		}},
		{"recorded pieces change nothing", func(t *testing.T) {
			p := both(t)
			type rec struct {
				from, to netip.AddrPort
				data     []byte
			}
			var mu sync.Mutex
			var old []rec
			p.net.Tap(func(from, to netip.AddrPort, b []byte) {
				mu.Lock()
				defer mu.Unlock()
				if pulse.IsPiece(b) {
					old = append(old, rec{from, to, b})
				}
			})
			give(t, p.primary, verdicts(1, 5))
			within(t, 5*interval, "the backup knows", knows(p.backup, 1, 5))
			p.net.Tap(nil)
			give(t, p.primary, verdicts(2, 5))
			within(t, 5*interval, "the backup knows", knows(p.backup, 2, 5))
			replay := func() {
				for _, r := range old {
					p.net.Inject(r.from, r.to, r.data)
				}
				time.Sleep(3 * interval)
			}
			replay()
			if !knows(p.backup, 2, 5)() {
				t.Errorf("the backup has %v", states(p.backup))
			}
			if n := p.backup.node.Status().Channels[0].Drops["replay"]; n == 0 {
				t.Error("no piece was counted as a replay")
			}
			p.primary.kill(t)
			p.primary.host.Isolate(false)
			p.primary.start(t)
			time.Sleep(decided)
			replay()
			if got := states(p.backup); got != nil {
				t.Errorf("after a restart of the primary the backup has %v", got)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

func TestVerdictsOfAHostilePartner(t *testing.T) {
	good, err := pulse.AppendVerdicts(nil, 0, verdicts(1, 20))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data   []byte
		number uint32
		digest byte // the beats say 2
		events int
		ok     bool
	}{
		"an honest one":         {good, 1, 2, 1, true},
		"no list":               {good[:50], 1, 2, 1, false},
		"too long a list":       {append(make([]byte, 8), make([]byte, 17*(pulse.MaxVerdicts+1))...), 1, 2, 1, false},
		"a list without number": {good, 0, 2, 0, false},
		"of another digest":     {good, 1, 3, 0, false},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			p := newPair(t)
			u := newPuppet(t, p)
			p.primary.start(t)
			pieces := (len(tt.data) + pulse.PieceData - 1) / pulse.PieceData
			for i := range 2*pieces + 20 {
				u.round(false, func([]byte) {}, func() []byte {
					at := i % pieces * pulse.PieceData
					return u.codec.AppendPiece(nil, &pulse.Piece{
						Kind: pulse.PieceVerdicts, Number: tt.number, Boot: 7, Seq: u.seq, Digest: [32]byte{tt.digest}, Sum: sha256.Sum256(tt.data),
						Total: uint32(len(tt.data)), Offset: uint32(at), Data: tt.data[at:min(at+pulse.PieceData, len(tt.data))],
					})
				})
			}
			synctest.Wait()
			events := 0
			for _, e := range p.primary.Events() {
				if e.Kind == failover.EventVerdicts {
					events++
					if tt.ok != (e.Err == nil) || e.Err != nil && !errors.Is(e.Err, pulse.ErrBrokenVerdicts) {
						t.Errorf("the event says %v", e.Err)
					}
				}
			}
			if _, _, ok := p.primary.node.PartnerVerdicts(); ok != tt.ok || events != tt.events {
				t.Errorf("there is a list: %v; %d events, want %d", ok, events, tt.events)
			}
			if diff := cmp.Diff(failover.RoleActive, p.primary.role()); diff != "" {
				t.Errorf("role (-want +got):\n%s", diff)
			}
		}))
	}
}
